// Every video codec crosses from one node to another and is decoded there as what it was sent as.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openClient } from './client.mjs';
import { startMesh } from './mesh.mjs';

let mesh;
let guest;

before(async () => {
  mesh = await startMesh('codecs');
  guest = await openClient(mesh, { name: 'codecs' });
});

after(async () => {
  await guest?.close();
  await mesh?.stop();
});

for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
  test(`${codec} is decoded on another node`, { timeout: 30_000 }, async () => {
    const tokens = await Promise.all(['ann', 'bob'].map((identity) => mesh.token(`codec-${codec}`, identity)));
    const seen = await guest.page.evaluate(watch, [mesh.nodes[0].url, mesh.nodes[1].url, ...tokens, codec]);
    console.log(`${codec}: ${JSON.stringify(seen)}`);
    assert.equal(seen.mimeType?.toLowerCase(), `video/${codec}`);
    assert.ok(seen.framesDecoded >= 30, `${seen.framesDecoded} frames decoded`);
  });
}

/** Runs in the page: ann publishes her camera on one node; bob, on another, waits until he decoded 30 frames. */
async function watch([annUrl, bobUrl, annToken, bobToken, videoCodec]) {
  const bob = new LivekitClient.Room();
  await bob.connect(bobUrl, bobToken);
  const subscribed = new Promise((resolve) => bob.once(LivekitClient.RoomEvent.TrackSubscribed, resolve));
  const ann = new LivekitClient.Room();
  await ann.connect(annUrl, annToken);
  await ann.localParticipant.setCameraEnabled(true, {}, { videoCodec, backupCodec: false });
  const track = await subscribed;
  const video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  track.attach(video);
  const until = performance.now() + 12_000;
  let seen = {};
  while (performance.now() < until && !(seen.framesDecoded >= 30)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stats = [...(await track.getRTCStatsReport()).values()];
    const inbound = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
    const mimeType = stats.find(({ id }) => id === inbound?.codecId)?.mimeType;
    seen = { mimeType, framesDecoded: inbound?.framesDecoded, width: inbound?.frameWidth };
  }
  await Promise.all([ann.disconnect(), bob.disconnect()]);
  return seen;
}
