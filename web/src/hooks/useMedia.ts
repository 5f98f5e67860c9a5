// Switches the person's own microphone, camera and screen, and says in words what does not work.
import type { Room } from 'livekit-client';
import { useCallback, useEffect, useRef, useState } from 'react';
import { deviceProblem } from '../model/problem';

interface Start {
  mic: boolean;
  camera: boolean;
}

export interface Media {
  toggleMic: () => void;
  toggleCamera: () => void;
  toggleScreen: () => void;
  deviceProblem: (kind: 'camera' | 'microphone', thrown: unknown) => void;
}

export function useMedia(room: Room, start: Start, tell: (text: string, problem: boolean) => void): Media {
  const self = room.localParticipant;
  const [first] = useState(start);
  const started = useRef(false);

  const failed = useCallback(
    (kind: 'camera' | 'microphone', thrown: unknown) => tell(deviceProblem(kind, thrown), true),
    [tell],
  );

  useEffect(() => {
    if (started.current) return;
    started.current = true;
    // The SDK raises MediaDevicesError as well, which is told there; here the failure only must not go unhandled.
    if (first.mic) self.setMicrophoneEnabled(true).catch(() => undefined);
    if (first.camera) self.setCameraEnabled(true).catch(() => undefined);
  }, [self, first]);

  const toggleMic = useCallback(() => {
    self.setMicrophoneEnabled(!self.isMicrophoneEnabled).catch(() => undefined);
  }, [self]);
  const toggleCamera = useCallback(() => {
    self.setCameraEnabled(!self.isCameraEnabled).catch(() => undefined);
  }, [self]);
  const toggleScreen = useCallback(() => {
    const on = !self.isScreenShareEnabled;
    self.setScreenShareEnabled(on, { audio: true, contentHint: 'detail' }).catch((thrown: unknown) => {
      // Closing the browser's dialog is a decision, not a problem.
      if (thrown instanceof Error && thrown.name === 'NotAllowedError') return;
      tell(`The screen could not be shared${thrown instanceof Error ? `: ${thrown.message}` : ''}.`, true);
    });
  }, [self, tell]);

  return { toggleMic, toggleCamera, toggleScreen, deviceProblem: failed };
}
