// Route, race, connect: joins a room at the nearest healthy node and says which one it is and why.
import { ConnectionError, ConnectionErrorReason, DefaultReconnectPolicy, Room } from 'livekit-client';
import type { RoomConnectOptions, RoomOptions } from 'livekit-client';
import { httpAddress, wsAddress } from './address.js';
import { candidates, type Candidate } from './candidate.js';
import { messageOf, OrigoError } from './errors.js';
import { CutWatch, follow } from './move.js';
import type { RouteNode } from './route.js';
import { successorUrl } from './successor.js';
import { whyChosen } from './why.js';

/** What `connect` is doing, for a progress line. */
export type Stage = { kind: 'routing' } | { kind: 'connecting'; node: RouteNode };

/** LiveKit's room options, and how to find the room. */
export interface ConnectOptions extends RoomOptions {
  /** The HTTP(S) address of any node of the mesh, or several to be asked in turn. */
  cluster: string | readonly string[];
  room: string;
  /** A LiveKit access token. */
  token: string;
  /** Forces a node, by id or by region; nothing else is tried then. */
  node?: string | undefined;
  /** Leaves out a node, by id, while there is another: the one that has just failed. */
  avoid?: string | undefined;
  connectOptions?: RoomConnectOptions;
  /** Called with each `Room` before it connects, to register handlers that must not miss anything. */
  prepare?: (room: Room) => void;
  /**
   * Keeps the call alive: when its node is taken out of service, or is gone, a session at another node takes its place,
   * with the same participant and tracks. Elements that tracks are attached to go on; what else holds the old `room` takes
   * the new one here, in this call.
   */
  onMove?: (moved: Connection, before: Connection) => void;
  onStage?: (stage: Stage) => void;
  signal?: AbortSignal;
  fetch?: typeof fetch;
  /** Replaces `new Room(options)`, for tests. */
  createRoom?: (options: RoomOptions) => Room;
}

/** The node that was connected to. */
export interface ConnectedNode {
  id: string;
  region: string;
  /** The WebSocket address; `path()` takes it as well. */
  url: string;
  distanceKm: number | null;
  /** Measured in the race; null when the node was not measured. */
  rttMs: number | null;
  /** Why this node, in a sentence. */
  why: string;
}

export interface Connection {
  room: Room;
  node: ConnectedNode;
  /** All that were considered, in the order in which they were or would have been tried. */
  candidates: Candidate[];
}

/** Joins `room` at the best node; falls to the next candidate when one cannot be reached. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { cluster, room, token, node, avoid, connectOptions, prepare, onMove, onStage, signal, fetch, createRoom, ...given } =
    options;
  const roomOptions: RoomOptions = given;
  const reconnectPolicy = given.reconnectPolicy ?? new DefaultReconnectPolicy();
  const clusters = typeof cluster === 'string' ? [cluster] : cluster;
  if (clusters.length === 0) throw new OrigoError('invalid_option', 'An address of the cluster is needed.');
  clusters.forEach(httpAddress);
  if (token === '') throw new OrigoError('invalid_option', 'A token is needed to join a room.');

  onStage?.({ kind: 'routing' });
  const considered = await candidates({ clusters, room, node, avoid, fetch, signal });
  const failed: RouteNode[] = [];
  let problem = '';
  for (const [index, candidate] of considered.entries()) {
    throwIfCancelled(signal);
    onStage?.({ kind: 'connecting', node: candidate.node });
    const cut = new CutWatch(reconnectPolicy);
    const newRoom = createRoom ?? ((given) => new Room(given));
    const attempt = newRoom(onMove ? { ...roomOptions, reconnectPolicy: cut } : roomOptions);
    prepare?.(attempt);
    try {
      // A retry at the same node only pays when there is no other one to go to.
      const maxRetries = index === considered.length - 1 ? 1 : 0;
      const url = onMove ? successorUrl(candidate.node.url) : wsAddress(candidate.node.url);
      await connectRoom(attempt, url, token, { maxRetries, ...connectOptions }, signal);
      const connection = { room: attempt, node: describe(candidate, failed), candidates: considered };
      if (onMove) {
        const options = { ...roomOptions, reconnectPolicy };
        const ask = fetch ?? globalThis.fetch.bind(globalThis);
        follow(connection, cut, {
          clusters, roomName: room, token, room: newRoom, roomOptions: options, connectOptions: connectOptions ?? {}, prepare, onMove, fetch: ask,
        });
      }
      return connection;
    } catch (thrown) {
      await attempt.disconnect().catch(() => undefined);
      throwIfCancelled(signal);
      if (isRefusal(thrown)) throw refusal(thrown);
      failed.push(candidate.node);
      problem = messageOf(thrown);
    }
  }
  throw new OrigoError('unreachable', `No node could be connected to (${problem}).`);
}

async function connectRoom(
  room: Room,
  url: string,
  token: string,
  options: RoomConnectOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const giveUp = () => void room.disconnect();
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    await room.connect(url, token, options);
  } finally {
    signal?.removeEventListener('abort', giveUp);
  }
}

function describe({ node, rttMs, choice }: Candidate, failed: RouteNode[]): ConnectedNode {
  return {
    id: node.id,
    region: node.region,
    url: wsAddress(node.url),
    distanceKm: node.distanceKm,
    rttMs,
    why: whyChosen(node, choice, failed),
  };
}

/** A token that one node refuses is refused by all of them: their keys are the same. */
function isRefusal(thrown: unknown): thrown is ConnectionError {
  return thrown instanceof ConnectionError && thrown.reason === ConnectionErrorReason.NotAllowed;
}

function refusal(error: ConnectionError): OrigoError {
  const status = typeof error.status === 'number' ? { status: error.status } : {};
  return new OrigoError('not_allowed', `The token was refused: ${error.message}`, { cause: error, ...status });
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new OrigoError('cancelled', 'The caller gave up.');
}
