// Short news of a call: who came and went, and which device failed. Each fades by itself.
import { RoomEvent, type Participant, type Room } from 'livekit-client';
import { useCallback, useEffect, useState } from 'react';
import { deviceProblem } from '../model/problem';

export interface NewsItem {
  id: number;
  text: string;
  problem: boolean;
}

const SHOWN_MS = 4000;
const PROBLEM_MS = 9000;
/** More than these at once is noise. */
const AT_ONCE = 3;

let lastId = 0;

export function useNews(room: Room): { news: NewsItem[]; tell: (text: string, problem?: boolean) => void } {
  const [news, setNews] = useState<NewsItem[]>([]);

  const tell = useCallback((text: string, problem = false) => {
    lastId += 1;
    const item = { id: lastId, text, problem };
    setNews((before) => [...before.filter((each) => each.text !== text), item].slice(-AT_ONCE));
    setTimeout(() => setNews((before) => before.filter((each) => each !== item)), problem ? PROBLEM_MS : SHOWN_MS);
  }, []);

  useEffect(() => {
    const came = (who: Participant) => tell(`${who.name || who.identity} joined`);
    const went = (who: Participant) => tell(`${who.name || who.identity} left`);
    const failed = (error: Error, kind?: MediaDeviceKind) =>
      tell(deviceProblem(kind === 'videoinput' ? 'camera' : 'microphone', error), true);
    room.on(RoomEvent.ParticipantConnected, came);
    room.on(RoomEvent.ParticipantDisconnected, went);
    room.on(RoomEvent.MediaDevicesError, failed);
    return () => {
      room.off(RoomEvent.ParticipantConnected, came);
      room.off(RoomEvent.ParticipantDisconnected, went);
      room.off(RoomEvent.MediaDevicesError, failed);
    };
  }, [room, tell]);

  return { news, tell };
}
