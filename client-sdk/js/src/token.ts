// The newest token of a session. A node gives a fresh one at the join and now and then: it says who the client is by now,
// also to a node that hears of the session for the first time.
import type { Room } from 'livekit-client';

/** Where the SDK keeps the one with which it would come back; it tells nobody of it. */
interface Held {
  engine?: { token?: unknown };
}

/** The token that a room was given last; nothing once its SDK has given the session up. */
export function newestToken(room: Room): string | undefined {
  const token = (room as unknown as Held).engine?.token;
  return typeof token === 'string' && token !== '' ? token : undefined;
}
