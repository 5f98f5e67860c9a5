// The life of a call as the page sees it: out, joining, in, and out again with a word about why.
import { RoomEvent, type DisconnectReason } from 'livekit-client';
import { useCallback, useEffect, useRef, useState } from 'react';
import { farewell, joinProblem, type Notice } from '../model/problem';
import { roomAddress } from '../model/query';
import { regionName } from '../model/region';
import { join, type Call, type JoinRequest } from '../node/call';

export type Phase =
  | { kind: 'out'; notice: Notice | null }
  | { kind: 'joining'; step: string }
  | { kind: 'in'; call: Call };

export interface CallControl {
  phase: Phase;
  join: (request: JoinRequest) => void;
  cancel: () => void;
  leave: () => void;
}

export function useCall(origin: string, demo: boolean): CallControl {
  const [phase, setPhase] = useState<Phase>({ kind: 'out', notice: null });
  const attempt = useRef<AbortController | null>(null);

  const start = useCallback(
    (request: JoinRequest) => {
      attempt.current?.abort();
      const controller = new AbortController();
      attempt.current = controller;
      const step = (words: string) => {
        if (attempt.current === controller) setPhase({ kind: 'joining', step: words });
      };
      step('Finding the nearest node…');
      join(
        origin,
        request,
        (stage) => step(stage.kind === 'routing' ? 'Finding the nearest node…' : `Connecting to ${placeOf(stage.node)}…`),
        controller.signal,
      ).then(
        (call) => {
          const { room } = call.connection;
          if (attempt.current !== controller) return void room.disconnect();
          room.once(RoomEvent.Disconnected, (reason?: DisconnectReason) => {
            setPhase({ kind: 'out', notice: farewell(reason, room.name || request.room) });
          });
          setPhase({ kind: 'in', call });
        },
        (thrown: unknown) => {
          if (attempt.current === controller) setPhase({ kind: 'out', notice: joinProblem(thrown, demo) });
        },
      );
    },
    [origin, demo],
  );

  const cancel = useCallback(() => {
    attempt.current?.abort();
    attempt.current = null;
    setPhase({ kind: 'out', notice: null });
  }, []);

  const call = phase.kind === 'in' ? phase.call : null;
  const leave = useCallback(() => void call?.connection.room.disconnect(), [call]);

  useEffect(() => {
    if (!call) return;
    // A debugging handle, and what end-to-end tests look through.
    const { request } = call;
    if (request.token === '') window.history.replaceState(null, '', roomAddress(window.location.href, request.room));
    window.__origo = { room: call.connection.room, node: call.connection.node };
    return () => void delete window.__origo;
  }, [call]);

  return { phase, join: start, cancel, leave };
}

function placeOf(node: { region: string; id: string }): string {
  return regionName(node.region) || node.id;
}
