// Subscribes to a room: a new picture of it whenever something that is shown has changed.
import { RoomEvent, type Room } from 'livekit-client';
import { useMemo, useSyncExternalStore } from 'react';
import { pictureOf, type RoomPicture } from '../model/tile';

const SHOWN = [
  RoomEvent.ConnectionStateChanged, RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected,
  RoomEvent.ParticipantNameChanged, RoomEvent.ParticipantActive, RoomEvent.TrackPublished, RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed, RoomEvent.TrackUnsubscribed, RoomEvent.TrackMuted, RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished, RoomEvent.LocalTrackUnpublished, RoomEvent.ActiveSpeakersChanged,
  RoomEvent.ConnectionQualityChanged, RoomEvent.AudioPlaybackStatusChanged, RoomEvent.Reconnected,
  RoomEvent.SignalReconnecting, RoomEvent.Reconnecting,
] as const;

export function useRoom(room: Room): RoomPicture {
  const store = useMemo(() => storeOf(room), [room]);
  return useSyncExternalStore(store.subscribe, store.read);
}

function storeOf(room: Room) {
  let picture = pictureOf(room);
  const listeners = new Set<() => void>();
  let planned = false;
  // Events come in bursts (a join is a dozen); one picture for each burst is enough.
  const change = () => {
    if (planned) return;
    planned = true;
    queueMicrotask(() => {
      planned = false;
      picture = pictureOf(room);
      listeners.forEach((listener) => listener());
    });
  };
  return {
    read: () => picture,
    subscribe: (listener: () => void) => {
      if (listeners.size === 0) {
        SHOWN.forEach((event) => room.on(event, change));
        change();
      }
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) SHOWN.forEach((event) => room.off(event, change));
      };
    },
  };
}
