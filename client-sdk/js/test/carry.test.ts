import type { Room } from 'livekit-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Arriving, Carry } from '../src/carry.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Listener = (...args: unknown[]) => void;
interface Packet {
  sequence: number;
  participantSid: string;
  value: { case: string; value: { streamId?: string } };
}

/** The inside of a room of the SDK, as far as data goes. */
class FakeSession {
  readonly listeners = new Map<string, Listener[]>();
  readonly remoteParticipants = new Map([['ben', { sid: 'PA_ben' }]]);
  /** What the connection carries, by number. */
  readonly wire: number[] = [];
  readonly taken: string[] = [];
  readonly states = new Map<string, number>();
  closing: (() => Promise<void>)[] = [];
  private told: ((packet: Packet) => void) | null = null;
  readonly channel = {
    sequence: 1,
    channelHandle: { bufferedAmount: 0 },
    waiting: [] as number[],
    messageBuffer: { push: ({ sequence }: { sequence: number }) => void this.channel.waiting.push(sequence) },
    send: (_data: Uint8Array, sequence: number) => Promise.resolve(void this.wire.push(sequence)),
    replay: () => Promise.resolve(void this.wire.push(...this.channel.waiting.splice(0))),
  };
  readonly engine = {
    url: 'wss://old?origo_received=PA_ben:1',
    reliableReceivedState: {
      get: (sid: string) => this.states.get(sid),
      set: (sid: string, last: number) => void this.states.set(sid, last),
      map: <T>(f: (last: number, sid: string) => T) => [...this.states].map(([sid, last]) => f(last, sid)),
    },
    reliableChannel: this.channel,
    sendDataPacket: (data: unknown) => this.channel.send(data as Uint8Array, this.channel.sequence++),
    ensurePublisherConnected: () => Promise.resolve(),
    once: (event: string, listener: () => Promise<void>) => event === 'closing' && this.closing.push(listener),
    off: (event: string, listener: () => Promise<void>) => event === 'closing' && (this.closing = this.closing.filter((each) => each !== listener)),
    prependListener: (_event: string, listener: (packet: Packet) => void) => (this.told = listener),
  };
  readonly incomingDataStreamManager = {
    textStreamControllers: new Map<string, { sendingParticipantIdentity: string }>(),
    byteStreamControllers: new Map<string, { sendingParticipantIdentity: string }>(),
    handleDataStreamPacket: ({ value: { case: what, value } }: Packet) => {
      const id = value.streamId ?? '';
      if (what === 'streamHeader') this.incomingDataStreamManager.textStreamControllers.set(id, { sendingParticipantIdentity: 'ben' });
      this.taken.push(`${what} ${id}`);
    },
  };

  on(event: string, listener: Listener): this {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
    return this;
  }

  off(event: string, listener: Listener): this {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((each) => each !== listener));
    return this;
  }

  emit(event: string, ...args: unknown[]): void {
    for (const listener of this.listeners.get(event) ?? []) listener(...args);
  }

  /** A numbered packet of ben comes. */
  comes(sequence: number, what: string, text = ''): void {
    if (sequence <= (this.states.get('PA_ben') ?? 0)) return;
    this.states.set('PA_ben', sequence);
    const packet = { sequence, participantSid: 'PA_ben', value: { case: what, value: { streamId: text } } };
    this.told?.(packet);
    if (what === 'user') this.emit('dataReceived', new TextEncoder().encode(text), { identity: 'ben' }, 0, 'chat');
    else this.incomingDataStreamManager.handleDataStreamPacket(packet);
  }

  /** Notes what the application hears here. */
  heard(): string[] {
    const heard: string[] = [];
    this.on('dataReceived', (payload) => void heard.push(new TextDecoder().decode(payload as Uint8Array)));
    return heard;
  }

  asRoom(): Room {
    return this as unknown as Room;
  }
}

const send = (session: FakeSession, bytes = 100) => session.engine.sendDataPacket(new Uint8Array(bytes));

describe('what a session sends', () => {
  it('waits while it moves, and goes on in the successor with the next number, after what may be lost', async () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    await send(old);
    await send(old);
    carry.hold();
    const third = send(old);
    await carry.handOver(now.asRoom());
    await third;
    await send(old);
    expect([old.wire, now.wire]).toEqual([[1, 2], [1, 2, 3, 4]]);
  });

  it('is not sent once more when it left long ago, and is when it still waits in the browser', async () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    await send(old);
    await vi.advanceTimersByTimeAsync(3_100);
    old.channel.channelHandle.bufferedAmount = 200;
    await send(old);
    await send(old);
    await vi.advanceTimersByTimeAsync(10_000);
    await carry.handOver(now.asRoom());
    expect(now.wire).toEqual([2, 3]);
  });

  it('is not ended with the old session, where it has a writer', async () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    const close = vi.fn(() => Promise.reject(new Error('closed already')));
    old.engine.once('closing', close);
    const done = () => Promise.resolve();
    old.engine.once('closing', done);
    old.engine.off('closing', done);
    await carry.handOver(now.asRoom());
    expect(old.closing).toEqual([]);
    expect(now.closing).toHaveLength(1);
    await Promise.all(now.closing.map((each) => each()));
    expect(close).toHaveBeenCalledOnce();
  });

  it('is sent where it was if nothing comes of the move', async () => {
    const old = new FakeSession();
    const carry = new Carry(old.asRoom());
    carry.hold();
    const sent = send(old);
    carry.release();
    await sent;
    expect(old.wire).toEqual([1]);
  });

  it('is bounded in what is kept of it', async () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    for (let packet = 0; packet < 100; packet += 1) await send(old, 60_000);
    await carry.handOver(now.asRoom());
    expect(now.wire.length).toBe(69);
    expect(now.wire.at(-1)).toBe(100);
  });
});

describe('what a session gets', () => {
  it('is told to the next node: the last number of everybody, and streams that have not ended', () => {
    const old = new FakeSession();
    const carry = new Carry(old.asRoom());
    expect(carry.received).toEqual({ origo_received: ',' });
    old.comes(1, 'streamHeader', 'a-1');
    old.comes(7, 'streamHeader', 'no id, is it?');
    expect(carry.received).toEqual({ origo_received: 'PA_ben:7', origo_streams: 'PA_ben:a-1' });
  });

  it('comes to the application once, by the session on which it listens', () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    const heardOld = old.heard();
    old.comes(1, 'user', 'one');
    const arriving = new Arriving(old.asRoom(), now.asRoom(), carry);
    now.comes(1, 'user', 'one');
    now.comes(2, 'user', 'hi');
    old.comes(2, 'user', 'hi');
    now.comes(3, 'user', 'hi');
    const heardNow = now.heard();
    arriving.release();
    now.comes(4, 'user', 'four');
    expect([heardOld, heardNow]).toEqual([['one', 'hi'], ['hi', 'four']]);
  });

  it('does not come again when it comes late in the session on which the application listens by then', () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    const arriving = new Arriving(old.asRoom(), now.asRoom(), carry);
    old.comes(1, 'user', 'one');
    old.comes(2, 'streamHeader', 'a');
    const heard = now.heard();
    arriving.release();
    now.comes(1, 'user', 'one');
    now.comes(2, 'streamHeader', 'a');
    now.comes(3, 'user', 'three');
    expect([heard, now.taken]).toEqual([['three'], []]);
  });

  it('has its streams go on in the successor, and what began there begins there', () => {
    const [old, now] = [new FakeSession(), new FakeSession()];
    const carry = new Carry(old.asRoom());
    old.comes(1, 'streamHeader', 'a');
    const arriving = new Arriving(old.asRoom(), now.asRoom(), carry);
    now.comes(2, 'streamHeader', 'b');
    old.comes(2, 'streamHeader', 'b');
    now.comes(3, 'streamChunk', 'a');
    now.comes(4, 'streamHeader', 'c');
    expect(now.taken).toEqual([]);
    arriving.release();
    now.comes(5, 'streamTrailer', 'a');
    old.comes(6, 'streamHeader', 'd');
    expect(now.taken).toEqual(['streamChunk a', 'streamHeader c', 'streamTrailer a']);
    expect([...now.incomingDataStreamManager.textStreamControllers.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect([old.taken, old.incomingDataStreamManager.textStreamControllers.size]).toEqual([['streamHeader a', 'streamHeader b'], 0]);
  });

  it('is not said again by the SDK when it joins anew', () => {
    const now = new FakeSession();
    new Arriving(new FakeSession().asRoom(), now.asRoom(), new Carry(new FakeSession().asRoom())).connected('wss://new');
    expect(now.engine.url).toBe('wss://new');
  });
});
