// The cameras, microphones and speakers of this machine.
import { useEffect, useState } from 'react';

export interface DeviceList {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
}

const NONE: DeviceList = { cameras: [], microphones: [], speakers: [] };

/** `granted` changes when a permission is given: names and ids are only told after that. */
export function useDevices(granted: unknown): DeviceList {
  const [devices, setDevices] = useState(NONE);

  useEffect(() => {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (!media) return;
    let stopped = false;
    const list = () => {
      media.enumerateDevices().then((found) => {
        if (!stopped) setDevices(sortDevices(found));
      }, () => undefined);
    };
    list();
    media.addEventListener('devicechange', list);
    return () => {
      stopped = true;
      media.removeEventListener('devicechange', list);
    };
  }, [granted]);

  return devices;
}

function sortDevices(found: MediaDeviceInfo[]): DeviceList {
  const of = (kind: MediaDeviceKind) => found.filter((device) => device.kind === kind && device.deviceId !== '');
  const chooses = 'setSinkId' in HTMLMediaElement.prototype;
  return { cameras: of('videoinput'), microphones: of('audioinput'), speakers: chooses ? of('audiooutput') : [] };
}
