// Asks the mesh which nodes are best for this client. The ranking is the mesh's; `race.ts` then measures.
import { httpAddress } from './address.js';
import { OrigoError } from './errors.js';
import { getJson } from './request.js';

/** Where the mesh believes this client is. Unknown figures are null. */
export interface ClientPlace {
  country: string | null;
  lat: number | null;
  lon: number | null;
  /** How the place was found, in the mesh's word. */
  source: string;
}

export interface RouteNode {
  id: string;
  region: string;
  /** What a LiveKit SDK takes as its server URL. */
  url: string;
  distanceKm: number | null;
  /** 0 is idle, 1 is full. */
  load: number | null;
  /** Why the mesh ranked the node here. */
  why: string;
}

export interface Route {
  client: ClientPlace;
  /** Best first, never empty. */
  nodes: RouteNode[];
}

export interface RouteOptions {
  /** The HTTP(S) address of any node of the mesh. */
  cluster: string;
  room: string;
  fetch?: typeof fetch;
  signal?: AbortSignal;
  timeoutMs?: number;
}

/** Long enough for a cold connection across the world, short enough to fall back while a person waits. */
export const ROUTE_TIMEOUT_MS = 4000;

/** `GET /v1/route?room=`: the candidate nodes for a room, best first. */
export async function route(options: RouteOptions): Promise<Route> {
  const url = `${httpAddress(options.cluster)}/v1/route?room=${encodeURIComponent(options.room)}`;
  const answer = await getJson(url, {}, 'route_failed', { timeoutMs: ROUTE_TIMEOUT_MS, ...options });
  return parseRoute(answer);
}

/** Checks an answer of `/v1/route`. Nodes that miss an id or an address are left out. */
export function parseRoute(answer: unknown): Route {
  const body = record(answer);
  if (!Array.isArray(body['nodes'])) {
    throw new OrigoError('route_failed', 'The answer to /v1/route holds no list of nodes.');
  }
  const nodes = body['nodes'].map(parseNode).filter((node) => node !== null);
  if (nodes.length === 0) throw new OrigoError('route_failed', 'The mesh has no node for this room right now.');
  const client = record(body['client']);
  return {
    client: {
      country: text(client['country']),
      lat: figure(client['lat']),
      lon: figure(client['lon']),
      source: text(client['source']) ?? 'unknown',
    },
    nodes,
  };
}

function parseNode(entry: unknown): RouteNode | null {
  const node = record(entry);
  const id = text(node['id']);
  const url = text(node['url']);
  if (id === null || url === null) return null;
  return {
    id,
    url,
    region: text(node['region']) ?? '',
    distanceKm: figure(node['distance_km']),
    load: figure(node['load']),
    why: text(node['why']) ?? '',
  };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function figure(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
