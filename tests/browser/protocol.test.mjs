// What the unmodified `livekit-client` asks for and is told beyond tracks and data, between two nodes of a demo mesh.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { root, startMesh } from './mesh.mjs';

let mesh;
let guest;

before(async () => {
  mesh = await startMesh('protocol');
  guest = await openPage({ name: 'protocol', colour: 'red', toneHz: 440 });
  await guest.page.goto(new URL('/health', mesh.web).href);
  await guest.page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
  await guest.page.evaluate(equip);
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

/** Runs in the page: what every test needs. */
function equip() {
  const { Room, RoomEvent } = LivekitClient;
  window.until = async (what, check, ms = 15_000) => {
    const end = performance.now() + ms;
    for (;;) {
      const found = await check();
      if (found) return found;
      if (performance.now() > end) throw new Error(`no ${what} within ${ms} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  window.received = (room, source) =>
    window.until(`track ${source}`, () => {
      const [ann] = room.remoteParticipants.values();
      const publication = ann?.getTrackPublication(source);
      return publication?.track ? publication : null;
    });
  window.framesOf = async (track) => {
    let frames = 0;
    for (const report of (await track.getRTCStatsReport()).values()) {
      if (report.type === 'inbound-rtp') frames += report.framesDecoded ?? 0;
    }
    return frames;
  };
  window.meet = async (urls, tokens, act) => {
    const ann = new Room({ dynacast: true });
    const bob = new Room({ adaptiveStream: { pixelDensity: 1 } });
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
    await window.received(bob, 'microphone');
    const has = (name) => told.qualities.some(([identity, quality]) => identity === name && quality === 'excellent');
    await window.until('quality', () => has('ann') && has('bob'), 20_000);
    return told.qualities;
  });
  console.log(`qualities: ${JSON.stringify(qualities)}`);
  assert.ok(!qualities.some(([, quality]) => quality === 'lost'));
});

test('a tile that shrinks gets a lower layer, and then nobody encodes the high one', { timeout: 90_000 }, async () => {
  const seen = await meet('adaptive', async ({ ann, bob }) => {
    await ann.localParticipant.setCameraEnabled(true, { resolution: LivekitClient.VideoPresets.h720.resolution });
    const { track } = await window.received(bob, 'camera');
    const video = document.createElement('video');
    Object.assign(video.style, { position: 'fixed', top: 0, left: 0, width: '1200px', height: '675px' });
    document.body.append(video);
    track.attach(video);
    await window.until('wide picture', () => video.videoWidth >= 640, 30_000);
    const wide = video.videoWidth;
    Object.assign(video.style, { width: '160px', height: '90px' });
    await window.until('narrow picture', () => video.videoWidth > 0 && video.videoWidth <= wide / 2, 20_000);
    const { sender } = ann.localParticipant.getTrackPublication('camera').track;
    const high = () => sender.getParameters().encodings.at(-1);
    await window.until('pause of the high layer', () => high().active === false, 20_000);
    const narrow = video.videoWidth;
    Object.assign(video.style, { width: '1200px', height: '675px' });
    await window.until('wide picture again', () => video.videoWidth === wide, 30_000);
    return { wide, narrow, active: high().active };
  });
  console.log(`adaptive: ${JSON.stringify(seen)}`);
  assert.ok(seen.active);
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

test('media flows on while the signaling socket is cut and comes back', { timeout: 60_000 }, async () => {
  const seen = await meet('resume', async ({ ann, bob }) => {
    await ann.localParticipant.setCameraEnabled(true);
    const { track, trackSid } = await window.received(bob, 'camera');
    const video = document.createElement('video');
    document.body.append(video);
    track.attach(video);
    await window.until('first frames', async () => (await window.framesOf(track)) > 10);
    const events = [];
    for (const event of ['signalReconnecting', 'reconnecting', 'reconnected']) bob.on(event, () => events.push(event));
    const back = new Promise((resolve) => bob.once('reconnected', resolve));
    const before = await window.framesOf(track);
    await bob.simulateScenario('signal-reconnect');
    await Promise.race([back, window.until('way back', () => false, 20_000)]);
    const during = (await window.framesOf(track)) - before;
    const data = new Promise((resolve) => bob.once('dataReceived', (bytes) => resolve(new TextDecoder().decode(bytes))));
    await ann.localParticipant.publishData(new TextEncoder().encode('still here'), { reliable: true });
    const [seen] = bob.remoteParticipants.values();
    const same = seen.getTrackPublication('camera').trackSid === trackSid;
    return { events, during, same, text: await data };
  });
  console.log(`resume: ${JSON.stringify(seen)}`);
  assert.ok(seen.during > 0 && seen.same);
  assert.equal(seen.text, 'still here');
});
