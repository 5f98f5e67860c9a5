// Who is in the room and which tiles stand for them: a plain picture of a `Room` at one moment, for rendering.
import { ConnectionQuality, ConnectionState, Track } from 'livekit-client';
import type { Participant, Room, TrackPublication } from 'livekit-client';

export interface Person {
  identity: string;
  name: string;
  local: boolean;
  speaking: boolean;
  micOn: boolean;
  weak: boolean;
  joinedAt: number;
  /** The last time the person spoke, 0 for never. */
  spokeAt: number;
}

export interface Tile {
  key: string;
  kind: 'camera' | 'screen';
  person: Person;
  /** The picture, when there is one that can be shown. */
  video: Track | null;
  /** The track whose path the tile tells: the picture, else the voice. */
  pathSid: string | null;
}

export interface Sound {
  key: string;
  identity: string;
  track: Track;
}

export interface RoomPicture {
  connection: ConnectionState;
  people: Person[];
  tiles: Tile[];
  /** What the others send to be heard. */
  sounds: Sound[];
  canPlayAudio: boolean;
  self: { micOn: boolean; cameraOn: boolean; sharing: boolean };
}

export function pictureOf(room: Room): RoomPicture {
  const participants: Participant[] = [room.localParticipant, ...room.remoteParticipants.values()];
  const tiles = participants.flatMap(tilesOf);
  const self = room.localParticipant;
  return {
    connection: room.state,
    people: orderPeople(participants.map(personOf)),
    tiles,
    sounds: [...room.remoteParticipants.values()].flatMap(soundsOf),
    canPlayAudio: room.canPlaybackAudio,
    self: { micOn: self.isMicrophoneEnabled, cameraOn: self.isCameraEnabled, sharing: self.isScreenShareEnabled },
  };
}

/** Yourself first, then those who are here longest: nobody's tile jumps while they speak. */
export function orderPeople<P extends Place>(people: P[]): P[] {
  return [...people].sort(comparePeople);
}

function comparePeople(a: Place, b: Place): number {
  if (a.local !== b.local) return a.local ? -1 : 1;
  return a.joinedAt - b.joinedAt || a.identity.localeCompare(b.identity);
}

type Place = Pick<Person, 'local' | 'joinedAt' | 'identity'>;

/**
 * The order of tiles when `size` fit on the first page. Whoever spoke last is brought onto it, in exchange for
 * the one on it who has been silent longest; the rest keep their places.
 */
export function orderTiles(tiles: Tile[], size: number): Tile[] {
  const ordered = [...tiles].sort((a, b) => comparePeople(a.person, b.person));
  if (ordered.length <= size || size < 2) return ordered;
  const wanted = ordered.slice(1).sort((a, b) => b.person.spokeAt - a.person.spokeAt).slice(0, size - 1);
  const first = ordered.filter((tile, index) => index === 0 || wanted.includes(tile));
  return [...first, ...ordered.filter((tile) => !first.includes(tile))];
}

function tilesOf(participant: Participant): Tile[] {
  const person = personOf(participant);
  const camera = participant.getTrackPublication(Track.Source.Camera);
  const voice = participant.getTrackPublication(Track.Source.Microphone);
  const screen = participant.getTrackPublication(Track.Source.ScreenShare);
  const tile = (kind: Tile['kind'], shown: TrackPublication | undefined, told: TrackPublication | undefined): Tile => ({
    key: `${participant.identity}/${kind}`,
    kind,
    person,
    video: shown?.track && !shown.isMuted ? shown.track : null,
    pathSid: told?.trackSid ?? null,
  });
  // Only a track that arrives here has a path. A muted picture may have none, the voice goes on.
  const arriving = [camera?.isMuted ? undefined : camera, voice, camera].find((publication) => publication?.track);
  const tiles = [tile('camera', camera, arriving)];
  if (screen && !screen.isMuted) tiles.push(tile('screen', screen, screen.track ? screen : undefined));
  return tiles;
}

function personOf(participant: Participant): Person {
  return {
    identity: participant.identity,
    name: participant.name || participant.identity,
    local: participant.isLocal,
    speaking: participant.isSpeaking,
    micOn: participant.isMicrophoneEnabled,
    weak: weak(participant.connectionQuality),
    joinedAt: participant.joinedAt?.getTime() ?? 0,
    spokeAt: participant.lastSpokeAt?.getTime() ?? 0,
  };
}

function soundsOf(participant: Participant): Sound[] {
  return [...participant.audioTrackPublications.values()].flatMap(({ track, trackSid }) =>
    track ? [{ key: trackSid, identity: participant.identity, track }] : [],
  );
}

function weak(quality: ConnectionQuality): boolean {
  return quality === ConnectionQuality.Poor || quality === ConnectionQuality.Lost;
}
