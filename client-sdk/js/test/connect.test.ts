import { ConnectionError } from 'livekit-client';
import type { Room } from 'livekit-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect, type ConnectOptions, type Stage } from '../src/connect.js';
import { mesh, type PlayedNode } from './mesh.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const world: PlayedNode[] = [
  { id: 'fra', region: 'frankfurt', rttMs: 1 },
  { id: 'iad', region: 'virginia', rttMs: 12 },
  { id: 'gru', region: 'sao-paulo', rttMs: 25 },
  { id: 'nrt', region: 'tokyo', rttMs: 120 },
];

/** Joins with rooms that connect unless `failing` says how they fail. */
async function join(options: Partial<ConnectOptions>, failing: Record<string, Error> = {}, nodes = world, gone = '') {
  const dialled: string[] = [];
  const stages: string[] = [];
  const given: object[] = [];
  const createRoom = (roomOptions: object) => {
    given.push(roomOptions);
    const connectRoom = (url: string) => {
      dialled.push(url);
      const failure = failing[url];
      return failure === undefined ? Promise.resolve() : Promise.reject(failure);
    };
    return { connect: connectRoom, disconnect: () => Promise.resolve() } as unknown as Room;
  };
  const onStage = (stage: Stage) => stages.push(stage.kind === 'routing' ? 'routing' : stage.node.id);
  const { fetch } = mesh(nodes, (url) => {
    if (url.host === gone) throw new TypeError('fetch failed');
    return undefined;
  });
  const joining = connect({ cluster: 'http://fra.test', room: 'r', token: 't', fetch, createRoom, onStage, ...options });
  const outcome = joining.then((connection) => ({ connection }), (error: unknown) => ({ error }));
  await vi.runAllTimersAsync();
  const result = await outcome;
  return { ...result, dialled, stages, given } as typeof result & {
    connection?: Awaited<typeof joining>; error?: unknown; dialled: string[]; stages: string[]; given: object[];
  };
}

describe('connect', () => {
  it('joins the winner of the race and says why', async () => {
    const { connection, dialled, stages } = await join({});
    expect(dialled).toEqual(['wss://fra.test']);
    expect(stages).toEqual(['routing', 'fra']);
    expect(connection?.node).toMatchObject({ id: 'fra', region: 'frankfurt', url: 'wss://fra.test', distanceKm: 100 });
    expect(connection?.node.rttMs).toBeGreaterThan(0);
    expect(connection?.node.why).toMatch(/^frankfurt answered in .* ms, the fastest of 3, and ranks best in the mesh \(nearest\)\.$/);
    expect(connection?.candidates.map((candidate) => candidate.node.id)).toEqual(['fra', 'iad', 'gru', 'nrt']);
  });

  it('falls to the next candidate when one cannot be reached', async () => {
    const { connection, dialled } = await join({}, { 'wss://fra.test': new Error('refused') });
    expect(dialled).toEqual(['wss://fra.test', 'wss://iad.test']);
    expect(connection?.node.why).toMatch(/^frankfurt could not be reached\. virginia answered in .* the fastest of 2/);
  });

  it('passes room options on, without its own', async () => {
    const { given } = await join({ dynacast: true });
    expect(given).toEqual([{ dynacast: true }]);
  });

  it('goes only to the node that is asked for, by id or region', async () => {
    const byRegion = await join({ node: 'Tokyo' });
    expect(byRegion.dialled).toEqual(['wss://nrt.test']);
    expect(byRegion.connection?.node.why).toBe('tokyo was asked for.');
    const byId = await join({ node: 'gru' }, { 'wss://gru.test': new Error('refused') });
    expect(byId.dialled).toEqual(['wss://gru.test']);
    expect(byId.error).toMatchObject({ code: 'unreachable' });
  });

  it('names the nodes there are when the one asked for is unknown', async () => {
    const { error } = await join({ node: 'mars' });
    expect(error).toMatchObject({
      code: 'node_unknown',
      reason: 'There is no node "mars"; the mesh offers frankfurt, virginia, sao-paulo, tokyo.',
    });
  });

  it('uses the cluster address, and says so, when there is no route', async () => {
    const { connection, dialled } = await join({}, {}, []);
    expect(dialled).toEqual(['ws://fra.test']);
    expect(connection?.node).toMatchObject({ id: 'fra.test', region: '', rttMs: null });
    expect(connection?.node.why).toBe(
      'The mesh gave no route (The mesh has no node for this room right now.), so the cluster address itself is used.',
    );
  });

  it('asks the next address when one does not answer, and leaves out the node that failed', async () => {
    const { connection, dialled } = await join({ cluster: ['http://gone.test', 'http://iad.test'], avoid: 'fra' }, {}, world, 'gone.test');
    expect(dialled).toEqual(['wss://iad.test']);
    expect(connection?.candidates.map((candidate) => candidate.node.id)).not.toContain('fra');
  });

  it('goes back to the node that failed when it is the only one', async () => {
    const { dialled } = await join({ avoid: 'fra' }, {}, world.slice(0, 1));
    expect(dialled).toEqual(['wss://fra.test']);
  });

  it('does not try a refused token at another node', async () => {
    const { error, dialled } = await join({}, { 'wss://fra.test': ConnectionError.notAllowed('token is expired', 401) });
    expect(dialled).toHaveLength(1);
    expect(error).toMatchObject({ code: 'not_allowed', status: 401, reason: 'The token was refused: token is expired' });
  });

  it('tells the last problem when all fail', async () => {
    const refused = Object.fromEntries(world.map(({ id }) => [`wss://${id}.test`, new Error(`${id} is away`)]));
    const { error, dialled } = await join({}, refused);
    expect(dialled).toHaveLength(4);
    expect(error).toMatchObject({ code: 'unreachable', reason: 'No node could be connected to (nrt is away).' });
  });

  it('stops when the caller gives up', async () => {
    const { error, dialled } = await join({ signal: AbortSignal.abort() });
    expect(dialled).toEqual([]);
    expect(error).toMatchObject({ code: 'cancelled' });
  });

  it('refuses to start without a token', async () => {
    expect((await join({ token: '' })).error).toMatchObject({ code: 'invalid_option' });
  });
});
