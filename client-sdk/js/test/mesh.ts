// A mesh of answers: a `fetch` that plays the nodes of a small world in virtual time.
import type { RouteNode } from '../src/route.js';

export interface PlayedNode {
  id: string;
  region: string;
  /** Null: never answers. */
  rttMs: number | null;
  status?: number;
}

export interface Mesh {
  fetch: typeof fetch;
  asked: { method: string; url: string; headers: Headers }[];
}

/** Plays `/v1/route`, `HEAD /` and whatever `extra` answers. Round trips are real timers; use fake ones. */
export function mesh(nodes: PlayedNode[], extra: (url: URL) => Response | undefined = () => undefined): Mesh {
  const asked: Mesh['asked'] = [];
  const play = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input as string);
    asked.push({ method: init.method ?? 'GET', url: url.href, headers: new Headers(init.headers) });
    const answered = extra(url);
    if (answered !== undefined) return answered;
    if (url.pathname === '/v1/route') return Response.json({ client: place, nodes: nodes.map(wire) });
    const node = nodes.find((each) => url.host === `${each.id}.test`);
    if (node === undefined) throw new TypeError('fetch failed');
    await wait(node.rttMs, init.signal ?? undefined);
    return new Response(null, { status: node.status ?? 200 });
  };
  return { fetch: play, asked };
}

export function routeNode(id: string, region: string): RouteNode {
  return { id, region, url: `wss://${id}.test`, distanceKm: 100, load: 0.1, why: 'nearest' };
}

const place = { country: 'DE', lat: 51, lon: 10, source: 'geoip' };

function wire(node: PlayedNode): object {
  return { id: node.id, region: node.region, url: `wss://${node.id}.test`, distance_km: 100, load: 0.1, why: 'nearest' };
}

function wait(ms: number | null, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')), { once: true });
    if (ms !== null) setTimeout(resolve, ms);
  });
}
