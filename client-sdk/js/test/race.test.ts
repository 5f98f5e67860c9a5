import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GRACE_MS, HEAD_START_MS, race, RACE_TIMEOUT_MS, rankLaps } from '../src/race.js';
import { mesh, routeNode, type PlayedNode } from './mesh.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function run(nodes: PlayedNode[]) {
  const { fetch, asked } = mesh(nodes);
  const startedAt = performance.now();
  const running = race(nodes.map((node) => routeNode(node.id, node.region)), { fetch });
  await vi.runAllTimersAsync();
  const { laps } = await running;
  return { laps, asked, order: laps.map((lap) => lap.node.id), tookMs: performance.now() - startedAt };
}

describe('a race', () => {
  it('is won by the fastest node', async () => {
    const { order, laps } = await run([
      { id: 'far', region: 'sao-paulo', rttMs: 90 },
      { id: 'near', region: 'frankfurt', rttMs: 20 },
    ]);
    expect(order).toEqual(['near', 'far']);
    expect(laps[0]?.rttMs).toBe(20);
  });

  it('gives a tie to the better ranked', async () => {
    const { order } = await run([
      { id: 'first', region: 'a', rttMs: 20 + HEAD_START_MS - 1 },
      { id: 'second', region: 'b', rttMs: 20 },
    ]);
    expect(order).toEqual(['first', 'second']);
  });

  it('measures three nodes with three requests each', async () => {
    const { asked } = await run(['a', 'b', 'c', 'd'].map((id) => ({ id, region: id, rttMs: 10 })));
    expect(asked.map(({ method, url }) => `${method} ${url}`).sort()).toEqual(
      ['a', 'a', 'a', 'b', 'b', 'b', 'c', 'c', 'c'].map((id) => `HEAD https://${id}.test/`),
    );
  });

  it('does not wait for those who cannot win any more', async () => {
    const { order, laps, tookMs } = await run([
      { id: 'dead', region: 'a', rttMs: null },
      { id: 'near', region: 'b', rttMs: 10 },
    ]);
    expect(order).toEqual(['near', 'dead']);
    expect(laps[1]?.outcome).toBe('overtaken');
    expect(tookMs).toBe(30 + 30 + GRACE_MS);
  });

  it('ends when nobody answers, in the order of the ranking', async () => {
    const { order, laps, tookMs } = await run([
      { id: 'a', region: 'a', rttMs: null },
      { id: 'b', region: 'b', rttMs: null },
    ]);
    expect(order).toEqual(['a', 'b']);
    expect(laps.every((lap) => lap.rttMs === null)).toBe(true);
    expect(tookMs).toBe(RACE_TIMEOUT_MS);
  });

  it('has no place for a node that says it is not healthy', async () => {
    const { order, laps } = await run([
      { id: 'sick', region: 'a', rttMs: 1, status: 406 },
      { id: 'well', region: 'b', rttMs: 30 },
    ]);
    expect(order).toEqual(['well', 'sick']);
    expect(laps[1]?.failure).toBe('the node answered 406');
  });

  it('orders equal laps by rank', () => {
    const lap = (rank: number, rttMs: number | null) => ({
      node: routeNode(`n${rank}`, ''), rank, rttMs, outcome: 'answered' as const, failure: null,
    });
    const order = rankLaps([lap(2, null), lap(1, 10), lap(0, 18)], 8).map((each) => each.rank);
    expect(order).toEqual([0, 1, 2]);
  });
});
