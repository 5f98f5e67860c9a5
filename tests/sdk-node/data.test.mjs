// The unmodified npm SDK `@livekit/rtc-node` on two nodes: what participants tell each other besides media.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { DataPacketKind, dispose, RoomEvent, RpcError } from '@livekit/rtc-node';
import { RoomServiceClient } from 'livekit-server-sdk';
import { startMesh } from '../browser/mesh.mjs';
import { gather, Guest, leaveAll, until } from './guest.mjs';

let mesh;

before(async () => {
  mesh = await startMesh('sdk-node-data');
});

afterEach(async () => {
  await leaveAll();
});

after(async () => {
  await mesh?.stop();
  await dispose();
});

function sha256(...parts) {
  const hash = createHash('sha256');
  parts.forEach((part) => hash.update(part));
  return hash.digest('hex');
}

/** What comes of the next stream of a topic. */
function nextStream(guest, kind, topic) {
  return new Promise((resolve, reject) => {
    guest.room[`register${kind}StreamHandler`](topic, async (reader, { identity }) => {
      try {
        resolve({ identity, info: reader.info, content: await reader.readAll() });
      } catch (error) {
        reject(error);
      }
    });
  });
}

test('packets come once, in order, and from whom they say', async () => {
  const [ann, ben, cid] = await gather(mesh, 'packets', { ann: 0, ben: 1, cid: 2 });
  const count = 100;
  for (let number = 0; number < count; number++) {
    await ann.me.publishData(Uint8Array.of(number), { reliable: true, topic: 'numbers' });
  }
  await ann.me.publishData(Uint8Array.of(255), { reliable: true, destination_identities: ['cid'] });
  await cid.event(RoomEvent.DataReceived, ([number]) => number === 255);
  for (const guest of [ben, cid]) {
    await guest.event(RoomEvent.DataReceived, ([number]) => number === count - 1);
  }
  const got = [];
  ben.room.on(RoomEvent.DataReceived, ([number], from, kind) => got.push([number, from.identity, kind]));
  await ann.me.publishData(Uint8Array.of(1), { reliable: true });
  await until('one more', () => got.length > 0);
  assert.deepEqual(got, [[1, 'ann', DataPacketKind.KIND_RELIABLE]]);
  assert.equal(ben.count(RoomEvent.DataReceived), count + 1, 'what is for another did not come');
});

test('chat crosses as a text stream', async () => {
  const [ann, ben] = await gather(mesh, 'chat', { ann: 0, ben: 1 });
  const heard = [nextStream(ben, 'Text', 'lk.chat'), nextStream(ann, 'Text', 'lk.chat')];
  await ann.me.sendText('hello from here', { topic: 'lk.chat', attributes: { mood: 'good' } });
  await ben.me.sendText('and back — ✓', { topic: 'lk.chat' });
  const [first, second] = await Promise.all(heard);
  assert.deepEqual([first.identity, first.content], ['ann', 'hello from here']);
  assert.equal(first.info.attributes.mood, 'good');
  assert.deepEqual([second.identity, second.content], ['ben', 'and back — ✓']);
});

test('streams of several megabytes arrive whole on two other nodes', async () => {
  const [ann, ben, cid] = await gather(mesh, 'streams', { ann: 0, ben: 1, cid: 2 });
  const file = randomBytes(5_000_000);
  const text = randomBytes(750_000).toString('base64');
  const files = [ben, cid].map((guest) => nextStream(guest, 'Byte', 'file'));
  const texts = [ben, cid].map((guest) => nextStream(guest, 'Text', 'long'));
  const bytes = await ann.me.streamBytes({ name: 'a.bin', topic: 'file', totalSize: file.length });
  for (let at = 0; at < file.length; at += 100_000) await bytes.write(file.subarray(at, at + 100_000));
  await bytes.close();
  await ann.me.sendText(text, { topic: 'long' });
  for (const { identity, info, content } of await Promise.all(files)) {
    assert.deepEqual([identity, info.name, sha256(...content)], ['ann', 'a.bin', sha256(file)]);
  }
  for (const { content } of await Promise.all(texts)) assert.equal(sha256(content), sha256(text));
});

test('who joins amid a stream gets none of it, and the next one whole', async () => {
  const [ann, ben] = await gather(mesh, 'amid', { ann: 0, ben: 1 });
  const early = nextStream(ben, 'Text', 'story');
  const writer = await ann.me.streamText({ topic: 'story' });
  await writer.write('once ');
  const late = [await new Guest('late').join(mesh, 1, 'amid'), await new Guest('alone').join(mesh, 2, 'amid')];
  const heard = late.map((guest) => nextStream(guest, 'Text', 'story'));
  for (const guest of late) await ann.sees(guest.identity);
  await writer.write('upon a time');
  await writer.close();
  assert.equal((await early).content, 'once upon a time');
  await ann.me.sendText('the end', { topic: 'story' });
  for (const { content } of await Promise.all(heard)) assert.equal(content, 'the end');
});

test('calls go both ways, fail as they say, and time out', async () => {
  const [ann, ben] = await gather(mesh, 'rpc', { ann: 0, ben: 1 });
  for (const guest of [ann, ben]) {
    guest.me.registerRpcMethod('greet', async ({ callerIdentity, payload }) => {
      if (payload === 'fail') throw new RpcError(4711, 'on purpose', 'more of it');
      if (payload === 'bug') throw new Error('not told');
      if (payload === 'sleep') await new Promise((resolve) => setTimeout(resolve, 6_000));
      return `${callerIdentity} said ${payload.length > 100 ? payload.length : payload}`;
    });
  }
  const call = (from, to, payload, more = {}) =>
    from.me.performRpc({ destinationIdentity: to.identity, method: 'greet', payload, ...more });
  assert.equal(await call(ann, ben, 'hello'), 'ann said hello');
  assert.equal(await call(ben, ann, 'hello'), 'ben said hello');
  assert.equal(await call(ann, ben, 'x'.repeat(14_000)), 'ann said 14000');
  const codes = RpcError.ErrorCode;
  await assert.rejects(call(ann, ben, 'fail'), { code: 4711, message: 'on purpose', data: 'more of it' });
  await assert.rejects(call(ben, ann, 'bug'), { code: codes.APPLICATION_ERROR });
  await assert.rejects(call(ann, ben, 'sleep', { responseTimeout: 2_000 }), { code: codes.RESPONSE_TIMEOUT });
  await assert.rejects(call(ann, ben, '?', { method: 'unknown' }), { code: codes.UNSUPPORTED_METHOD });
});

test('names, metadata and attributes are known on the other node', async () => {
  const [ann, ben] = await gather(mesh, 'attributes', { ann: 0, ben: 1 });
  await ann.me.updateName('Ann B.');
  await ann.me.updateMetadata('{"seat":7}');
  await ann.me.setAttributes({ hand: 'up', mood: 'good' });
  await ann.me.setAttributes({ mood: '' });
  const known = ben.room.remoteParticipants.get('ann');
  const told = () => JSON.stringify([known.name, known.metadata, known.attributes]);
  await until('ben knows', () => told() === JSON.stringify(['Ann B.', '{"seat":7}', { hand: 'up' }]));
});

test('an application tells and removes participants of other nodes', async () => {
  const [ann, ben] = await gather(mesh, 'served', { ann: 0, ben: 1 });
  const client = new RoomServiceClient(mesh.nodes[2].url.replace(/^ws/, 'http'), mesh.api_key, mesh.api_secret);
  await client.sendData('served', Uint8Array.of(9), 0, { destinationIdentities: ['ben'], topic: 'server' });
  const { what } = await ben.event(RoomEvent.DataReceived, ([number]) => number === 9);
  assert.deepEqual([what[1], what[3]], [undefined, 'server'], 'it has no sender');
  assert.equal(ann.count(RoomEvent.DataReceived), 0);
  await client.updateParticipant('served', 'ann', { metadata: 'moved', attributes: { desk: '3' } });
  await ben.event(RoomEvent.ParticipantMetadataChanged, (metadata, who) => who.identity === 'ann' && metadata === 'moved');
  await client.updateRoomMetadata('served', 'closing');
  await ben.event(RoomEvent.RoomMetadataChanged, (metadata) => metadata === 'closing');
  await client.removeParticipant('served', 'ann');
  await ann.event(RoomEvent.Disconnected);
  await ben.event(RoomEvent.ParticipantDisconnected, (who) => who.identity === 'ann');
});
