// Joins a call: gets a token where one is needed, and connects through the SDK.
import { connect, newestToken, type Connection, type Stage } from '@origo/client';
import { VideoPresets, type RoomOptions } from 'livekit-client';
import { identityFor } from '../model/name';
import { demoToken } from './demo';

export interface JoinRequest extends Media {
  name: string;
  room: string;
  /** Empty on a demo node: it gives one. */
  token: string;
  /** Empty for a random one. A token overrides it. */
  identity: string;
  /** Empty for the nearest. */
  node: string;
  devices: Devices;
}

/** Whether something is sent from them. */
export interface Media {
  mic: boolean;
  camera: boolean;
}

/** Device ids; empty is the system's default. */
export interface Devices {
  mic: string;
  camera: string;
  speaker: string;
}

export interface Call {
  connection: Connection;
  request: JoinRequest;
  token: string;
  /** It goes on from a session at another node, and sends what that one sent: nothing is to be switched on. */
  continues?: boolean;
}

/** Told of the session at another node that has taken the place of one that goes, or is gone. */
export type OnMove = (moved: Call, before: Call) => void;

export async function join(
  origin: string,
  request: JoinRequest,
  onStage: (stage: Stage) => void,
  onMove: OnMove,
  signal: AbortSignal,
): Promise<Call> {
  const { room, name, devices } = request;
  const identity = request.identity || identityFor(name);
  const token = request.token || (await demoToken(origin, { room, identity, name }));
  const connection = await connect({
    ...optionsOf(devices), cluster: origin, room, token, node: request.node, onStage, signal,
    onMove: followed(request, token, onMove),
  });
  return { connection, request, token };
}

/** The same call at another node. The page's own node may be gone as well. */
export async function move(origin: string, call: Call, on: Media, onMove: OnMove, signal?: AbortSignal): Promise<Call> {
  const { connection, request } = call;
  const token = newestToken(connection.room) ?? call.token;
  const others = connection.candidates.map(({ node }) => node).filter((node) => node.id !== connection.node.id);
  const moved = await connect({
    ...optionsOf(request.devices),
    cluster: [...others.map((node) => node.url), origin],
    avoid: connection.node.id,
    room: request.room,
    token,
    onMove: followed(request, token, onMove),
    ...(signal ? { signal } : {}),
  });
  const gone = connection.node.region || connection.node.id;
  moved.node.why = `${gone} is gone. ${moved.node.why}`;
  return { connection: moved, request: { ...request, ...on, node: '' }, token };
}

/** What the SDK tells of a move, as the page knows calls. */
function followed(request: JoinRequest, token: string, onMove: OnMove): (moved: Connection, before: Connection) => void {
  const call = (connection: Connection): Call => ({ connection, request: { ...request, node: '' }, token, continues: true });
  return (moved, before) => onMove(call(moved), call(before));
}

function optionsOf(devices: Devices): RoomOptions {
  return {
    adaptiveStream: true,
    dynacast: true,
    audioCaptureDefaults: chosen(devices.mic),
    videoCaptureDefaults: { ...chosen(devices.camera), resolution: VideoPresets.h720.resolution },
    publishDefaults: { simulcast: true, videoCodec: 'vp8' },
    audioOutput: chosen(devices.speaker),
  };
}

function chosen(deviceId: string): { deviceId?: string } {
  return deviceId === '' ? {} : { deviceId };
}
