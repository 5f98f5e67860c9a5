// What stands in the way of the call right now, and what can be done about it.
import { ConnectionState } from 'livekit-client';
import type { Room } from 'livekit-client';
import type { RoomPicture } from '../model/tile';
import { Icon } from './Icon';

export function Banner({ room, picture }: { room: Room; picture: RoomPicture }) {
  const { connection, canPlayAudio } = picture;
  if (connection !== ConnectionState.Connected) {
    return (
      <div className="banner" role="status" data-testid="banner">
        <span className="spinner" aria-hidden="true" />
        The connection was interrupted. Reconnecting…
      </div>
    );
  }
  if (!canPlayAudio) {
    return (
      <div className="banner" role="status" data-testid="banner">
        <Icon name="speaker" />
        The browser waits for your permission to play sound.
        <button type="button" data-testid="start-audio" onClick={() => void room.startAudio()}>
          Turn sound on
        </button>
      </div>
    );
  }
  return null;
}
