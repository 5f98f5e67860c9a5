// Measures the best-ranked nodes from where the client really is. The mesh ranks by what it knows of the client's
// address; only the client can tell how far the nodes are over its own network.
import { httpAddress } from './address.js';
import { messageOf } from './errors.js';
import { request } from './request.js';
import type { RouteNode } from './route.js';

/** One entrant's result. */
export interface Lap {
  node: RouteNode;
  /** The place in the mesh's ranking, from 0. */
  rank: number;
  /** Null unless it answered in time. */
  rttMs: number | null;
  /** `overtaken` was still running when another had won; `failed` is away or not healthy. */
  outcome: 'answered' | 'overtaken' | 'failed';
  /** Why it failed. */
  failure: string | null;
}

export interface RaceResult {
  /** In the order of the finish: the winner first, those without a time last. */
  laps: Lap[];
}

export interface RaceOptions {
  /** How many of the best ranked are measured. */
  entrants?: number;
  /** What every place in the ranking is worth, so that ties go to the mesh's own order. */
  headStartMs?: number;
  /** The end of the race, whoever is still running. */
  timeoutMs?: number;
  fetch?: typeof fetch;
  now?: () => number;
  signal?: AbortSignal;
}

export const ENTRANTS = 3;
/** Below the differences a person can hear, above the noise of one request on a busy machine. */
export const HEAD_START_MS = 10;
export const RACE_TIMEOUT_MS = 2000;
const SAMPLES = 2;
/** A node that needs more than double the winner's time, and this much more, cannot win any more. */
export const GRACE_MS = 60;

/**
 * Times `HEAD {url}/` on the first nodes. The first request to each opens the connection (DNS, TCP, TLS); the quicker of
 * two more on the open connection is the round trip. The slower one has met something else: a busy page, a lost packet.
 */
export async function race(nodes: RouteNode[], options: RaceOptions = {}): Promise<RaceResult> {
  const now = options.now ?? (() => performance.now());
  const timeoutMs = options.timeoutMs ?? RACE_TIMEOUT_MS;
  const headStartMs = options.headStartMs ?? HEAD_START_MS;
  const startedAt = now();
  const finish = new AbortController();
  const stop = () => finish.abort();
  options.signal?.addEventListener('abort', stop, { once: true });
  let graceTimer: ReturnType<typeof setTimeout> | undefined;

  const run = async (node: RouteNode, rank: number): Promise<Lap> => {
    try {
      const rttMs = await measure(node, { now, timeoutMs, signal: finish.signal, fetch: options.fetch });
      const elapsedMs = now() - startedAt;
      graceTimer ??= setTimeout(stop, Math.min(timeoutMs - elapsedMs, elapsedMs + GRACE_MS));
      return { node, rank, rttMs, outcome: 'answered', failure: null };
    } catch (thrown) {
      if (finish.signal.aborted) return { node, rank, rttMs: null, outcome: 'overtaken', failure: null };
      return { node, rank, rttMs: null, outcome: 'failed', failure: messageOf(thrown) };
    }
  };

  const laps = await Promise.all(nodes.slice(0, options.entrants ?? ENTRANTS).map(run));
  clearTimeout(graceTimer);
  options.signal?.removeEventListener('abort', stop);
  return { laps: rankLaps(laps, headStartMs) };
}

/** The order of the finish: time plus the head start lost by rank; without a time, the mesh's order. */
export function rankLaps(laps: Lap[], headStartMs: number): Lap[] {
  const score = (lap: Lap) => (lap.rttMs === null ? Infinity : lap.rttMs + lap.rank * headStartMs);
  return [...laps].sort((a, b) => {
    const [left, right] = [score(a), score(b)];
    return left === right ? a.rank - b.rank : left - right;
  });
}

interface Measurement {
  now: () => number;
  timeoutMs: number;
  signal: AbortSignal;
  fetch: typeof fetch | undefined;
}

async function measure(node: RouteNode, { now, fetch, ...bounds }: Measurement): Promise<number> {
  const url = `${httpAddress(node.url)}/`;
  const head = () =>
    request(url, { method: 'HEAD' }, fetch === undefined ? bounds : { fetch, ...bounds }, healthy);
  await head();
  let bestMs = Infinity;
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const sentAt = now();
    await head();
    bestMs = Math.min(bestMs, now() - sentAt);
  }
  return bestMs;
}

function healthy(response: Response): Promise<void> {
  if (response.ok) return Promise.resolve();
  return Promise.reject(new Error(`the node answered ${response.status}`));
}
