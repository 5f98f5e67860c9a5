// The bar below the stage.
import type { Room } from 'livekit-client';
import type { RoomPicture } from '../model/tile';
import { DeviceMenu } from './DeviceMenu';
import { Icon, type IconName } from './Icon';

export type Panel = 'chat' | 'people' | null;

export interface ControlActions {
  toggleMic: () => void;
  toggleCamera: () => void;
  toggleScreen: () => void;
  showPanel: (panel: Panel) => void;
  leave: () => void;
  deviceProblem: (kind: 'camera' | 'microphone', thrown: unknown) => void;
}

interface Props {
  room: Room;
  picture: RoomPicture;
  panel: Panel;
  unread: number;
  actions: ControlActions;
}

const CAN_SHARE = 'getDisplayMedia' in (navigator.mediaDevices ?? {});

export function Controls({ room, picture, panel, unread, actions }: Props) {
  const { micOn, cameraOn, sharing } = picture.self;
  const count = picture.people.length;
  return (
    <footer className="controls" aria-label="Call controls">
      <div className="control-pair">
        <Control id="toggle-mic" icon={micOn ? 'mic' : 'micOff'} label={micOn ? 'Mute (M)' : 'Unmute (M)'} off={!micOn} onClick={actions.toggleMic} />
        <DeviceMenu room={room} of="audio" onProblem={(thrown) => actions.deviceProblem('microphone', thrown)} />
      </div>
      <div className="control-pair">
        <Control id="toggle-camera" icon={cameraOn ? 'camera' : 'cameraOff'} label={cameraOn ? 'Camera off (V)' : 'Camera on (V)'} off={!cameraOn} onClick={actions.toggleCamera} />
        <DeviceMenu room={room} of="video" onProblem={(thrown) => actions.deviceProblem('camera', thrown)} />
      </div>
      {CAN_SHARE && (
        <Control id="toggle-screen" icon="screen" label={sharing ? 'Stop sharing' : 'Share your screen'} active={sharing} onClick={actions.toggleScreen} />
      )}
      <Control
        id="toggle-chat" icon="chat" label={unread > 0 ? `Chat, ${unread} unread (C)` : 'Chat (C)'}
        active={panel === 'chat'} badge={unread} onClick={() => actions.showPanel(panel === 'chat' ? null : 'chat')}
      />
      <Control
        id="toggle-people" icon="people" label={count === 1 ? '1 participant' : `${count} participants`}
        active={panel === 'people'} count={count} onClick={() => actions.showPanel(panel === 'people' ? null : 'people')}
      />
      <button type="button" className="control leave" data-testid="leave" aria-label="Leave the call" title="Leave the call" onClick={actions.leave}>
        <Icon name="leave" size={24} />
      </button>
    </footer>
  );
}

interface ControlProps {
  id: string;
  icon: IconName;
  label: string;
  off?: boolean;
  /** Undefined for a button whose label already says what it does next. */
  active?: boolean;
  badge?: number;
  count?: number;
  onClick: () => void;
}

function Control({ id, icon, label, off = false, active, badge = 0, count, onClick }: ControlProps) {
  return (
    <button
      type="button"
      className="control"
      data-testid={id}
      data-off={off}
      aria-pressed={active}
      aria-label={label}
      title={label}
      onClick={onClick}
    >
      <Icon name={icon} />
      {count !== undefined && <span className="control-count" data-testid="people-count">{count}</span>}
      {badge > 0 && <span className="control-badge" data-testid="chat-unread">{badge > 99 ? '99+' : badge}</span>}
    </button>
  );
}
