// Opens one camera or microphone for the preview, and closes it when it is no longer wanted.
import { useEffect, useState } from 'react';
import { deviceProblem } from '../model/problem';

export interface Capture {
  stream: MediaStream | null;
  /** Why there is none, in words. */
  problem: string | null;
}

const NONE: Capture = { stream: null, problem: null };

export function useCapture(kind: 'camera' | 'microphone', on: boolean, deviceId: string): Capture {
  const wanted = on ? `${kind}/${deviceId}` : null;
  const [held, setHeld] = useState<Capture & { wanted: string | null }>({ ...NONE, wanted: null });

  useEffect(() => {
    if (wanted === null) return;
    let stopped = false;
    let opened: MediaStream | null = null;
    open(kind, deviceId).then(
      (stream) => {
        opened = stream;
        if (stopped) stop(stream);
        else setHeld({ stream, problem: null, wanted });
      },
      (thrown: unknown) => {
        if (!stopped) setHeld({ stream: null, problem: deviceProblem(kind, thrown), wanted });
      },
    );
    return () => {
      stopped = true;
      if (opened) stop(opened);
    };
  }, [kind, deviceId, wanted]);

  return held.wanted === wanted ? held : NONE;
}

async function open(kind: 'camera' | 'microphone', deviceId: string): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new DOMException('not a secure context', 'InsecureContextError');
  // `ideal`, so that a device that was unplugged since gives way to the default one.
  const device = deviceId === '' ? {} : { deviceId: { ideal: deviceId } };
  return navigator.mediaDevices.getUserMedia(
    kind === 'camera' ? { video: { ...device, width: { ideal: 1280 }, height: { ideal: 720 } } } : { audio: { ...device } },
  );
}

function stop(stream: MediaStream): void {
  stream.getTracks().forEach((track) => track.stop());
}
