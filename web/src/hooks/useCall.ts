// The life of a call as the page sees it: out, joining, in, and out again with a word about why.
import { DisconnectReason, RoomEvent, type Room } from 'livekit-client';
import { useCallback, useEffect, useRef, useState } from 'react';
import { farewell, joinProblem, type Notice } from '../model/problem';
import { roomAddress } from '../model/query';
import { regionName } from '../model/region';
import { join, move, type Call, type JoinRequest, type OnMove } from '../node/call';
import { useFailover } from './useFailover';

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
  const current = useRef<Room | null>(null);

  const end = useCallback((call: Call, reason: DisconnectReason | undefined) => {
    const { room } = call.connection;
    // A room that the call has moved away from ends without a word.
    if (current.current !== room) return;
    current.current = null;
    setPhase({ kind: 'out', notice: farewell(reason, room.name || call.request.room) });
  }, []);

  // The SDK opens a session at another node beside the one that goes, and ends that one itself.
  const changeOver = useRef<OnMove>(() => undefined);
  const onMove = useCallback<OnMove>((moved, before) => changeOver.current(moved, before), []);

  const enter = useCallback(
    function enter(call: Call) {
      const { room } = call.connection;
      const before = current.current;
      current.current = room;
      changeOver.current = (moved, left) => {
        // The call has ended meanwhile, or goes on in another session.
        if (current.current !== left.connection.room) return void moved.connection.room.disconnect();
        enter(moved);
      };
      if (!call.continues) void before?.disconnect();
      room.once(RoomEvent.Disconnected, (reason?: DisconnectReason) => {
        if (reason !== DisconnectReason.SERVER_SHUTDOWN || current.current !== room) return end(call, reason);
        move(origin, call, call.request, onMove).then(
          (moved) => (current.current === room ? enter(moved) : void moved.connection.room.disconnect()),
          () => end(call, reason),
        );
      });
      setPhase({ kind: 'in', call });
    },
    [origin, end, onMove],
  );

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
        onMove,
        controller.signal,
      ).then(
        (call) => {
          if (attempt.current === controller) enter(call);
          else void call.connection.room.disconnect();
        },
        (thrown: unknown) => {
          if (attempt.current === controller) setPhase({ kind: 'out', notice: joinProblem(thrown, demo) });
        },
      );
    },
    [origin, demo, enter, onMove],
  );

  const cancel = useCallback(() => {
    attempt.current?.abort();
    attempt.current = null;
    setPhase({ kind: 'out', notice: null });
  }, []);

  const call = phase.kind === 'in' ? phase.call : null;
  useFailover(origin, call, enter, onMove);
  const leave = useCallback(() => {
    if (!call) return;
    end(call, DisconnectReason.CLIENT_INITIATED);
    void call.connection.room.disconnect();
  }, [call, end]);

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
