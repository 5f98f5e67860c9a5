// The unmodified npm `livekit-server-sdk`: every method, asked of each node about participants of the two others. A room
// has two homes of three nodes, so one of the nodes that are asked is no home of it.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { dispose, RoomEvent, TrackKind } from '@livekit/rtc-node';
import {
  AccessToken,
  AgentDispatchClient,
  DataPacket_Kind,
  EgressClient,
  IngressClient,
  RoomServiceClient,
  SipClient,
} from 'livekit-server-sdk';
import { startMesh } from '../browser/mesh.mjs';
import { gather, leaveAll, until } from './guest.mjs';
import { listen, publishTone, stopPlaying } from './media.mjs';

const NODES = [0, 1, 2];
let mesh;

before(async () => {
  mesh = await startMesh('sdk-node-server');
});

afterEach(async () => {
  await stopPlaying();
  await leaveAll();
});

after(async () => {
  await mesh?.stop();
  await dispose();
});

function address(n) {
  return mesh.nodes[n].url.replace(/^ws/, 'http');
}

function clientOf(n) {
  return new RoomServiceClient(address(n), mesh.api_key, mesh.api_secret);
}

for (const asked of NODES) {
  test(`every method works on node ${asked} for participants of the two others`, async () => {
    const room = `everything-${asked}`;
    const client = clientOf(asked);
    const made = await client.createRoom({ name: room, metadata: 'plan A', emptyTimeout: 60, departureTimeout: 1 });
    const [ann, ben] = await gather(mesh, room, { ann: (asked + 1) % 3, ben: (asked + 2) % 3 });
    assert.equal(await ann.room.getSid(), made.sid);
    assert.equal((await client.createRoom({ name: room })).sid, made.sid, 'it is made once');
    const [listed] = await client.listRooms([room]);
    assert.deepEqual([listed.sid, listed.numParticipants, listed.metadata], [made.sid, 2, 'plan A']);
    await client.updateRoomMetadata(room, 'plan B');
    await ann.event(RoomEvent.RoomMetadataChanged, (metadata) => metadata === 'plan B');

    const names = (await client.listParticipants(room)).map((participant) => participant.identity);
    assert.deepEqual(names.sort(), ['ann', 'ben']);
    assert.equal((await client.getParticipant(room, 'ann')).sid, ann.me.sid);
    const changed = await client.updateParticipant(room, 'ann', {
      metadata: 'chair',
      name: 'Ann B.',
      attributes: { seat: '1' },
    });
    assert.deepEqual([changed.metadata, changed.name, changed.attributes.seat], ['chair', 'Ann B.', '1']);
    const known = ben.room.remoteParticipants.get('ann');
    await until('ben knows', () => known.metadata === 'chair' && known.name === 'Ann B.' && known.attributes.seat);

    const published = await publishTone(ann.me, 440);
    const { track } = await ben.track('ann', TrackKind.KIND_AUDIO);
    const sounds = async () => (await listen(track, 440, 0.3)).sounding;
    await until('ben hears it', async () => (await sounds()) > 0.8);
    await client.updateSubscriptions(room, 'ben', [published.sid], false);
    await until('ben does not get it any more', async () => (await sounds()) < 0.1);
    await client.updateSubscriptions(room, 'ben', [published.sid], true);
    assert.equal((await client.mutePublishedTrack(room, 'ann', published.sid, true)).muted, true);
    await ben.event(RoomEvent.TrackMuted, (track) => track.sid === published.sid);

    const text = new TextEncoder();
    await client.sendData(room, text.encode('to all'), DataPacket_Kind.RELIABLE, { topic: 'news' });
    await client.sendData(room, text.encode('to ben'), DataPacket_Kind.RELIABLE, { destinationIdentities: ['ben'] });
    const says = (words) => (payload) => new TextDecoder().decode(payload) === words;
    await ann.event(RoomEvent.DataReceived, says('to all'));
    await ben.event(RoomEvent.DataReceived, says('to ben'));
    assert.equal(ann.count(RoomEvent.DataReceived), 1);

    await client.updateParticipant(room, 'ann', { permission: { canSubscribe: true, canPublish: false } });
    await ben.event(RoomEvent.TrackUnpublished, (track) => track.sid === published.sid);
    await client.removeParticipant(room, 'ann');
    await ann.event(RoomEvent.Disconnected);
    await ben.event(RoomEvent.ParticipantDisconnected, (who) => who.identity === 'ann');
    await client.deleteRoom(room);
    await ben.event(RoomEvent.Disconnected);
    assert.deepEqual(await client.listRooms([room]), []);
  });
}

test('a made room is the same on every node while it waits for somebody to come back', async () => {
  const room = 'waiting';
  const made = await clientOf(0).createRoom({ name: room, metadata: 'plan', departureTimeout: 20 });
  const [ann, ben] = await gather(mesh, room, { ann: 1, ben: 2 });
  await Promise.all([ann.leave(), ben.leave()]);
  const isEmpty = async () => (await clientOf(0).listRooms([room]))[0]?.numParticipants === 0;
  await until('the room is empty and there', isEmpty);
  for (const n of NODES) {
    assert.equal((await clientOf(n).createRoom({ name: room, metadata: 'other' })).sid, made.sid, `by node ${n}`);
    assert.equal((await clientOf(n).listRooms([room]))[0].metadata, 'plan');
  }
  await clientOf(1).deleteRoom(room);
  assert.deepEqual(await clientOf(2).listRooms([room]), []);
});

test('a call that cannot be done says why, whichever node is asked', async () => {
  await gather(mesh, 'refusing', { ann: 0 });
  for (const asked of NODES) {
    const client = clientOf(asked);
    const stranger = new RoomServiceClient(address(asked), mesh.api_key, 'not the secret of this mesh at all');
    const cases = {
      not_found: [
        () => client.getParticipant('refusing', 'nobody'),
        () => client.removeParticipant('refusing', 'nobody'),
        () => client.mutePublishedTrack('refusing', 'ann', 'TR_23456789ABCD', true),
        () => client.updateParticipant('refusing', 'nobody', { metadata: 'x' }),
        () => client.updateSubscriptions('refusing', 'nobody', ['TR_23456789ABCD'], true),
        () => client.sendData('no such room', Uint8Array.of(1), 0, {}),
        () => client.deleteRoom('no such room'),
        () => client.updateRoomMetadata('no such room', 'x'),
      ],
      unauthenticated: [() => stranger.listRooms(), () => stranger.createRoom({ name: 'x' })],
      invalid_argument: [() => client.createRoom({ name: '' })],
      resource_exhausted: [() => client.createRoom({ name: 'x'.repeat(300) })],
    };
    for (const [code, calls] of Object.entries(cases)) {
      for (const call of calls) {
        await assert.rejects(call, (error) => {
          assert.equal(error.code, code, `${call} on node ${asked}: ${error}`);
          return true;
        });
      }
    }
  }
});

test('a token that does not grant it, or not for this room, is refused by every node', async () => {
  const token = async (grant) => {
    const token = new AccessToken(mesh.api_key, mesh.api_secret, { identity: 'ann' });
    token.addGrant(grant);
    return token.toJwt();
  };
  const call = async (n, method, grant, body) => {
    const answer = await fetch(`${address(n)}/twirp/livekit.RoomService/${method}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${await token(grant)}` },
      body: JSON.stringify(body),
    });
    return [answer.status, (await answer.json()).code];
  };
  for (const n of NODES) {
    const denied = [403, 'permission_denied'];
    assert.deepEqual(await call(n, 'ListRooms', { roomCreate: true }, {}), denied);
    assert.deepEqual(await call(n, 'CreateRoom', { roomList: true }, { name: 'x' }), denied);
    assert.deepEqual(await call(n, 'DeleteRoom', { roomList: true }, { room: 'x' }), denied);
    const admin = { roomAdmin: true, room: 'mine' };
    for (const method of ['ListParticipants', 'GetParticipant', 'RemoveParticipant', 'UpdateRoomMetadata', 'SendData']) {
      assert.deepEqual(await call(n, method, admin, { room: 'another', identity: 'ann' }), denied, method);
    }
    assert.deepEqual(await call(n, 'ListParticipants', { roomJoin: true, room: 'mine' }, { room: 'mine' }), denied);
  }
});

test('services and methods that are not served say so', async () => {
  const with_ = (Client) => new Client(address(1), mesh.api_key, mesh.api_secret);
  for (const call of [
    () => with_(EgressClient).listEgress(),
    () => with_(IngressClient).listIngress(),
    () => with_(SipClient).listSipInboundTrunk(),
    () => with_(AgentDispatchClient).listDispatch('any'),
    () => clientOf(1).forwardParticipant('a', 'b', 'c'),
    () => clientOf(1).moveParticipant('a', 'b', 'c'),
  ]) {
    await assert.rejects(call, { status: 501, code: 'unimplemented' }, String(call));
  }
});
