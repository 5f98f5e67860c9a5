// Opens a session at another node beside the one that there is, with all that the old one sends and gets.
import {
  LocalAudioTrack, LocalVideoTrack, RoomEvent, Track, type LocalTrack, type LocalTrackPublication, type RemoteTrack,
  type RemoteTrackPublication, type Room, type RoomConnectOptions,
} from 'livekit-client';
import { wsAddress } from './address.js';
import { OrigoError } from './errors.js';

/** The parameter by which a node hears that a client can do this, and of which session the new one is the successor. */
const PARAMETER = 'origo_successor';
/** How long what the old session gets may take to flow in the new one. */
const FLOWS_WITHIN_MS = 6000;
const LOOK_EVERY_MS = 20;
/** Sound that came by then fills the jitter buffer. */
const SOUND_PACKETS = 5;

/** A server URL that says so; `of` is the old session's participant sid, and `received` what it got of data. */
export function successorUrl(url: string, of = '1', received: Record<string, string> = {}): string {
  return `${wsAddress(url)}?${new URLSearchParams({ [PARAMETER]: of, ...received }).toString()}`;
}

/** What of an old session flows in its successor, element by element. */
export interface Pair {
  old: RemoteTrack;
  now: RemoteTrack;
  /** Plays the new track until the elements of the old one do. */
  stage: HTMLMediaElement;
}

/** Connects the successor and publishes in it what the old session publishes; not if the old one is seen to live before the
 * successor is connected. `received` tells the node how far data has come. */
export async function begin(
  old: Room,
  room: Room,
  url: string,
  token: string,
  options: RoomConnectOptions,
  lives?: AbortSignal,
  received: Record<string, string> = {},
): Promise<void> {
  const giveUp = () => void room.disconnect(false);
  lives?.addEventListener('abort', giveUp, { once: true });
  try {
    await room.connect(successorUrl(url, old.localParticipant.sid, received), token, options);
  } finally {
    lives?.removeEventListener('abort', giveUp);
  }
  lives?.throwIfAborted();
  const published = [...old.localParticipant.trackPublications.values()];
  await Promise.all(published.map((publication) => publishAgain(room, publication)));
  for (const participant of old.remoteParticipants.values()) {
    for (const publication of participant.trackPublications.values()) {
      if (!publication.isDesired) counterpart(room, publication)?.setSubscribed(false);
    }
  }
}

/** The same camera or microphone over a connection of its own. */
async function publishAgain(room: Room, publication: LocalTrackPublication): Promise<void> {
  const track = publication.track;
  // A camera that is muted has been let go: it is published as it is, and opened again when it is unmuted.
  if (!track || (track.mediaStreamTrack.readyState === 'ended' && !publication.isMuted)) return;
  const copy = copyOf(track);
  if (publication.isMuted) await copy.mute();
  const { trackName: name, source } = publication;
  await room.localParticipant.publishTrack(copy, { ...publication.options, name, source });
}

function copyOf(track: LocalTrack): LocalTrack {
  const { mediaStreamTrack, constraints, isUserProvided } = track;
  return track.kind === Track.Kind.Audio
    ? new LocalAudioTrack(mediaStreamTrack, constraints, isUserProvided)
    : new LocalVideoTrack(mediaStreamTrack, constraints, isUserProvided);
}

/** Each track of the new session takes the elements of its counterpart in the old one as soon as it comes. What this gives
 * takes them out of the old one, which would let them go as it ends: somebody who was on the same node may be back later. */
export function adopt(old: Room, room: Room): () => void {
  const kept = new Map<string, HTMLMediaElement[]>();
  const take = (publication: RemoteTrackPublication | undefined) => publication?.track?.attachedElements.splice(0) ?? [];
  room.on(RoomEvent.TrackSubscribed, (track, publication) => {
    for (const element of kept.get(publication.trackSid) ?? take(counterpart(old, publication))) {
      if (track.kind === Track.Kind.Audio) element.srcObject = null;
      track.attach(element);
    }
    kept.delete(publication.trackSid);
  });
  return () => {
    for (const participant of old.remoteParticipants.values()) {
      for (const publication of participant.trackPublications.values()) kept.set(publication.trackSid, take(publication));
    }
  };
}

function counterpart(room: Room, publication: { trackSid: string }): RemoteTrackPublication | undefined {
  for (const participant of room.remoteParticipants.values()) {
    const found = participant.trackPublications.get(publication.trackSid);
    if (found) return found;
  }
  return undefined;
}

/** Waits until all that the old session gets flows in the new one. What is muted or has ended meanwhile is not waited for. */
export async function flows(old: Room, room: Room): Promise<Pair[]> {
  const pairs = new Map<string, Pair>();
  const end = performance.now() + FLOWS_WITHIN_MS;
  for (;;) {
    const missing = (await Promise.all(received(old).map((publication) => flow(room, publication, pairs)))).includes(false);
    if (!missing) return [...pairs.values()];
    if (performance.now() > end) {
      dismiss([...pairs.values()]);
      throw new OrigoError('unreachable', 'The next node did not send everything in time.');
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

function received(room: Room): RemoteTrackPublication[] {
  const publications = [...room.remoteParticipants.values()].flatMap((each) => [...each.trackPublications.values()]);
  return publications.filter((each) => each.track && !each.isMuted);
}

async function flow(room: Room, publication: RemoteTrackPublication, pairs: Map<string, Pair>): Promise<boolean> {
  const old = publication.track;
  const now = counterpart(room, publication)?.track;
  if (!old) return true;
  if (!now) return false;
  // A picture that is shown nowhere is not sent, here as there.
  if (old.kind === Track.Kind.Video && old.attachedElements.length === 0) return true;
  if (!pairs.has(old.sid ?? '')) pairs.set(old.sid ?? '', { old, now, stage: stageFor(old, now) });
  const report = [...((await now.getRTCStatsReport())?.values() ?? [])] as Record<string, unknown>[];
  const inbound = report.find(({ type }) => type === 'inbound-rtp');
  if (old.kind === Track.Kind.Video) return Number(inbound?.framesDecoded ?? 0) > 0;
  return Number(inbound?.packetsReceived ?? 0) >= SOUND_PACKETS;
}

/** An element of the size of the one that shows the old track, so that the new one comes in the same layer. */
function stageFor(old: RemoteTrack, now: RemoteTrack): HTMLMediaElement {
  const stage = document.createElement(old.kind === Track.Kind.Video ? 'video' : 'audio');
  stage.autoplay = true;
  stage.muted = true;
  if (stage instanceof HTMLVideoElement) {
    const [shown] = old.attachedElements;
    const { width, height } = shown?.getBoundingClientRect() ?? { width: 0, height: 0 };
    stage.playsInline = true;
    Object.assign(stage.style, {
      position: 'fixed', left: '0', top: '0', opacity: '0', pointerEvents: 'none', zIndex: '-1',
      width: `${Math.max(1, width)}px`, height: `${Math.max(1, height)}px`,
    });
    document.body.append(stage);
  }
  now.attach(stage);
  // Attaching unmutes what has sound.
  stage.muted = true;
  return stage;
}

/** The new tracks take the elements of the old ones: sound changes over at once, and its elements follow unheard. */
export function changeOver(pairs: Pair[]): void {
  for (const { old, now, stage } of pairs) {
    const elements = [...old.attachedElements];
    const heard = elements.filter((element) => old.kind === Track.Kind.Audio && !element.muted);
    const [loudest] = heard;
    if (loudest) {
      stage.volume = loudest.volume;
      stage.muted = false;
      heard.forEach((element) => (element.muted = true));
    }
    // The old track gives them up without ceremony: what it detaches is given to the next track that has no element.
    old.attachedElements.length = 0;
    for (const element of elements) {
      if (heard.includes(element)) element.srcObject = null;
      now.attach(element);
    }
    heard.forEach((element) => (element.muted = true));
    // By then the elements play what they were given.
    setTimeout(() => {
      heard.forEach((element) => (element.muted = false));
      dismiss([{ old, now, stage }]);
    }, 500);
  }
}

/** Takes the stages away. */
export function dismiss(pairs: Pair[]): void {
  for (const { now, stage } of pairs) {
    now.detach(stage);
    stage.remove();
  }
}
