// Plays a track in an element. When a call goes on at another node the SDK has given the element to the new track already:
// giving it once more would begin the picture anew, and sound would be heard twice for a moment.
import type { Track } from 'livekit-client';
import { useEffect, type RefObject } from 'react';

export function useAttached(track: Track, element: RefObject<HTMLMediaElement | null>): void {
  useEffect(() => {
    const shown = element.current;
    if (!shown) return;
    if (!track.attachedElements.includes(shown)) track.attach(shown);
    return () => {
      if (track.attachedElements.includes(shown)) track.detach(shown);
    };
  }, [track, element]);
}
