// What the unmodified `livekit-client` asks for and is told beyond tracks and data, between two nodes of a demo mesh.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openClient } from './client.mjs';
import { startMesh } from './mesh.mjs';

let mesh;
let guest;

before(async () => {
  mesh = await startMesh('protocol');
  guest = await openClient(mesh, { name: 'protocol' });
  await guest.page.evaluate(equipMeeting);
});

after(async () => {
  await guest?.close();
  await mesh?.stop();
});

/** Ann and bob meet on two nodes; `act` runs in the page with both rooms. */
async function meet(name, act) {
  const tokens = await Promise.all(['ann', 'bob'].map((identity) => mesh.token(`protocol-${name}`, identity)));
  const urls = mesh.nodes.slice(0, 2).map((node) => node.url);
  return guest.page.evaluate(`window.meet(${JSON.stringify(urls)}, ${JSON.stringify(tokens)}, ${act})`);
}

/** Runs in the page: two rooms for each test. */
function equipMeeting() {
  const { Room, RoomEvent } = LivekitClient;
  window.meet = async (urls, tokens, act) => {
    const [ann, bob] = [new Room(), new Room()];
    const told = { permissions: [], speakers: [], qualities: [] };
    bob.on(RoomEvent.ActiveSpeakersChanged, (speakers) => told.speakers.push(speakers.map(({ identity }) => identity)));
    bob.on(RoomEvent.ConnectionQualityChanged, (quality, { identity }) => told.qualities.push([identity, quality]));
    bob.on(RoomEvent.TrackSubscriptionPermissionChanged, (_, status) => told.permissions.push(status));
    try {
      await bob.connect(urls[1], tokens[1]);
      await ann.connect(urls[0], tokens[0]);
      return await act({ ann, bob, told });
    } finally {
      await Promise.all([ann.disconnect(), bob.disconnect()]);
      document.querySelectorAll('video, audio').forEach((element) => element.remove());
    }
  };
}

test('a speaker is named on the other node, and named no more when it mutes', { timeout: 60_000 }, async () => {
  const speakers = await meet('speakers', async ({ ann, bob, told }) => {
    await ann.localParticipant.setMicrophoneEnabled(true);
    await window.received(bob, 'microphone');
    await window.until('speaker', () => bob.activeSpeakers.some(({ identity }) => identity === 'ann'));
    await ann.localParticipant.setMicrophoneEnabled(false);
    await window.until('silence', () => bob.activeSpeakers.length === 0);
    return told.speakers;
  });
  console.log(`speakers: ${JSON.stringify(speakers)}`);
  assert.deepEqual(speakers[0], ['ann']);
  assert.deepEqual(speakers.at(-1), []);
});

test('both qualities are excellent on a good path, and told across nodes', { timeout: 60_000 }, async () => {
  const qualities = await meet('quality', async ({ ann, bob, told }) => {
    await ann.localParticipant.setMicrophoneEnabled(true);
    await ann.localParticipant.setCameraEnabled(true);
    await window.received(bob, 'microphone');
    const has = (name) => told.qualities.some(([identity, quality]) => identity === name && quality === 'excellent');
    await window.until('quality', () => has('ann') && has('bob'), 20_000);
    return told.qualities;
  });
  console.log(`qualities: ${JSON.stringify(qualities)}`);
  assert.ok(!qualities.some(([, quality]) => quality === 'lost'));
});

test('metadata and attributes are seen on the other node', { timeout: 30_000 }, async () => {
  const seen = await meet('metadata', async ({ ann, bob }) => {
    await ann.localParticipant.setMetadata('on call');
    await ann.localParticipant.setAttributes({ mood: 'fine' });
    const [seen] = bob.remoteParticipants.values();
    await window.until('attributes', () => seen.attributes.mood === 'fine');
    return { metadata: seen.metadata, mood: seen.attributes.mood };
  });
  assert.deepEqual(seen, { metadata: 'on call', mood: 'fine' });
});

test('a publisher takes its track from one on the other node and gives it back', { timeout: 60_000 }, async () => {
  const told = await meet('permission', async ({ ann, bob, told }) => {
    await ann.localParticipant.setMicrophoneEnabled(true);
    await window.received(bob, 'microphone');
    const [seen] = bob.remoteParticipants.values();
    ann.localParticipant.setTrackSubscriptionPermissions(false);
    await window.until('end of the track', () => !seen.getTrackPublication('microphone').track);
    ann.localParticipant.setTrackSubscriptionPermissions(true);
    await window.received(bob, 'microphone');
    return told.permissions;
  });
  console.log(`permissions: ${JSON.stringify(told)}`);
  assert.ok(told.includes('not_allowed'));
  assert.equal(told.at(-1), 'allowed');
});
