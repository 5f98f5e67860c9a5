// Text and byte streams that are under way in a session: its node is not left in the middle of one.
import type { Room } from 'livekit-client';

/** How often it is looked whether streams have ended. */
const LOOK_EVERY_MS = 50;
/** What sends a whole stream, and what gives a writer for one. */
const WHOLE = ['sendText', 'sendFile', 'sendBytes'] as const;
const BY_PART = ['streamText', 'streamBytes'] as const;

type Call = (...args: unknown[]) => Promise<unknown>;
/** The SDK's book of streams that come; it is not told of otherwise. */
interface Incoming {
  incomingDataStreamManager?: { textStreamControllers?: Map<string, unknown>; byteStreamControllers?: Map<string, unknown> };
}

/** Counts the streams of one session. */
export class Streams {
  private sending = 0;

  constructor(private readonly room: Room) {
    const self = room.localParticipant as unknown as Record<string, Call | undefined>;
    for (const name of WHOLE) this.wrap(self, name, () => undefined);
    for (const name of BY_PART) {
      this.wrap(self, name, (given) => {
        const writer = given as { close: Call };
        const close = writer.close.bind(writer);
        const ended = this.begin();
        writer.close = (...args) => close(...args).finally(ended);
      });
    }
  }

  /** Whether something of a stream is still to be sent. */
  get sends(): boolean {
    return this.sending > 0;
  }

  /** Whether something of a stream is still to come. */
  get gets(): boolean {
    const { incomingDataStreamManager: incoming } = this.room as unknown as Incoming;
    return (incoming?.textStreamControllers?.size ?? 0) + (incoming?.byteStreamControllers?.size ?? 0) > 0;
  }

  private wrap(self: Record<string, Call | undefined>, name: string, given: (result: unknown) => void): void {
    const call = self[name]?.bind(self);
    if (!call) return;
    self[name] = (...args) => {
      const ended = this.begin();
      return call(...args).then((result) => (given(result), result)).finally(ended);
    };
  }

  private begin(): () => void {
    let under = true;
    this.sending += 1;
    return () => {
      if (under) this.sending -= 1;
      under = false;
    };
  }
}

/** Waits until `busy` says no, or for so long. */
export async function whileBusy(busy: () => boolean, limitMs: number): Promise<void> {
  const end = performance.now() + limitMs;
  while (busy() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
}
