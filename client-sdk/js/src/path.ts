// Asks which way the media of one track takes through the mesh to this participant.
import { httpAddress } from './address.js';
import { OrigoError } from './errors.js';
import { getJson } from './request.js';

export interface Hop {
  node: string;
  region: string;
}

export interface Path {
  /** From the node where the track is published to the node that serves this participant. */
  hops: Hop[];
}

export interface PathOptions {
  fetch?: typeof fetch;
  signal?: AbortSignal;
  timeoutMs?: number;
}

const PATH_TIMEOUT_MS = 4000;

/** `GET /v1/path?room=&track=` at the participant's own node, with the participant's own token. */
export async function path(
  nodeUrl: string,
  room: string,
  trackSid: string,
  token: string,
  options: PathOptions = {},
): Promise<Path> {
  const query = `room=${encodeURIComponent(room)}&track=${encodeURIComponent(trackSid)}`;
  const answer = await getJson(
    `${httpAddress(nodeUrl)}/v1/path?${query}`,
    { Authorization: `Bearer ${token}` },
    'path_failed',
    { timeoutMs: PATH_TIMEOUT_MS, ...options },
  );
  return parsePath(answer);
}

/** Checks an answer of `/v1/path`. */
export function parsePath(answer: unknown): Path {
  const hops: unknown = (answer as { hops?: unknown } | null)?.hops;
  if (!Array.isArray(hops)) throw new OrigoError('path_failed', 'The answer to /v1/path holds no hops.');
  return {
    hops: hops.map((hop: unknown) => {
      const { node, region } = (hop ?? {}) as { node?: unknown; region?: unknown };
      return { node: asText(node), region: asText(region) };
    }),
  };
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
