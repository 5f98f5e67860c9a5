// Joins a call: gets a token where one is needed, and connects through the SDK.
import { connect, type Connection, type Stage } from '@origo/client';
import { VideoPresets } from 'livekit-client';
import { identityFor } from '../model/name';
import { demoToken } from './demo';

export interface JoinRequest {
  name: string;
  room: string;
  /** Empty on a demo node: it gives one. */
  token: string;
  /** Empty for a random one. A token overrides it. */
  identity: string;
  /** Empty for the nearest. */
  node: string;
  mic: boolean;
  camera: boolean;
  devices: Devices;
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
}

export async function join(
  origin: string,
  request: JoinRequest,
  onStage: (stage: Stage) => void,
  signal: AbortSignal,
): Promise<Call> {
  const { room, name, devices } = request;
  const identity = request.identity || identityFor(name);
  const token = request.token || (await demoToken(origin, { room, identity, name }));
  const connection = await connect({
    cluster: origin,
    room,
    token,
    node: request.node,
    onStage,
    signal,
    adaptiveStream: true,
    dynacast: true,
    audioCaptureDefaults: chosen(devices.mic),
    videoCaptureDefaults: { ...chosen(devices.camera), resolution: VideoPresets.h720.resolution },
    publishDefaults: { simulcast: true, videoCodec: 'vp8' },
    audioOutput: chosen(devices.speaker),
  });
  return { connection, request, token };
}

function chosen(deviceId: string): { deviceId?: string } {
  return deviceId === '' ? {} : { deviceId };
}
