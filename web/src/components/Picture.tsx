// A track's picture. Attaching through the SDK lets it ask for the size that is really shown.
import type { Track } from 'livekit-client';
import { useRef } from 'react';
import { useAttached } from '../hooks/useAttached';

interface Props {
  track: Track;
  mirrored: boolean;
}

export function Picture({ track, mirrored }: Props) {
  const element = useRef<HTMLVideoElement>(null);

  useAttached(track, element);

  return <video ref={element} className={mirrored ? 'mirrored' : undefined} autoPlay playsInline muted />;
}
