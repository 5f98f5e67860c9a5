// Every video codec crosses from one node to another and is decoded there as what it was sent as.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openClient } from './client.mjs';
import { watchCodec } from './codec.mjs';
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
    const urls = mesh.nodes.slice(0, 2).map(({ url }) => url);
    const { mimeType, framesDecoded, frameWidth } = (await watchCodec(guest, { urls, tokens, codec, frames: 30 })).at(-1);
    console.log(`${codec}: ${mimeType}, ${framesDecoded} frames, ${frameWidth} wide`);
    assert.equal(mimeType?.toLowerCase(), `video/${codec}`);
    assert.ok(framesDecoded >= 30, `${framesDecoded} frames decoded`);
  });
}
