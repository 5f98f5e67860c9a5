// Chromium takes what leaves by our own way: every codec, sealed by us, its packets padded so that pictures leave whole.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openClient } from './client.mjs';
import { startNodes } from './nodes.mjs';

let mesh;
let guest;
/** Codecs of which some packets were padded: headers are a multiple of four bytes long, and what is more is padding. */
const padded = [];

before(async () => {
  mesh = await startNodes('own-way', ['frankfurt'], ['--bwe=false', '--egress=own']);
  guest = await openClient(mesh, { name: 'own-way' });
});

after(async () => {
  await guest?.close();
  await mesh?.stop();
});

for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
  test(`${codec} on our own way is decoded, and nothing of it is missing`, { timeout: 40_000 }, async () => {
    const tokens = await Promise.all(['ann', 'bob'].map((identity) => mesh.token(`own-${codec}`, identity)));
    const seen = await guest.page.evaluate(watch, [mesh.nodes[0].url, ...tokens, codec]);
    console.log(`${codec}: ${JSON.stringify(seen)}`);
    assert.equal(seen.mimeType?.toLowerCase(), `video/${codec}`);
    assert.ok(seen.framesDecoded >= 90, `${seen.framesDecoded} frames decoded`);
    assert.equal(seen.packetsLost, 0);
    assert.equal(seen.pliCount + seen.nackCount, seen.first, 'nothing is asked for after the first picture');
    if (seen.padded) padded.push(codec);
  });
}

// Whether a codec's pictures have packets of unlike sizes is up to its encoder; so one of the four is enough.
test('packets that were padded are among them', () => {
  assert.ok(padded.length > 0);
});

/** Runs in the page: ann publishes her camera, bob decodes 90 frames of it. */
async function watch([url, annToken, bobToken, videoCodec]) {
  const bob = new LivekitClient.Room();
  await bob.connect(url, bobToken);
  const subscribed = new Promise((resolve) => bob.once(LivekitClient.RoomEvent.TrackSubscribed, resolve));
  const ann = new LivekitClient.Room();
  await ann.connect(url, annToken);
  await ann.localParticipant.setCameraEnabled(true, {}, { videoCodec, backupCodec: false });
  const track = await subscribed;
  const video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  track.attach(video);
  const until = performance.now() + 20_000;
  let seen = {};
  let first;
  let padded = false;
  while (performance.now() < until && !(seen.framesDecoded >= 90)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stats = [...(await track.getRTCStatsReport()).values()];
    const inbound = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
    if (!inbound) continue;
    const mimeType = stats.find(({ id }) => id === inbound.codecId)?.mimeType;
    const { framesDecoded, headerBytesReceived, packetsLost, pliCount, nackCount } = inbound;
    if (framesDecoded > 0) first ??= pliCount + nackCount;
    padded ||= headerBytesReceived % 4 !== 0;
    seen = { mimeType, framesDecoded, packetsLost, pliCount, nackCount, first, padded };
  }
  await Promise.all([ann.disconnect(), bob.disconnect()]);
  return seen;
}
