// Everything that can go wrong, in words, with a way out.
import { OrigoError } from '@origo/client';
import { DisconnectReason } from 'livekit-client';

export interface Notice {
  tone: 'info' | 'problem';
  title: string;
  detail: string;
}

/** Why a call could not be joined; null when the person gave up themselves. */
export function joinProblem(thrown: unknown, demo: boolean): Notice | null {
  if (!(thrown instanceof OrigoError)) {
    return problem('The call could not be joined', thrown instanceof Error ? thrown.message : String(thrown));
  }
  switch (thrown.code) {
    case 'cancelled':
      return null;
    case 'not_allowed':
      return problem(
        'You were not let in',
        demo ? `${thrown.reason}. Try once more, or choose another room.` : `${thrown.reason}. Ask for a new invitation.`,
      );
    case 'node_unknown':
      return problem('That node is not there', `${thrown.reason} Choose another one, or Automatic.`);
    case 'unreachable':
      return problem('The mesh could not be reached', `Check your connection and try again. ${thrown.reason}`);
    case 'invalid_option':
    case 'route_failed':
    case 'path_failed':
      return problem('The call could not be joined', thrown.reason);
  }
}

/** What to say when a call has ended. */
export function farewell(reason: DisconnectReason | undefined, room: string): Notice {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return { tone: 'info', title: `You left ${room}`, detail: 'See you next time. You can join again right here.' };
    case DisconnectReason.DUPLICATE_IDENTITY:
      return problem('You joined from somewhere else', 'This tab was disconnected, because the same identity joined again.');
    case DisconnectReason.PARTICIPANT_REMOVED:
      return problem('You were removed from the call', 'A moderator ended your participation.');
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return { tone: 'info', title: 'The call has ended', detail: `${room} was closed for everybody.` };
    case DisconnectReason.SERVER_SHUTDOWN:
      return problem('The node was shut down', 'Join again: another node takes over.');
    default:
      return problem('The connection was lost', 'Your network or the node went away. Join again when you are back online.');
  }
}

/** Why a camera or a microphone is not there. */
export function deviceProblem(kind: 'camera' | 'microphone', thrown: unknown): string {
  const name = thrown instanceof Error ? thrown.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return `The browser does not allow the ${kind}. Allow it in the address bar.`;
    case 'NotFoundError':
    case 'OverconstrainedError':
      return `No ${kind} was found.`;
    case 'NotReadableError':
    case 'AbortError':
      return `The ${kind} is used by another program.`;
    case 'InsecureContextError':
      return `The browser gives a ${kind} only to https pages and to this machine.`;
    default:
      return `The ${kind} could not be started${name === '' ? '' : ` (${name})`}.`;
  }
}

function problem(title: string, detail: string): Notice {
  return { tone: 'problem', title, detail };
}
