// What the others send to be heard. Not to be seen, but in the document, so that it plays and can be looked at.
import type { Track } from 'livekit-client';
import { useRef } from 'react';
import { useAttached } from '../hooks/useAttached';
import type { Sound } from '../model/tile';

export function Sounds({ sounds }: { sounds: Sound[] }) {
  return (
    <div className="sounds" hidden>
      {sounds.map((sound) => (
        <Voice key={sound.key} track={sound.track} identity={sound.identity} />
      ))}
    </div>
  );
}

function Voice({ track, identity }: { track: Track; identity: string }) {
  const element = useRef<HTMLAudioElement>(null);

  useAttached(track, element);

  return <audio ref={element} data-testid="audio" data-identity={identity} autoPlay />;
}
