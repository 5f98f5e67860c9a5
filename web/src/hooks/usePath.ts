// The path of a track's media, asked again now and then: the mesh moves routes while a call goes on.
import { path, type Path } from '@origo/client';
import { useEffect, useState } from 'react';

export interface PathSource {
  nodeUrl: string;
  room: string;
  token: string;
}

const AGAIN_MS = 15_000;
/** A track is known a moment after it is published, so the first failures are asked again soon. */
const RETRY_MS = [700, 1500, 3000, 6000];

/** The way from the publisher to here; null until it is known. */
export function usePath(source: PathSource, trackSid: string | null): Path | null {
  const [known, setKnown] = useState<Path | null>(null);
  const { nodeUrl, room, token } = source;

  useEffect(() => {
    if (trackSid === null) return;
    const stop = new AbortController();
    let failures = 0;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      let delayMs = AGAIN_MS;
      try {
        const answer = await path(nodeUrl, room, trackSid, token, { signal: stop.signal });
        failures = 0;
        setKnown(answer);
      } catch {
        delayMs = RETRY_MS[failures] ?? AGAIN_MS;
        failures += 1;
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void ask(), delayMs);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [nodeUrl, room, token, trackSid]);

  // While another track of the same person is asked for, the last path is closer to the truth than none.
  return trackSid === null ? null : known;
}
