// Webhooks of two nodes, read with the unmodified npm `livekit-server-sdk`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { dispose } from '@livekit/rtc-node';
import { AccessToken, WebhookReceiver } from 'livekit-server-sdk';
import { Guest, leaveAll, until } from './guest.mjs';
import { startNodes } from './nodes.mjs';

const KEY = 'webhookkey';
const SECRET = 'a webhook secret of more than 32 bytes';
const receiver = new WebhookReceiver(KEY, SECRET);
const taken = [];
let server;
let nodes;

before(async () => {
  server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    try {
      assert.equal(request.headers['content-type'], 'application/webhook+json');
      taken.push({ event: await receiver.receive(body, request.headers.authorization), body, ...request.headers });
      response.writeHead(200).end();
    } catch (error) {
      taken.push({ error });
      response.writeHead(400).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const hook = `http://127.0.0.1:${server.address().port}/livekit`;
  nodes = await startNodes(2, ['--api-key', KEY, '--api-secret', SECRET, '--webhook-urls', hook]);
});

after(async () => {
  await leaveAll();
  await nodes?.stop();
  server?.close();
  await dispose();
});

test('an application hears of a room on two nodes, and the SDK takes every signature', async () => {
  const token = (_, identity) => {
    const token = new AccessToken(KEY, SECRET, { identity });
    token.addGrant({ roomJoin: true, room: 'hooked' });
    return token.toJwt();
  };
  const mesh = { nodes: nodes.urls.map((url) => ({ url })), token };
  const ann = await new Guest('ann').join(mesh, 0, 'hooked');
  await until('ann is told of', () => taken.length >= 2);
  const ben = await new Guest('ben').join(mesh, 1, 'hooked');
  await until('ben is told of', () => taken.length >= 3);
  await ann.leave();
  await until('ann has left', () => taken.length >= 4);
  await ben.leave();
  await until('the room is over', () => taken.at(-1).event?.event === 'room_finished', 20_000);

  assert.deepEqual(
    taken.filter(({ error }) => error),
    [],
  );
  const told = taken.map(({ event }) => [event.event, event.participant?.identity ?? '']);
  assert.deepEqual(told, [
    ['room_started', ''],
    ['participant_joined', 'ann'],
    ['participant_joined', 'ben'],
    ['participant_left', 'ann'],
    ['participant_left', 'ben'],
    ['room_finished', ''],
  ]);
  assert.equal(new Set(taken.map(({ event }) => event.id)).size, taken.length, 'each has an id of its own');
  assert.equal(new Set(taken.map(({ event }) => event.room.sid)).size, 1);
  const [{ body, authorization }] = taken;
  await assert.rejects(receiver.receive(body.replace('hooked', 'forged'), authorization), 'a changed body is refused');
});
