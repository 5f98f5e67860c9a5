// The nodes to try, in order, each with how it came to be there.
import { httpAddress, wsAddress } from './address.js';
import { messageOf, OrigoError } from './errors.js';
import { race, type Lap } from './race.js';
import { route, type Route, type RouteNode, type RouteOptions } from './route.js';
import type { Choice } from './why.js';

export interface Candidate {
  node: RouteNode;
  /** Null when it was not measured or did not answer. */
  rttMs: number | null;
  choice: Choice;
}

interface Search {
  /** Asked in this order until one answers; never empty. */
  clusters: readonly string[];
  room: string;
  node: string | undefined;
  avoid: string | undefined;
  fetch: typeof fetch | undefined;
  signal: AbortSignal | undefined;
}

/** Routes and races. Without a route, the cluster's first address is the only candidate. */
export async function candidates(search: Search): Promise<Candidate[]> {
  const bounds = {
    ...(search.fetch === undefined ? {} : { fetch: search.fetch }),
    ...(search.signal === undefined ? {} : { signal: search.signal }),
  };
  const found = await firstRoute(search, bounds);
  if (!('nodes' in found)) return [found];
  const others = found.nodes.filter((node) => node.id !== search.avoid);
  const nodes = others.length === 0 ? found.nodes : others;
  if (search.node !== undefined && search.node !== '') {
    const node = asked(nodes, search.node);
    const { laps } = await race([node], bounds);
    return [{ node, rttMs: laps[0]?.rttMs ?? null, choice: { kind: 'asked' } }];
  }
  const { laps } = await race(nodes, bounds);
  return inOrder(nodes, laps);
}

/** The route that the first answering address gives; the first address itself when none does. */
async function firstRoute(search: Search, bounds: Pick<RouteOptions, 'fetch' | 'signal'>): Promise<Route | Candidate> {
  let problem: unknown;
  for (const cluster of search.clusters) {
    try {
      return await route({ cluster, room: search.room, ...bounds });
    } catch (thrown) {
      if (search.signal?.aborted) throw new OrigoError('cancelled', 'The caller gave up.', { cause: thrown });
      problem ??= thrown;
    }
  }
  return fallback(search.clusters[0] ?? '', problem);
}

/** Those that answered by their time, the others as the mesh ranks them, those that failed the race last. */
export function inOrder(nodes: RouteNode[], laps: Lap[]): Candidate[] {
  const asRaced = (lap: Lap): Candidate => ({ node: lap.node, rttMs: lap.rttMs, choice: { kind: 'raced', lap, laps } });
  const answered = laps.filter((lap) => lap.outcome === 'answered').map(asRaced);
  const failed = laps.filter((lap) => lap.outcome === 'failed').map(asRaced);
  const others = nodes
    .filter((node) => !laps.some((lap) => lap.node === node && lap.outcome !== 'overtaken'))
    .map((node): Candidate => ({ node, rttMs: null, choice: { kind: 'ranked' } }));
  return answered.length === 0 ? [...failed, ...others] : [...answered, ...others, ...failed];
}

/** Finds a node by its id, else the best ranked one of a region. */
export function findNode(nodes: RouteNode[], wanted: string): RouteNode | undefined {
  const same = (name: string) => name.toLowerCase() === wanted.toLowerCase();
  return nodes.find((node) => same(node.id)) ?? nodes.find((node) => same(node.region));
}

function asked(nodes: RouteNode[], wanted: string): RouteNode {
  const node = findNode(nodes, wanted);
  if (node === undefined) {
    const known = nodes.map((each) => each.region || each.id).join(', ');
    throw new OrigoError('node_unknown', `There is no node "${wanted}"; the mesh offers ${known}.`);
  }
  return node;
}

function fallback(cluster: string, thrown: unknown): Candidate {
  const address = new URL(httpAddress(cluster));
  return {
    node: { id: address.host, region: '', url: wsAddress(cluster), distanceKm: null, load: null, why: '' },
    rttMs: null,
    choice: { kind: 'fallback', problem: messageOf(thrown) },
  };
}
