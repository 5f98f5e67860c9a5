// Moves a call to another node when its own is gone and the SDK has not gone on by itself: where a session cannot take
// another's place, a new one can. LiveKit's Room knows one address and would try it for a minute.
import { race, type ConnectedNode } from '@origo/client';
import { ConnectionState, RoomEvent } from 'livekit-client';
import { useEffect } from 'react';
import { move, type Call, type OnMove } from '../node/call';

/** A lost packet or a changed network mends itself within this time, at the same node. */
const PATIENCE_MS = 3000;
/** How long a node may take to say that it lives. */
const ANSWER_MS = 1500;
const AGAIN_MS = 4000;

export function useFailover(origin: string, call: Call | null, onMoved: (call: Call) => void, onMove: OnMove): void {
  useEffect(() => {
    if (!call) return;
    const { room, node } = call.connection;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;

    const look = async () => {
      if (!(await answers(node)) && lost()) {
        const { isMicrophoneEnabled: mic, isCameraEnabled: camera } = room.localParticipant;
        const moved = await move(origin, call, { mic, camera }, onMove, stop.signal).catch(() => null);
        if (moved && stop.signal.aborted) void moved.connection.room.disconnect();
        else if (moved) return onMoved(moved);
      }
      if (lost()) plan(AGAIN_MS);
    };
    const lost = () => !stop.signal.aborted && room.state !== ConnectionState.Connected;
    const plan = (delayMs: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => void look(), delayMs);
    };
    const begin = () => plan(PATIENCE_MS);
    const end = () => clearTimeout(timer);

    room.on(RoomEvent.SignalReconnecting, begin).on(RoomEvent.Reconnecting, begin);
    room.on(RoomEvent.Reconnected, end).on(RoomEvent.Disconnected, end);
    return () => {
      stop.abort();
      end();
      room.off(RoomEvent.SignalReconnecting, begin).off(RoomEvent.Reconnecting, begin);
      room.off(RoomEvent.Reconnected, end).off(RoomEvent.Disconnected, end);
    };
  }, [origin, call, onMoved, onMove]);
}

async function answers(node: ConnectedNode): Promise<boolean> {
  const { laps } = await race([{ ...node, load: null }], { timeoutMs: ANSWER_MS });
  return laps[0]?.outcome === 'answered';
}
