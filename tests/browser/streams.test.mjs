// RPC, text streams and byte streams of the unmodified `livekit-client`, between Chromium on one node and Firefox on
// another: every byte arrives, in order, and who joins in the middle of a stream sees nothing of it.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { enter, openClient } from './client.mjs';
import { ownAddress, startMesh } from './mesh.mjs';

const FILE_BYTES = 2_000_000;
const room = 'streams';

let mesh;
let cat;
let fox;

before(async () => {
  mesh = await startMesh('streams', { mediaIp: ownAddress() });
  [cat, fox] = await Promise.all([
    openClient(mesh, { name: 'cat' }),
    openClient(mesh, { browser: 'firefox', name: 'fox' }),
  ]);
  await enter(cat, mesh, { room, node: mesh.nodes[0] });
  await enter(fox, mesh, { room, node: mesh.nodes[1] });
  await Promise.all([cat.page.evaluate(listen), fox.page.evaluate(listen)]);
});

after(async () => {
  await Promise.all([cat, fox].map((guest) => guest?.close()));
  await mesh?.stop();
});

/** Runs in the page: answers calls, and notes what comes in streams. */
function listen() {
  window.room.registerRpcMethod('greet', async ({ callerIdentity, payload }) => `${payload}, ${callerIdentity}`);
  window.room.registerRpcMethod('refuse', async () => {
    throw new LivekitClient.RpcError(4321, 'not today', 'come back tomorrow');
  });
  window.streams = { text: [], bytes: [] };
  window.room.registerTextStreamHandler('text', async (reader, { identity }) => {
    const { topic, attributes } = reader.info;
    window.streams.text.push({ identity, topic, attributes, text: await reader.readAll() });
  });
  window.room.registerByteStreamHandler('bytes', async (reader, { identity }) => {
    const { name, mimeType, size } = reader.info;
    const blob = new Blob(await reader.readAll());
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    window.streams.bytes.push({ identity, name, mimeType, size, length: blob.size, sha256 });
  });
}

/** What does not repeat and does not compress; the same on both sides. */
function noise(bytes) {
  const made = new Uint8Array(bytes);
  let state = 1;
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    made[at] = state >>> 24;
  }
  return made;
}

/** The next stream of a kind that a page has read to its end. */
const next = (guest, kind) =>
  guest.page.evaluate((kind) => window.until(`${kind} stream`, () => window.streams[kind].shift(), 30_000), kind);

const bothWays = () => [[cat, fox], [fox, cat]];

test('a call is answered or refused on the other node', { timeout: 30_000 }, async () => {
  for (const [from, to] of bothWays()) {
    const call = (method, payload) =>
      from.page.evaluate(
        ([destinationIdentity, method, payload]) =>
          window.room.localParticipant
            .performRpc({ destinationIdentity, method, payload })
            .catch(({ code, message, data }) => ({ code, message, data })),
        [to.name, method, payload],
      );
    assert.equal(await call('greet', 'good morning'), `good morning, ${from.name}`);
    const long = 'x'.repeat(14_000);
    assert.equal(await call('greet', long), `${long}, ${from.name}`);
    assert.deepEqual(await call('refuse', ''), { code: 4321, message: 'not today', data: 'come back tomorrow' });
    assert.equal((await call('nothing', '')).code, 1400);
  }
});

test('a long text comes whole, with its attributes', { timeout: 60_000 }, async () => {
  for (const [from, to] of bothWays()) {
    const text = 'All the world’s a stage, 🌍 and all the men and women merely players. '.repeat(3_000);
    await from.page.evaluate(
      (text) => window.room.localParticipant.sendText(text, { topic: 'text', attributes: { act: 'II' } }),
      text,
    );
    assert.deepEqual(await next(to, 'text'), { identity: from.name, topic: 'text', attributes: { act: 'II' }, text });
  }
});

test('a file of 2 MB comes whole', { timeout: 90_000 }, async () => {
  const sha256 = createHash('sha256').update(noise(FILE_BYTES)).digest('hex');
  for (const [from, to] of bothWays()) {
    const begunAt = performance.now();
    await from.page.evaluate(`(async () => {
      const file = new File([(${noise})(${FILE_BYTES})], 'noise.bin', { type: 'application/x-noise' });
      await window.room.localParticipant.sendFile(file, { topic: 'bytes', mimeType: file.type });
    })()`);
    const { name, mimeType, ...read } = await next(to, 'bytes');
    console.log(`${from.name} to ${to.name}: ${read.length} bytes in ${(performance.now() - begunAt).toFixed(0)} ms`);
    assert.deepEqual(read, { identity: from.name, size: FILE_BYTES, length: FILE_BYTES, sha256 });
    assert.deepEqual([name, mimeType], ['noise.bin', 'application/x-noise']);
  }
});

test('who joins in the middle of a stream sees nothing of it', { timeout: 60_000 }, async () => {
  await cat.page.evaluate(async () => {
    window.writer = await window.room.localParticipant.streamText({ topic: 'text' });
    for (let line = 0; line < 5; line += 1) await window.writer.write(`${line} `);
  });
  const doors = await Promise.all(
    ['eve', 'dan'].map(async (identity, at) => [mesh.nodes[at + 1].url, await mesh.token(room, identity)]),
  );
  await fox.page.evaluate(async (doors) => {
    const enter = async ([url, token]) => {
      const room = new LivekitClient.Room();
      const packets = [];
      room.on('dataReceived', (bytes) => packets.push(new TextDecoder().decode(bytes)));
      const streams = [];
      room.registerTextStreamHandler('text', async (reader) => streams.push(await reader.readAll()));
      await room.connect(url, token);
      // What the SDK is handed, from which it would leave out what it does not know the beginning of.
      const kinds = [];
      room.engine.on('dataPacketReceived', (packet) => kinds.push(packet.value.case));
      return { room, packets, streams, kinds };
    };
    window.late = await Promise.all(doors.map(enter));
  }, doors);
  await cat.page.evaluate(async () => {
    for (let line = 5; line < 10; line += 1) await window.writer.write(`${line} `);
    await window.writer.close();
    await window.room.localParticipant.publishData(new TextEncoder().encode('after it'), { reliable: true });
    await window.room.localParticipant.sendText('a new one', { topic: 'text' });
  });
  assert.equal((await next(fox, 'text')).text, '0 1 2 3 4 5 6 7 8 9 ');
  assert.equal((await next(fox, 'text')).text, 'a new one');
  const late = await fox.page.evaluate(() =>
    Promise.all(
      window.late.map(async ({ room, packets, streams, kinds }) => {
        await window.until('the new stream', () => streams.length > 0 && packets.length > 0, 10_000);
        await room.disconnect();
        return { packets, streams, kinds };
      }),
    ),
  );
  for (const { packets, streams, kinds } of late) {
    console.log(`who came late was handed ${kinds.join(', ')}`);
    assert.deepEqual([packets, streams], [['after it'], ['a new one']]);
    assert.deepEqual(kinds.slice(0, 2), ['user', 'streamHeader'], 'the middle of a stream');
  }
});
