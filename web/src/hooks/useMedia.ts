// Switches the person's own microphone, camera and screen, and says in words what does not work.
import type { Room } from 'livekit-client';
import { useCallback, useEffect, useRef } from 'react';
import { deviceProblem } from '../model/problem';

const CAN_CAPTURE = 'mediaDevices' in navigator;
const NOT_SECURE = new DOMException('not a secure context', 'InsecureContextError');

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
  const started = useRef<Room | null>(null);

  const failed = useCallback(
    (kind: 'camera' | 'microphone', thrown: unknown) => tell(deviceProblem(kind, thrown), true),
    [tell],
  );

  // Failures of a device are raised by the room as MediaDevicesError and told from there.
  const setMic = useCallback(
    (on: boolean) => {
      if (on && !CAN_CAPTURE) failed('microphone', NOT_SECURE);
      else self.setMicrophoneEnabled(on).catch(() => undefined);
    },
    [self, failed],
  );
  const setCamera = useCallback(
    (on: boolean) => {
      if (on && !CAN_CAPTURE) failed('camera', NOT_SECURE);
      else self.setCameraEnabled(on).catch(() => undefined);
    },
    [self, failed],
  );

  useEffect(() => {
    // Once for each room: a call that moves to another node begins with what was on before.
    if (started.current === room) return;
    started.current = room;
    if (start.mic) setMic(true);
    if (start.camera) setCamera(true);
  }, [room, start, setMic, setCamera]);

  const toggleMic = useCallback(() => setMic(!self.isMicrophoneEnabled), [self, setMic]);
  const toggleCamera = useCallback(() => setCamera(!self.isCameraEnabled), [self, setCamera]);
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
