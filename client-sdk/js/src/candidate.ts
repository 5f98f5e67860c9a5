// The nodes to try, in order, each with how it came to be there.
import { httpAddress, wsAddress } from './address.js';
import { messageOf, OrigoError } from './errors.js';
import { race, type Lap } from './race.js';
import { route, type Route, type RouteNode } from './route.js';
import type { Choice } from './why.js';

export interface Candidate {
  node: RouteNode;
  /** Null when it was not measured or did not answer. */
  rttMs: number | null;
  choice: Choice;
}

interface Search {
  cluster: string;
  room: string;
  node: string | undefined;
  fetch: typeof fetch | undefined;
  signal: AbortSignal | undefined;
}

/** Routes and races. Without a route, the cluster's own address is the only candidate. */
export async function candidates(search: Search): Promise<Candidate[]> {
  const bounds = {
    ...(search.fetch === undefined ? {} : { fetch: search.fetch }),
    ...(search.signal === undefined ? {} : { signal: search.signal }),
  };
  let found: Route;
  try {
    found = await route({ cluster: search.cluster, room: search.room, ...bounds });
  } catch (thrown) {
    if (search.signal?.aborted) throw new OrigoError('cancelled', 'The caller gave up.', { cause: thrown });
    return [fallback(search.cluster, thrown)];
  }
  if (search.node !== undefined && search.node !== '') {
    const node = asked(found.nodes, search.node);
    const { laps } = await race([node], bounds);
    return [{ node, rttMs: laps[0]?.rttMs ?? null, choice: { kind: 'asked' } }];
  }
  const { laps } = await race(found.nodes, bounds);
  return inOrder(found.nodes, laps);
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
