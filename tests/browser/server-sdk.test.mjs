// The unmodified npm `livekit-server-sdk`, which speaks Twirp in JSON: what one node makes, the others know.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RoomServiceClient } from 'livekit-server-sdk';
import { startMesh } from './mesh.mjs';

let mesh;
let clients;

before(async () => {
  mesh = await startMesh('server-sdk');
  clients = mesh.nodes.map(
    (node) => new RoomServiceClient(node.url.replace(/^ws/, 'http'), mesh.api_key, mesh.api_secret),
  );
});

after(() => mesh?.stop());

test('a room that one node makes is listed, described and deleted by the others', async () => {
  const made = await clients[0].createRoom({ name: 'js', metadata: 'plan A', emptyTimeout: 60, maxParticipants: 4 });
  assert.equal(made.metadata, 'plan A');
  const [listed] = await clients[1].listRooms(['js']);
  assert.deepEqual([listed.sid, listed.maxParticipants, listed.numParticipants], [made.sid, 4, 0]);
  assert.equal((await clients[2].updateRoomMetadata('js', 'plan B')).metadata, 'plan B');
  assert.equal((await clients[0].createRoom({ name: 'js' })).sid, made.sid);
  assert.deepEqual(await clients[1].listParticipants('js'), []);
  await clients[1].deleteRoom('js');
  assert.deepEqual(await clients[2].listRooms(['js']), []);
});

test('who is nowhere is not found, whichever method asks', async () => {
  const [client] = clients;
  for (const call of [
    () => client.getParticipant('js', 'nobody'),
    () => client.removeParticipant('js', 'nobody'),
    () => client.updateParticipant('js', 'nobody', { metadata: 'x', attributes: { a: 'b' } }),
    () => client.mutePublishedTrack('js', 'nobody', 'TR_23456789ABCD', true),
    () => client.updateSubscriptions('js', 'nobody', ['TR_23456789ABCD'], true),
    () => client.sendData('js', new TextEncoder().encode('hello'), 0, { topic: 'news' }),
    () => client.deleteRoom('js'),
  ]) {
    await assert.rejects(call, (error) => error.status === 404 && error.code === 'not_found', String(call));
  }
});
