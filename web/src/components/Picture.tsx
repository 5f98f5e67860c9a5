// A track's picture. Attaching through the SDK lets it ask for the size that is really shown.
import type { Track } from 'livekit-client';
import { useEffect, useRef } from 'react';

interface Props {
  track: Track;
  mirrored: boolean;
}

export function Picture({ track, mirrored }: Props) {
  const element = useRef<HTMLVideoElement>(null);

  useEffect(() => {
    const video = element.current;
    if (!video) return;
    track.attach(video);
    return () => void track.detach(video);
  }, [track]);

  return <video ref={element} className={mirrored ? 'mirrored' : undefined} autoPlay playsInline muted />;
}
