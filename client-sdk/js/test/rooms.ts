// Rooms without a server: what `@origo/client` does with them is noted, and what happens in them is played.
import type { Room } from 'livekit-client';

type Deed = [string, ...unknown[]];

/** A camera or microphone of the browser. */
export class FakeSource extends EventTarget {
  enabled = true;
  readyState: 'live' | 'ended' = 'live';
  muted = false;

  constructor(readonly kind: 'audio' | 'video', readonly id: string = kind) {
    super();
  }

  stop(): void {
    this.readyState = 'ended';
  }

  getSettings(): object {
    return {};
  }

  getConstraints(): object {
    return {};
  }
}

export interface Published {
  copy: { isMuted: boolean; kind: string; mediaStreamTrack: unknown };
  options: Record<string, unknown>;
}

type Listener = (...args: never[]) => void;

/** Events as rooms have them. */
class Emitter {
  private readonly listeners = new Map<string, Listener[]>();

  on(event: string, listener: Listener): this {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
    return this;
  }

  once(event: string, listener: Listener): this {
    const first: Listener = (...args) => {
      this.off(event, first);
      listener(...args);
    };
    return this.on(event, first);
  }

  off(event: string, listener: Listener): this {
    this.listeners.set(event, (this.listeners.get(event) ?? []).filter((each) => each !== listener));
    return this;
  }

  emit(event: string, ...args: unknown[]): void {
    for (const listener of this.listeners.get(event) ?? []) listener(...(args as never[]));
  }
}

/** One room. */
export class FakeRoom extends Emitter {
  readonly deeds: Deed[] = [];
  readonly published: Published[] = [];
  readonly remoteParticipants = new Map<string, { identity: string; trackPublications: Map<string, FakeRemote> }>();
  incomingDataStreamManager = { textStreamControllers: new Map<string, unknown>(), byteStreamControllers: new Map<string, unknown>() };
  /** What the SDK keeps to come back; gone when it has given up. */
  engine: { token?: string } | undefined;
  /** Why connecting fails, if it does. */
  refuses: Error | null = null;
  /** How long connecting takes. */
  connectMs = 0;
  /** Lets `sendText` end. */
  sent: () => void = () => undefined;
  localParticipant;

  constructor(sid: string, readonly options: object = {}) {
    super();
    this.localParticipant = {
      sid,
      trackPublications: new Map<string, unknown>(),
      publishTrack: (copy: Published['copy'], options: Published['options']) => {
        this.published.push({ copy, options });
        return Promise.resolve();
      },
      sendText: (text: string) => new Promise<string>((resolve) => (this.sent = () => resolve(text))),
      streamText: () => Promise.resolve({ close: () => Promise.resolve() }),
    };
  }

  async connect(url: string, token: string): Promise<void> {
    this.deeds.push(['connect', url, token]);
    if (this.connectMs > 0) await new Promise((resolve) => setTimeout(resolve, this.connectMs));
    if (this.refuses) throw this.refuses;
  }

  disconnect(stopTracks?: boolean): Promise<void> {
    this.deeds.push(['disconnect', stopTracks]);
    return Promise.resolve();
  }

  get ended(): boolean {
    return this.deeds.some(([what]) => what === 'disconnect');
  }

  /** Publishes something, as a call before the move did. */
  publishes(source: FakeSource, { muted = false, name = '' } = {}): void {
    this.localParticipant.trackPublications.set(source.id, {
      isMuted: muted,
      trackName: name,
      source: source.kind === 'video' ? 'camera' : 'microphone',
      options: { simulcast: true },
      track: { kind: source.kind, mediaStreamTrack: source, constraints: {}, isUserProvided: false },
    });
  }

  /** Somebody publishes a track. */
  has(identity: string, remote: FakeRemote): FakeRemote {
    const known = this.remoteParticipants.get(identity);
    const participant = known ?? { identity, trackPublications: new Map<string, FakeRemote>() };
    participant.trackPublications.set(remote.trackSid, remote);
    this.remoteParticipants.set(identity, participant);
    return remote;
  }

  asRoom(): Room {
    return this as unknown as Room;
  }
}

/** A track of somebody else, of which packets come once it flows. */
export class FakeRemote {
  isDesired = true;
  isMuted = false;
  subscribed: boolean | null = null;
  packets = 0;
  track: FakeTrack | undefined;

  constructor(readonly trackSid: string, kind: 'audio' | 'video' = 'audio') {
    this.track = new FakeTrack(kind, trackSid, () => this.packets);
  }

  setSubscribed(subscribed: boolean): void {
    this.subscribed = subscribed;
  }
}

export class FakeTrack {
  attachedElements: FakeElement[] = [];

  constructor(readonly kind: string, readonly sid: string, private readonly packets: () => number) {}

  attach(element: FakeElement): void {
    element.srcObject = this;
    element.muted = false;
    if (!this.attachedElements.includes(element)) this.attachedElements.push(element);
  }

  detach(element: FakeElement): void {
    this.attachedElements = this.attachedElements.filter((each) => each !== element);
  }

  getRTCStatsReport(): Promise<Map<string, object>> {
    const packets = this.packets();
    const inbound = { type: 'inbound-rtp', packetsReceived: packets, framesDecoded: packets, bytesReceived: 100 * packets };
    return Promise.resolve(new Map([['1', inbound]]));
  }
}

/** What plays a track in a page. */
export class FakeElement {
  srcObject: unknown = null;
  autoplay = false;
  muted = false;
  volume = 1;
  gone = false;

  remove(): void {
    this.gone = true;
  }
}
