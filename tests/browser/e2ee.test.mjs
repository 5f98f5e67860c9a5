// An end-to-end encrypted call between two nodes: with the SDK's own worker, which encrypts each encoded frame and each
// data packet; nodes forward, choose layers and ask for keyframes without the key.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { openClient } from './client.mjs';
import { root, startMesh } from './mesh.mjs';

let mesh;
let guest;

before(async () => {
  mesh = await startMesh('e2ee');
  guest = await openClient(mesh, { name: 'e2ee' });
  const worker = readFileSync(`${root}node_modules/livekit-client/dist/livekit-client.e2ee.worker.js`, 'utf8');
  await guest.page.evaluate(equip, worker);
});

after(async () => {
  await guest?.close();
  await mesh?.stop();
});

/** Runs in the page: rooms with and without keys. */
function equip(worker) {
  const url = URL.createObjectURL(new Blob([worker], { type: 'text/javascript' }));
  window.enter = async ([node, token], key) => {
    if (!key) {
      const room = new LivekitClient.Room();
      await room.connect(node, token);
      return room;
    }
    const keyProvider = new LivekitClient.ExternalE2EEKeyProvider();
    await keyProvider.setKey(key);
    const room = new LivekitClient.Room({ encryption: { keyProvider, worker: new Worker(url) } });
    await room.setE2EEEnabled(true);
    await room.connect(node, token);
    return room;
  };
}

for (const [codec, layers] of [['vp8', 2], ['vp9', 1]]) {
  test(`who has the key sees, hears and reads; who has not does not: ${codec}`, { timeout: 90_000 }, async () => {
    const enter = async (identity, node) => [mesh.nodes[node].url, await mesh.token(`e2ee-${codec}`, identity)];
    const doors = await Promise.all([enter('ann', 0), enter('bob', 1), enter('eve', 1), enter('mal', 2)]);
    const seen = await guest.page.evaluate(call, [doors, codec]);
    console.log(`${codec}: ${JSON.stringify(seen)}`);
    assert.equal(seen.encrypted, true, 'the other node does not know that the track is encrypted');
    assert.equal(seen.layers, layers);
    assert.equal(seen.bob.mimeType.toLowerCase(), `video/${codec}`);
    assert.ok(seen.bob.red > 0.8, `only ${seen.bob.red} of the picture has its colour`);
    assert.equal(seen.sound.toLowerCase(), 'audio/opus');
    if (layers > 1) assert.equal(seen.small, 320);
    assert.deepEqual(seen.read, ['bob: for those with the key']);
    assert.ok(seen.eve.packetsReceived > 30 && seen.eve.framesDecoded === 0, `a wrong key: ${JSON.stringify(seen.eve)}`);
    assert.ok(seen.mal.packetsReceived > 30 && seen.mal.framesDecoded === 0, `no key: ${JSON.stringify(seen.mal)}`);
  });
}

/** Runs in the page: ann publishes with the key; bob has it, eve has a wrong one, mal none. */
async function call([[annDoor, bobDoor, eveDoor, malDoor], videoCodec]) {
  const bob = await window.enter(bobDoor, 'secret');
  const eve = await window.enter(eveDoor, 'guess');
  const mal = await window.enter(malDoor);
  const ann = await window.enter(annDoor, 'secret');
  const read = [];
  for (const [name, room] of Object.entries({ bob, eve, mal })) {
    room.on('dataReceived', (bytes) => read.push(`${name}: ${new TextDecoder().decode(bytes)}`));
  }
  await ann.localParticipant.setCameraEnabled(true, {}, { videoCodec, backupCodec: false });
  await ann.localParticipant.setMicrophoneEnabled(true);
  const watch = async (room) => {
    const publication = await window.received(room, 'camera', 'ann');
    return { publication, track: publication.track, video: window.play(publication.track) };
  };
  const [seen, wrong, none] = await Promise.all([bob, eve, mal].map(watch));
  await window.until('the whole picture', () => seen.video.videoWidth === 640);
  await window.decodes(seen.track, 60);
  const microphone = await window.received(bob, 'microphone', 'ann');
  window.play(microphone.track);
  await window.hears(microphone.track, 440);
  await ann.localParticipant.publishData(new TextEncoder().encode('for those with the key'), { reliable: true });
  await window.until('data', () => read.length > 0);
  const report = async ({ track, video }) => {
    const { packetsReceived, framesDecoded, frameWidth, mimeType } = await window.inbound(track);
    return { packetsReceived, framesDecoded, frameWidth, mimeType, red: video.videoWidth ? window.redness(video) : 0 };
  };
  const layers = (await window.outbound(ann.localParticipant.getTrackPublication('camera').track)).length;
  const told = { bob: await report(seen), eve: await report(wrong), mal: await report(none) };
  if (layers > 1) {
    seen.publication.setVideoQuality(LivekitClient.VideoQuality.LOW);
    await window.until('the small picture', () => seen.video.videoWidth < 640);
    await window.decodes(seen.track, 15);
  }
  const small = seen.video.videoWidth;
  const sound = (await window.inbound(microphone.track)).mimeType;
  await Promise.all([ann, bob, eve, mal].map((room) => room.disconnect()));
  document.querySelectorAll('video, audio').forEach((element) => element.remove());
  return { ...told, encrypted: seen.publication.isEncrypted, layers, small, sound, read };
}
