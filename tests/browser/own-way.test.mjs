// Chromium takes what leaves by our own way: every codec, sealed by us, its packets padded so that pictures leave whole.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openClient } from './client.mjs';
import { watchCodec } from './codec.mjs';
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
    const [{ url }] = mesh.nodes;
    const reports = await watchCodec(guest, { urls: [url, url], tokens, codec, frames: 90 });
    const [first, last] = [reports.find(({ framesDecoded }) => framesDecoded > 0), reports.at(-1)];
    assert.equal(last.mimeType?.toLowerCase(), `video/${codec}`);
    assert.ok(last.framesDecoded >= 90, `${last.framesDecoded} frames decoded`);
    assert.equal(last.packetsLost, 0);
    const asked = ({ pliCount, nackCount }) => pliCount + nackCount;
    assert.equal(asked(last), asked(first), 'nothing is asked for after the first picture');
    if (reports.some(({ headerBytesReceived = 0 }) => headerBytesReceived % 4 !== 0)) padded.push(codec);
  });
}

// Whether a codec's pictures have packets of unlike sizes is up to its encoder; so one of the four is enough.
test('packets that were padded are among them', () => {
  assert.ok(padded.length > 0);
});
