// What a person chose last: their name, their devices, and whether they join with microphone and camera.
import { useCallback, useState } from 'react';
import type { Query } from '../model/query';
import type { Devices } from '../node/call';
import { useStored } from './useStored';

export interface Settings {
  name: string;
  mic: boolean;
  camera: boolean;
  devices: Devices;
}

const INITIAL: Settings = { name: '', mic: true, camera: true, devices: { mic: '', camera: '', speaker: '' } };

/** The remembered settings; what the link says goes first, and is not remembered until it is changed by hand. */
export function useSettings(query: Query): [Settings, (change: Partial<Settings>) => void] {
  const [stored, store] = useStored<Partial<Settings>>('settings', {});
  const [linked, setLinked] = useState<Partial<Settings>>(() => ({
    ...(query.name === '' ? {} : { name: query.name }),
    ...(query.mic === null ? {} : { mic: query.mic }),
    ...(query.camera === null ? {} : { camera: query.camera }),
  }));

  const change = useCallback(
    (changed: Partial<Settings>) => {
      store({ ...stored, ...changed });
      setLinked((before) => ({ ...before, ...changed }));
    },
    [stored, store],
  );

  return [{ ...INITIAL, ...stored, ...linked }, change];
}
