// Another camera, microphone or speaker during the call.
import type { Room } from 'livekit-client';
import { useState } from 'react';
import { useDevices } from '../hooks/useDevices';
import { Icon, type IconName } from './Icon';
import { Popover } from './Popover';
import { deviceChoices, Select } from './Select';

interface Group {
  kind: MediaDeviceKind;
  title: string;
  devices: MediaDeviceInfo[];
}

interface Props {
  room: Room;
  of: 'audio' | 'video';
  onProblem: (thrown: unknown) => void;
}

export function DeviceMenu({ room, of, onProblem }: Props) {
  return (
    <Popover
      label={of === 'audio' ? 'Choose microphone and speaker' : 'Choose camera'}
      className="control-more"
      align="above"
      button={<Icon name="chevron" size={16} />}
    >
      {(close) => <Menu room={room} of={of} onProblem={onProblem} onDone={close} />}
    </Popover>
  );
}

/** The same choice where the bar has no room for menus. */
export function DeviceSelects({ room, onProblem }: Pick<Props, 'room' | 'onProblem'>) {
  const [opened] = useState(() => Date.now());
  const [, show] = useState(0);
  const list = useDevices(opened);
  const choose = (kind: MediaDeviceKind) => (deviceId: string) => {
    room.switchActiveDevice(kind, deviceId).then(() => show((count) => count + 1), onProblem);
  };
  const select = (kind: MediaDeviceKind, label: string, icon: IconName, devices: MediaDeviceInfo[]) => (
    <Select
      label={label}
      icon={icon}
      value={room.getActiveDevice(kind) ?? 'default'}
      choices={deviceChoices(devices, label)}
      onChange={choose(kind)}
    />
  );
  return (
    <div className="device-selects">
      {select('videoinput', 'Camera', 'camera', list.cameras)}
      {select('audioinput', 'Microphone', 'mic', list.microphones)}
      {list.speakers.length > 0 && select('audiooutput', 'Speaker', 'speaker', list.speakers)}
    </div>
  );
}

function Menu({ room, of, onProblem, onDone }: Props & { onDone: () => void }) {
  const [opened] = useState(() => Date.now());
  const list = useDevices(opened);
  const groups: Group[] =
    of === 'video'
      ? [{ kind: 'videoinput', title: 'Camera', devices: list.cameras }]
      : [
          { kind: 'audioinput', title: 'Microphone', devices: list.microphones },
          { kind: 'audiooutput', title: 'Speaker', devices: list.speakers },
        ];
  const choose = (kind: MediaDeviceKind, deviceId: string) => {
    room.switchActiveDevice(kind, deviceId).catch(onProblem);
    onDone();
  };
  return (
    <div className="menu">
      {groups.filter((group) => group.devices.length > 0).map(({ kind, title, devices }) => (
        <div key={kind} role="group" aria-label={title}>
          <h2>{title}</h2>
          {deviceChoices(devices, title).map(({ value, label }) => {
            const active = (room.getActiveDevice(kind) ?? 'default') === value;
            return (
              <button key={value} type="button" aria-pressed={active} onClick={() => choose(kind, value)}>
                <span className="menu-check">{active && <Icon name="check" size={16} />}</span>
                {label}
              </button>
            );
          })}
        </div>
      ))}
      {groups.every((group) => group.devices.length === 0) && <p>No device was found.</p>}
    </div>
  );
}
