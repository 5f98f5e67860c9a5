// Keeps a call alive: moves it to another node when its own asks for that, or is gone.
import { RoomEvent, type ReconnectContext, type ReconnectPolicy, type Room, type RoomOptions } from 'livekit-client';
import { httpAddress } from './address.js';
import { Arriving, Carry } from './carry.js';
import type { Connection } from './connect.js';
import { Arrivals, Pulse, TICK_MS } from './pulse.js';
import { route, type RouteNode } from './route.js';
import { Streams, whileBusy } from './streams.js';
import { adopt, begin, changeOver, flows, successorUrl, type Pair } from './successor.js';
import { newestToken } from './token.js';

/** Topic of the packet by which a node asks its client to go on at another one. */
const TOPIC = 'origo.move';
/** How long a node may take to say that it lives. A dead machine says nothing, a dead process refuses at once. */
const ANSWER_MS = 400;
/** A node of which nothing comes any more has as long as the session at the next one takes; this is for the request. */
const LIVES_MS = 5_000;
/** How long an old session sends on beside its successor: the others need a keyframe of each picture, and the report of
 * each sound, which Chromium sends 2.44 to 2.48 s after it began (measured), to go over without a packet lost. */
const SENDS_ON_MS = 3_000;
/** What a stream that is being sent may still take; what takes longer goes on in the successor. The node waits for 10 s. */
const SENDS_OUT_MS = 5_000;
/** What a stream that comes may still take, once the old session is of no other use, where it cannot go on in the successor. */
const GETS_OUT_MS = 6_000;
/** How often the second choice is asked for a sign of life, so that the way there is open. */
const WARM_EVERY_MS = 20_000;

export interface MoveOptions {
  clusters: readonly string[];
  roomName: string;
  token: string;
  room: (options: RoomOptions) => Room;
  roomOptions: RoomOptions;
  connectOptions: object;
  prepare: ((room: Room) => void) | undefined;
  onMove: (moved: Connection, before: Connection) => void;
  fetch: typeof fetch;
}

/** Told by the SDK, without a delay, that the way to the node is cut. */
export class CutWatch implements ReconnectPolicy {
  onCut: () => void = () => undefined;

  constructor(private readonly next: ReconnectPolicy) {}

  nextRetryDelayInMs(context: ReconnectContext): number | null {
    if (context.retryCount > 0) return this.next.nextRetryDelayInMs(context);
    this.onCut();
    return 0;
  }
}

/** The node that a packet names, if it is such a packet. */
export function readMove(payload: Uint8Array, topic: string | undefined): { node: string; region: string; url: string } | null {
  if (topic !== TOPIC) return null;
  try {
    const { node, region, url } = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    httpAddress(String(url));
    return { node: String(node), region: String(region), url: String(url) };
  } catch {
    return null;
  }
}

/** Follows a connection, and each one that it becomes, until the call ends. */
export function follow(connection: Connection, cut: CutWatch, options: MoveOptions, carry = new Carry(connection.room)): void {
  const { room } = connection;
  const streams = new Streams(room);
  let moving = false;
  /** Aborted when a node of which nothing came is seen to live. */
  let doubt: AbortController | null = null;
  const [pulse, arrivals] = [new Pulse(), new Arrivals(room)];
  const timers = [setInterval(() => void warmUp(), WARM_EVERY_MS), setInterval(() => void look(), TICK_MS)];
  const stop = () => timers.forEach(clearInterval);
  let ranked: RouteNode[] = connection.candidates.map(({ node }) => node);
  const others = () => ranked.filter((node) => node.id !== connection.node.id);
  const warmUp = async () => {
    for (const cluster of [connection.node.url, ...options.clusters]) {
      const found = await route({ cluster, room: options.roomName, fetch: options.fetch }).catch(() => null);
      if (found) ranked = found.nodes;
      if (found) break;
    }
    const [second] = others();
    if (second) await answers(options.fetch, second.url);
  };

  const move = async (node: { id: string; region: string; url: string }, why: string, isDead: boolean, lives?: AbortSignal) => {
    if (moving) return false;
    moving = true;
    try {
      if (!isDead) await whileBusy(() => streams.sends, SENDS_OUT_MS);
      const { moved, arriving } = await succeed(connection, carry, node, why, isDead, options, lives);
      stop();
      options.onMove(moved, connection);
      arriving.release();
    } catch {
      moving = false;
      return false;
    }
    // Others see and hear what the old session sends until what the new one sends has begun.
    const end = () => room.disconnect(false).catch(() => undefined);
    if (isDead) await end();
    else setTimeout(() => void whileBusy(() => streams.gets, GETS_OUT_MS).then(end), SENDS_ON_MS);
    return true;
  };

  const moveOn = async (lives?: AbortSignal) => {
    for (const node of others()) {
      if (lives?.aborted) return;
      if (await move(node, `${connection.node.region || connection.node.id} is gone.`, true, lives)) return;
    }
  };
  cut.onCut = () => {
    void (async () => {
      if (!(await answers(options.fetch, connection.node.url))) await moveOn();
    })();
  };
  // A machine that is dead says nothing, so that the SDK learns of it late: whoever hears nothing opens a session at the next
  // node, and goes there unless its own says anything until that stands. Where nothing is heard because the way to all nodes
  // is cut, none stands.
  let looking = false;
  const look = async () => {
    if (looking) return;
    looking = true;
    const came = await arrivals.came().catch(() => true);
    looking = false;
    if (came) doubt?.abort();
    if (!pulse.look(came) || moving || doubt) return;
    const lives = (doubt = new AbortController());
    void answers(options.fetch, connection.node.url, LIVES_MS).then((does) => does && lives.abort());
    await moveOn(lives.signal);
    doubt = null;
  };
  room.on(RoomEvent.DataReceived, (payload, participant, _kind, topic) => {
    const next = participant ? null : readMove(payload, topic);
    if (next) void move({ ...next, id: next.node }, `${connection.node.region || connection.node.id} asked to go on here.`, false);
  });
  room.once(RoomEvent.Disconnected, stop);
  void warmUp();
}

async function succeed(
  before: Connection,
  carry: Carry,
  node: { id: string; region: string; url: string },
  why: string,
  isDead: boolean,
  options: MoveOptions,
  lives?: AbortSignal,
): Promise<{ moved: Connection; arriving: Arriving }> {
  const cut = new CutWatch(options.roomOptions.reconnectPolicy as ReconnectPolicy);
  const room = options.room({ ...options.roomOptions, reconnectPolicy: cut });
  const next = new Carry(room);
  let pairs: Pair[] = [];
  const arriving = new Arriving(before.room, room, carry);
  try {
    // What a dead node sent stands still: each track goes over as soon as it is here.
    const keep = isDead ? adopt(before.room, room) : null;
    if (isDead) carry.hold();
    const token = newestToken(before.room) ?? options.token;
    await begin(before.room, room, node.url, token, options.connectOptions, lives, carry.received);
    keep?.();
    arriving.connected(successorUrl(node.url, before.room.localParticipant.sid));
    // From here on others take the new session for this one, and nothing of the old.
    carry.hold();
    if (!isDead) pairs = await flows(before.room, room);
    await carry.handOver(room);
  } catch (thrown) {
    arriving.end();
    carry.release();
    await room.disconnect(false).catch(() => undefined);
    throw thrown;
  }
  options.prepare?.(room);
  changeOver(pairs);
  const moved = {
    ...before,
    room,
    node: { id: node.id, region: node.region, url: node.url, distanceKm: null, rttMs: null, why },
  };
  follow(moved, cut, options, next);
  return { moved, arriving };
}

async function answers(ask: typeof fetch, url: string, withinMs = ANSWER_MS): Promise<boolean> {
  try {
    await ask(httpAddress(url), { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(withinMs) });
    return true;
  } catch {
    return false;
  }
}
