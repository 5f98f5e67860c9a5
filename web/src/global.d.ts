import type { ConnectedNode } from '@origo/client';
import type { Room } from 'livekit-client';

declare global {
  interface Window {
    /** Present during a call: a debugging handle. */
    __origo?: { room: Room; node: ConnectedNode };
  }
}
