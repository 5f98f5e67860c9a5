import { DefaultReconnectPolicy } from 'livekit-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection } from '../src/connect.js';
import { CutWatch, follow, readMove } from '../src/move.js';
import { mesh } from './mesh.js';
import { FakeRemote, FakeRoom } from './rooms.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const world = ['fra', 'iad', 'nrt'].map((id) => ({ id, region: `${id}-region`, rttMs: 1 }));
const asking = (node: string) => bytes(JSON.stringify({ node, region: `${node}-region`, url: `wss://${node}.test` }));
const bytes = (text: string) => new TextEncoder().encode(text);

/** A call at `fra`, and what becomes of it; `gone` are nodes that refuse, `dead` ones that say nothing, `refusing` rooms that
 * do not connect. */
function call({ gone = [] as string[], dead = [] as string[], refusing = 0, connectMs = 0 } = {}) {
  const rooms: FakeRoom[] = [new FakeRoom('PA_ann')];
  const moves: { moved: Connection; before: Connection }[] = [];
  /** What the application hears of data, by the session on which it listens. */
  const heard: string[] = [];
  const listen = (room: FakeRoom, session: string) =>
    room.on('dataReceived', (payload: Uint8Array, _from: unknown, _kind: unknown, topic: string) => {
      if (topic === 'chat') heard.push(`${session}: ${new TextDecoder().decode(payload)}`);
    });
  listen(rooms[0]!, 'old');
  const silent = (id: string) => dead.includes(id);
  const { fetch } = mesh(world.map((node) => (silent(node.id) ? { ...node, rttMs: null } : node)), (url) => {
    if (gone.some((id) => url.host === `${id}.test`)) throw new TypeError('fetch failed');
    return undefined;
  });
  const node = { id: 'fra', region: 'fra-region', url: 'wss://fra.test', distanceKm: null, rttMs: null, why: '' };
  const candidates = world.map(({ id, region }) => ({
    node: { id, region, url: `wss://${id}.test`, distanceKm: 1, load: 0, why: 'nearest' }, rttMs: 1, choice: null,
  }));
  const cut = new CutWatch(new DefaultReconnectPolicy());
  follow({ room: rooms[0]!.asRoom(), node, candidates } as unknown as Connection, cut, {
    clusters: ['http://iad.test'],
    roomName: 'r',
    token: 't',
    room: (options) => {
      const room = new FakeRoom('PA_ann', options);
      if (rooms.length <= refusing) room.refuses = new Error('refused');
      room.connectMs = connectMs;
      rooms.push(room);
      return room.asRoom();
    },
    roomOptions: { reconnectPolicy: cut },
    connectOptions: {},
    prepare: undefined,
    onMove: (moved, before) => {
      moves.push({ moved, before });
      listen(moved.room as unknown as FakeRoom, 'new');
    },
    fetch,
  });
  return { rooms, first: rooms[0]!, moves, heard, cut };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
/** What the node of a session says by a data packet. */
const told = (room: FakeRoom, payload: Uint8Array, participant?: object) =>
  room.emit('dataReceived', payload, participant, 0, 'origo.move');

describe('readMove', () => {
  it('reads what a node says, and nothing else', () => {
    expect(readMove(asking('iad'), 'origo.move')).toEqual({ node: 'iad', region: 'iad-region', url: 'wss://iad.test' });
    expect(readMove(asking('iad'), 'lk.chat')).toBeNull();
    expect(readMove(bytes('no JSON'), 'origo.move')).toBeNull();
    expect(readMove(bytes('{"node":"iad","url":"javascript:alert(1)"}'), 'origo.move')).toBeNull();
    expect(readMove(bytes('null'), 'origo.move')).toBeNull();
  });
});

describe('a node that asks its client to go on elsewhere', () => {
  it('is left for the one that it names, beside the session that there is, which ends 3 s later', async () => {
    const { rooms, first, moves } = call();
    told(first, asking('nrt'));
    await pass(10);
    expect(rooms[1]?.deeds).toEqual([['connect', 'wss://nrt.test?origo_successor=PA_ann', 't']]);
    expect(moves).toHaveLength(1);
    expect(moves[0]?.before.room).toBe(first);
    expect(moves[0]?.moved).toMatchObject({ room: rooms[1], node: { id: 'nrt', why: 'fra-region asked to go on here.' } });
    await pass(2_900);
    expect(first.ended).toBe(false);
    await pass(200);
    expect(first.deeds).toEqual([['disconnect', false]]);
  });

  it('is left with the token that it gave last, by which another one knows who comes', async () => {
    const { rooms, first } = call();
    first.engine = { token: 'fresh' };
    told(first, asking('nrt'));
    await pass(10);
    expect(rooms[1]?.deeds).toEqual([['connect', 'wss://nrt.test?origo_successor=PA_ann', 'fresh']]);
    rooms[1]!.engine = { token: 'fresher' };
    told(rooms[1]!, asking('iad'));
    await pass(10);
    expect(rooms[2]?.deeds).toEqual([['connect', 'wss://iad.test?origo_successor=PA_ann', 'fresher']]);
    // An SDK that keeps it elsewhere, or has given up, leaves the first one.
    rooms[2]!.engine = undefined;
    told(rooms[2]!, asking('fra'));
    await pass(10);
    expect(rooms[3]?.deeds).toEqual([['connect', 'wss://fra.test?origo_successor=PA_ann', 't']]);
  });

  it('is not taken for one when a participant says so', async () => {
    const { rooms, first } = call();
    told(first, asking('nrt'), { identity: 'eve' });
    await pass(5_000);
    expect(rooms).toHaveLength(1);
  });

  it('is followed once, and then the next one is listened to', async () => {
    const { rooms, first, moves } = call();
    told(first, asking('nrt'));
    told(first, asking('iad'));
    await pass(10);
    expect(rooms).toHaveLength(2);
    told(rooms[1]!, asking('iad'));
    await pass(10);
    expect(moves.map(({ moved }) => moved.node.id)).toEqual(['nrt', 'iad']);
  });

  it('keeps its client when the next node does not take it, and may ask again', async () => {
    const { rooms, first, moves } = call({ refusing: 1 });
    told(first, asking('nrt'));
    await pass(10);
    expect(rooms[1]?.ended).toBe(true);
    expect([moves.length, first.ended]).toEqual([0, false]);
    told(first, asking('iad'));
    await pass(10);
    expect(moves.map(({ moved }) => moved.node.id)).toEqual(['iad']);
  });

  it('waits for a stream that is being sent, for some seconds', async () => {
    const { rooms, first, moves } = call();
    const text = first.asRoom().localParticipant.sendText('a long story');
    told(first, asking('nrt'));
    await pass(1_000);
    expect(rooms).toHaveLength(1);
    first.sent();
    await text;
    await pass(100);
    expect(moves).toHaveLength(1);

    const endless = call();
    void endless.first.asRoom().localParticipant.streamText();
    told(endless.first, asking('nrt'));
    await pass(4_900);
    expect(endless.moves).toHaveLength(0);
    await pass(200);
    expect(endless.moves).toHaveLength(1);
  });

  it('counts a writer as sending until it is closed', async () => {
    const { first, moves } = call();
    const writer = await first.asRoom().localParticipant.streamText();
    told(first, asking('nrt'));
    await pass(1_000);
    expect(moves).toHaveLength(0);
    await writer.close();
    await pass(100);
    expect(moves).toHaveLength(1);
  });

  it('is not left by a stream that comes before that has come whole', async () => {
    const { first } = call();
    first.incomingDataStreamManager.byteStreamControllers.set('file', {});
    told(first, asking('nrt'));
    await pass(4_000);
    expect(first.ended).toBe(false);
    first.incomingDataStreamManager.byteStreamControllers.clear();
    await pass(100);
    expect(first.ended).toBe(true);
  });

  it('loses no data: what came to the new session alone is told again, once', async () => {
    const { rooms, first, heard } = call({ connectMs: 100 });
    told(first, asking('nrt'));
    await pass(50);
    const said = (room: FakeRoom | undefined, text: string) => room?.emit('dataReceived', bytes(text), { identity: 'bob' }, 0, 'chat');
    said(first, 'both');
    said(rooms[1], 'both');
    said(rooms[1], 'new alone');
    expect(heard).toEqual(['old: both']);
    await pass(100);
    said(rooms[1], 'later');
    expect(heard).toEqual(['old: both', 'new: new alone', 'new: later']);
  });
});

describe('a node that is cut off', () => {
  it('is not left while it answers', async () => {
    const { rooms, cut } = call();
    expect(cut.nextRetryDelayInMs({ elapsedMs: 0, retryCount: 0 })).toBe(0);
    await pass(5_000);
    expect(rooms).toHaveLength(1);
  });

  it('is left for the second choice when it is gone, and its session ends at once', async () => {
    const { first, moves, cut } = call({ gone: ['fra'] });
    await pass(10);
    cut.nextRetryDelayInMs({ elapsedMs: 0, retryCount: 0 });
    await pass(20);
    expect(moves.map(({ moved }) => moved.node)).toMatchObject([{ id: 'iad', why: 'fra-region is gone.' }]);
    expect(first.ended).toBe(true);
  });

  it('is left for the third when the second does not take its people', async () => {
    const { moves, cut } = call({ gone: ['fra'], refusing: 1 });
    cut.nextRetryDelayInMs({ elapsedMs: 0, retryCount: 0 });
    await pass(50);
    expect(moves.map(({ moved }) => moved.node.id)).toEqual(['nrt']);
  });

  it('is retried as the application wants it from the second time on', () => {
    const { cut } = call();
    const policy = new DefaultReconnectPolicy([100, 300]);
    const watch = new CutWatch(policy);
    expect(watch.nextRetryDelayInMs({ elapsedMs: 0, retryCount: 0 })).toBe(0);
    expect(watch.nextRetryDelayInMs({ elapsedMs: 0, retryCount: 2 })).toBeNull();
    expect(cut).toBeInstanceOf(CutWatch);
  });
});

describe('a node of which nothing comes any more', () => {
  /** Somebody is heard, until they are not. */
  const talk = (room: FakeRoom) => {
    const remote = room.has('bob', new FakeRemote('TR_bob'));
    const timer = setInterval(() => (remote.packets += 1), 20);
    return () => clearInterval(timer);
  };

  it('is left within half a second, though it has cut nothing off, and is said to be gone', async () => {
    const { first, moves } = call({ dead: ['fra'], connectMs: 100 });
    const hush = talk(first);
    await pass(3_000);
    expect(moves).toHaveLength(0);
    hush();
    await pass(250);
    expect(moves).toHaveLength(0);
    await pass(250);
    expect(moves.map(({ moved }) => moved.node)).toMatchObject([{ id: 'iad', why: 'fra-region is gone.' }]);
    expect(first.ended).toBe(true);
  });

  it('is not left if it answers before a session stands elsewhere', async () => {
    const { rooms, first, moves } = call({ connectMs: 300 });
    const hush = talk(first);
    await pass(3_000);
    hush();
    await pass(5_000);
    expect(rooms.length).toBeGreaterThan(1);
    expect(rooms.slice(1).every((room) => room.ended)).toBe(true);
    expect([moves.length, first.ended]).toEqual([0, false]);
  });

  it('is not left if media come again before that', async () => {
    const { rooms, first, moves } = call({ dead: ['fra'], connectMs: 2_000 });
    talk(first)();
    const hush = talk(first);
    await pass(3_000);
    hush();
    await pass(500);
    expect(rooms[1]?.ended).toBe(false);
    talk(first);
    await pass(3_000);
    expect(rooms[1]?.ended).toBe(true);
    expect([moves.length, first.ended]).toEqual([0, false]);
  });

  it('is left for the third when the second takes nobody', async () => {
    const { first, moves } = call({ dead: ['fra'], refusing: 1 });
    const hush = talk(first);
    await pass(3_000);
    hush();
    await pass(500);
    expect(moves.map(({ moved }) => moved.node.id)).toEqual(['nrt']);
  });

  it('is not looked for when nothing is usual in the room', async () => {
    const { rooms } = call({ dead: ['fra'] });
    await pass(20_000);
    expect(rooms).toHaveLength(1);
  });
});
