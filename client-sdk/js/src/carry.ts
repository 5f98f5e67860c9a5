// Reliable data of a session and its successor: numbers go on, what may be lost is sent once more, streams end whole.
import { RoomEvent, type Room } from 'livekit-client';

/** What is sent once more at the next node: all that the browser has not handed on yet, and what it handed on so lately. The
 * packets on their way when a machine dies, and those that came to the old node after others began to listen to the next. */
const MAY_BE_LOST_MS = 3_000;
/** The most of it: what nodes keep of one publisher. */
const SENT_BYTES_MAX = 4 << 20;
/** Publishers and streams that are told of: the node takes no more. */
const TOLD_MAX = 64;
/** Streams of late whose beginning is known to have come. */
const BEGUN_MAX = 1_024;
/** LiveKit's event of a session that is about to end, and its number of the reliable channel. */
const CLOSING = 'closing';
const RELIABLE = 0;
const STREAM_ID = /^[\w-]{1,64}$/;

interface Packet {
  sequence: number;
  participantSid: string;
  value: { case?: string; value?: { streamId?: string } };
}
type Handle = (packet: Packet, encryption: unknown) => void;
type Send = (packet: unknown, kind: number) => Promise<void>;
interface Channel {
  sequence: number;
  channelHandle?: { bufferedAmount: number };
  messageBuffer: { push(item: { data: Uint8Array; sequence: number; sent: boolean }): void };
  send(data: Uint8Array, sequence: number): Promise<void>;
  replay(after: number): Promise<void>;
}
interface Engine {
  url?: string;
  reliableReceivedState: { get(sid: string): number | undefined; set(sid: string, last: number): void; map<T>(f: (last: number, sid: string) => T): T[] };
  reliableChannel: Channel;
  sendDataPacket: Send;
  ensurePublisherConnected(kind: number): Promise<void>;
  prependListener(event: 'dataPacketReceived', listener: (packet: Packet) => void): void;
  once(event: string, listener: Closer): unknown;
  off(event: string, listener: Closer): unknown;
}
type Closer = () => void | Promise<void>;
interface Streams {
  textStreamControllers: Map<string, { sendingParticipantIdentity: string }>;
  byteStreamControllers: Map<string, { sendingParticipantIdentity: string }>;
  handleDataStreamPacket: Handle;
}
/** The SDK's own book of data, which it does not tell of otherwise. */
interface Inside {
  engine: Engine;
  incomingDataStreamManager: Streams;
}

/** The inside of a room, if its SDK has what is needed here. */
function inside(room: Room): Inside | null {
  const { engine, incomingDataStreamManager: streams } = room as unknown as Partial<Inside>;
  const channel = engine?.reliableChannel;
  const has =
    can(engine, 'sendDataPacket', 'ensurePublisherConnected', 'prependListener', 'once', 'off') &&
    can(engine?.reliableReceivedState, 'get', 'set', 'map') &&
    can(channel, 'send', 'replay') && can(channel?.messageBuffer, 'push') && can(streams, 'handleDataStreamPacket');
  return has && typeof channel?.sequence === 'number' && engine && streams ? { engine, incomingDataStreamManager: streams } : null;
}

function can(something: unknown, ...methods: string[]): boolean {
  const known = something as Record<string, unknown> | undefined;
  return methods.every((method) => typeof known?.[method] === 'function');
}

interface Sent {
  data: Uint8Array;
  sequence: number;
  /** Bytes that were sent up to the end of this packet. */
  end: number;
  handedAt: number | null;
}

/** Follows the reliable data of one session, so that another can go on with it. */
export class Carry {
  private readonly at: Inside | null;
  private readonly sent: Sent[] = [];
  private bytes = 0;
  private total = 0;
  private readonly begun = new Set<string>();
  private readonly closers = new Set<Closer>();
  private free: ((to: Send | null) => void) | null = null;

  constructor(private readonly room: Room) {
    this.at = inside(room);
    if (!this.at) return;
    const { engine, incomingDataStreamManager: streams } = this.at;
    this.followClosers(engine);
    const channel = engine.reliableChannel;
    const send = channel.send.bind(channel);
    channel.send = (data, sequence) => {
      this.note(channel, data, sequence);
      return send(data, sequence);
    };
    const handle = streams.handleDataStreamPacket.bind(streams);
    streams.handleDataStreamPacket = (packet, encryption) => {
      const { case: what, value } = packet.value;
      if (what === 'streamHeader' && value?.streamId) {
        this.begun.add(value.streamId);
        const [oldest] = this.begun;
        if (this.begun.size > BEGUN_MAX && oldest !== undefined) this.begun.delete(oldest);
      }
      handle(packet, encryption);
    };
  }

  /** How far data has come, as the next node is told of it in its address. */
  get received(): Record<string, string> {
    if (!this.at) return {};
    const { engine, incomingDataStreamManager: streams } = this.at;
    const last = engine.reliableReceivedState.map((last, sid) => `${sid}:${last}`).slice(-TOLD_MAX);
    const open = [...streams.textStreamControllers, ...streams.byteStreamControllers].flatMap(([id, stream]) => {
      const sid = this.room.remoteParticipants.get(stream.sendingParticipantIdentity)?.sid;
      return sid && STREAM_ID.test(id) ? [`${sid}:${id}`] : [];
    });
    // A list of nothing is said too: that numbers go on.
    const told = { origo_received: last.join(',') || ',' };
    return open.length > 0 ? { ...told, origo_streams: open.slice(-TOLD_MAX).join(',') } : told;
  }

  /** What is sent from now on waits until there is a successor. */
  hold(): void {
    if (!this.at || this.free) return;
    const { engine } = this.at;
    const send = engine.sendDataPacket.bind(engine);
    const to = new Promise<Send | null>((resolve) => (this.free = resolve));
    engine.sendDataPacket = async (packet, kind) => ((await to) ?? send)(packet, kind);
  }

  /** There is none: what waits is sent here. */
  release(): void {
    this.free?.(null);
    this.free = null;
  }

  /** What may be lost, and what waits, is sent in the successor. */
  async handOver(next: Room): Promise<void> {
    const there = inside(next);
    if (!this.at || !there) return this.release();
    const { engine } = there;
    const channel = engine.reliableChannel;
    this.forget(this.at.engine.reliableChannel);
    channel.sequence = Math.max(channel.sequence, this.at.engine.reliableChannel.sequence);
    for (const { data, sequence } of this.sent) channel.messageBuffer.push({ data, sequence, sent: false });
    if (this.sent.length > 0) {
      await engine.ensurePublisherConnected(RELIABLE);
      await channel.replay(0);
    }
    for (const close of [...this.closers]) {
      this.at.engine.off(CLOSING, close);
      engine.once(CLOSING, () => void Promise.resolve(close()).catch(() => undefined));
    }
    this.hold();
    this.free?.((packet, kind) => engine.sendDataPacket(packet, kind));
    this.free = null;
  }

  /** Writers of streams close themselves when their session does. */
  private followClosers(engine: Engine): void {
    const [once, off] = [engine.once.bind(engine), engine.off.bind(engine)];
    engine.once = (event, closer) => {
      if (event === CLOSING) this.closers.add(closer);
      return once(event, closer);
    };
    engine.off = (event, closer) => {
      if (event === CLOSING) this.closers.delete(closer);
      return off(event, closer);
    };
  }

  /** Whether a stream has begun in this session. */
  has(stream: string): boolean {
    return this.begun.has(stream);
  }

  /** Number of the last packet of a publisher that came in this session. */
  last(sid: string): number {
    return this.at?.engine.reliableReceivedState.get(sid) ?? 0;
  }

  private note(channel: Channel, data: Uint8Array, sequence: number): void {
    this.total += data.byteLength;
    this.bytes += data.byteLength;
    this.sent.push({ data, sequence, end: this.total, handedAt: null });
    this.forget(channel);
  }

  private forget(channel: Channel): void {
    const now = performance.now();
    const handed = this.total - (channel.channelHandle?.bufferedAmount ?? 0);
    for (const sent of this.sent) {
      if (sent.end > handed) break;
      sent.handedAt ??= now;
    }
    const isPast = ({ handedAt }: Sent) => handedAt !== null && handedAt + MAY_BE_LOST_MS < now;
    for (let oldest = this.sent[0]; oldest && (isPast(oldest) || this.bytes > SENT_BYTES_MAX); oldest = this.sent[0]) {
      this.bytes -= oldest.data.byteLength;
      this.sent.shift();
    }
  }
}

/** Keeps what comes to the new session until the application listens there; tells then what did not come to the old one. */
export class Arriving {
  private readonly before: Inside | null;
  private readonly at: Inside | null;
  private readonly streams: { packet: Packet; encryption: unknown }[] = [];
  private readonly packets: { packet: Packet | null; key: string; args: unknown[] }[] = [];
  private readonly seen = new Set<string>();
  private current: Packet | null = null;
  private readonly handle: Handle = () => undefined;
  private readonly onOld = (...args: unknown[]) => void this.seen.add(keyOf(args));
  private readonly onNew = (...args: unknown[]) =>
    void this.packets.push({ packet: this.current, key: keyOf(args), args });

  constructor(private readonly old: Room, private readonly now: Room, private readonly carry: Carry) {
    [this.before, this.at] = [inside(old), inside(now)];
    old.on(RoomEvent.DataReceived, this.onOld);
    now.on(RoomEvent.DataReceived, this.onNew);
    if (!this.before || !this.at) return;
    const { engine, incomingDataStreamManager } = this.at;
    const came = this.before.engine.reliableReceivedState.map((last, sid) => ({ last, sid }));
    for (const { last, sid } of came) engine.reliableReceivedState.set(sid, last);
    engine.prependListener('dataPacketReceived', (packet) => (this.current = packet));
    const handle = incomingDataStreamManager.handleDataStreamPacket.bind(incomingDataStreamManager);
    this.handle = handle;
    incomingDataStreamManager.handleDataStreamPacket = (packet, encryption) => void this.streams.push({ packet, encryption });
  }

  /** The address says what the SDK would say again when it joins anew at it. */
  connected(url: string): void {
    if (this.at?.engine.url) this.at.engine.url = url;
  }

  /** The application listens to the new session, and streams of the old one go on in it. */
  release(): void {
    this.end();
    for (const { packet, key, args } of this.packets) {
      const numbered = packet?.sequence ? packet : null;
      const has = numbered ? numbered.sequence <= this.carry.last(numbered.participantSid) : this.seen.has(key);
      if (!has) this.now.emit(RoomEvent.DataReceived, ...(args as never as [Uint8Array<ArrayBuffer>]));
    }
    if (!this.before || !this.at) return;
    // What came to the old session may be on its way here still.
    const { reliableReceivedState: state } = this.at.engine;
    for (const { last, sid } of this.before.engine.reliableReceivedState.map((last, sid) => ({ last, sid }))) {
      if (last > (state.get(sid) ?? 0)) state.set(sid, last);
    }
    const [from, to] = [this.before.incomingDataStreamManager, this.at.incomingDataStreamManager];
    from.handleDataStreamPacket = () => undefined;
    for (const kind of ['textStreamControllers', 'byteStreamControllers'] as const) {
      for (const [id, stream] of from[kind]) to[kind].set(id, stream);
      from[kind].clear();
    }
    const take: Handle = (packet, encryption) => {
      const { case: what, value } = packet.value;
      if (what === 'streamHeader' && this.carry.has(value?.streamId ?? '')) return;
      this.handle(packet, encryption);
    };
    for (const { packet, encryption } of this.streams.splice(0)) take(packet, encryption);
    to.handleDataStreamPacket = take;
  }

  end(): void {
    this.old.off(RoomEvent.DataReceived, this.onOld);
    this.now.off(RoomEvent.DataReceived, this.onNew);
  }
}

function keyOf([payload, participant, , topic]: unknown[]): string {
  const identity = (participant as { identity?: string } | undefined)?.identity ?? '';
  return `${identity}\n${topic as string}\n${(payload as Uint8Array).join(',')}`;
}
