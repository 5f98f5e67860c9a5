// Asks which way the media of one track takes through the mesh to this participant.
import { httpAddress } from './address.js';
import { OrigoError } from './errors.js';
import { getJson } from './request.js';

export interface Hop {
  node: string;
  region: string;
}

/** One link of a path, in the direction of the media. A figure that nobody has measured is null. */
export interface Link {
  fromRegion: string;
  toRegion: string;
  /** One way, queues included. */
  delayMs: number | null;
  jitterMs: number | null;
  queueMs: number | null;
  /** Before repair. */
  lossPercent: number | null;
  /** After repair. */
  lostPercent: number | null;
}

export interface Path {
  /** From the node where the track is published to the node that serves this participant. */
  hops: Hop[];
  /** Between them. */
  links: Link[];
  /** All links together, one way. */
  delayMs: number | null;
  /** The link that hurts most, counted from the publisher, with a sentence; null when all is well. */
  hurts: { hop: number; why: string } | null;
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
  const { hops, links, delay_ms, hurts } = (answer ?? {}) as Record<string, unknown>;
  if (!Array.isArray(hops)) throw new OrigoError('path_failed', 'The answer to /v1/path holds no hops.');
  return {
    hops: hops.map((hop: unknown) => {
      const { node, region } = (hop ?? {}) as { node?: unknown; region?: unknown };
      return { node: asText(node), region: asText(region) };
    }),
    links: Array.isArray(links) ? links.map(parseLink) : [],
    delayMs: asNumber(delay_ms),
    hurts: parseHurts(hurts),
  };
}

function parseLink(link: unknown): Link {
  const { from_region, to_region, delay_ms, jitter_ms, queue_ms, loss_percent, lost_percent } = (link ??
    {}) as Record<string, unknown>;
  return {
    fromRegion: asText(from_region),
    toRegion: asText(to_region),
    delayMs: asNumber(delay_ms),
    jitterMs: asNumber(jitter_ms),
    queueMs: asNumber(queue_ms),
    lossPercent: asNumber(loss_percent),
    lostPercent: asNumber(lost_percent),
  };
}

function parseHurts(hurts: unknown): Path['hurts'] {
  const { hop, why } = (hurts ?? {}) as { hop?: unknown; why?: unknown };
  return typeof hop === 'number' && typeof why === 'string' ? { hop, why } : null;
}

function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
