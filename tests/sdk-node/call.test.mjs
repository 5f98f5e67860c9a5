// The unmodified npm SDK `@livekit/rtc-node` on two nodes: sound and pictures, and what happens to them.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { dispose, EncryptionType, RoomEvent, SimulateScenarioKind, TrackKind, VideoCodec } from '@livekit/rtc-node';
import { RoomServiceClient } from 'livekit-server-sdk';
import { startMesh } from '../browser/mesh.mjs';
import { gather, Guest, leaveAll, until } from './guest.mjs';
import { isNear, listen, look, publishPicture, publishTone, stopPlaying } from './media.mjs';

const { KIND_AUDIO, KIND_VIDEO } = TrackKind;
const TONE_HZ = 440;
const ORANGE = [230, 120, 20];
let mesh;

before(async () => {
  mesh = await startMesh('sdk-node-call');
});

afterEach(async () => {
  await stopPlaying();
  await leaveAll();
});

after(async () => {
  await mesh?.stop();
  await dispose();
});

async function hears(guest, identity) {
  const { track } = await guest.track(identity, KIND_AUDIO);
  const { purity, sounding } = await listen(track, TONE_HZ, 1.5);
  assert.ok(purity > 0.8, `${guest.identity} hears the tone of ${identity} with a share of ${purity}`);
  assert.ok(sounding > 0.8, `${guest.identity} hears ${identity} in a share of ${sounding} of the time`);
}

async function sees(guest, identity) {
  const { track } = await guest.track(identity, KIND_VIDEO);
  const { colour } = await look(track, (_, count) => count >= 20);
  assert.ok(isNear(colour, ORANGE), `${guest.identity} sees ${colour}`);
}

test('two participants on two nodes see and hear each other', async () => {
  const [ann, ben] = await gather(mesh, 'both', { ann: 0, ben: 1 });
  for (const guest of [ann, ben]) {
    await publishTone(guest.me, TONE_HZ);
    await publishPicture(guest.me, ORANGE);
  }
  await Promise.all([hears(ann, 'ben'), hears(ben, 'ann'), sees(ann, 'ben'), sees(ben, 'ann')]);
});

test('a simulcast picture comes in full size, and as simulcast', async () => {
  const [ann, ben] = await gather(mesh, 'simulcast', { ann: 0, ben: 2 });
  const videoEncoding = { maxBitrate: 900_000n, maxFramerate: 20 };
  await publishPicture(ann.me, ORANGE, { width: 1280, height: 720, simulcast: true, videoEncoding });
  const { track, publication } = await ben.track('ann', KIND_VIDEO);
  assert.equal(publication.simulcasted, true);
  const { colour } = await look(track, (frame) => frame.width === 1280, 20_000);
  assert.ok(isNear(colour, ORANGE), String(colour));
});

for (const [name, videoCodec] of Object.entries({ VP9: VideoCodec.VP9, AV1: VideoCodec.AV1, H264: VideoCodec.H264 })) {
  test(`a picture in ${name} crosses`, async () => {
    const [ann, ben] = await gather(mesh, `codec-${name}`, { ann: 0, ben: 1 });
    await publishPicture(ann.me, ORANGE, { videoCodec });
    await sees(ben, 'ann');
    const { publication } = await ben.track('ann', KIND_VIDEO);
    assert.equal(publication.mimeType.toLowerCase(), `video/${name.toLowerCase()}`);
  });
}

test('a track that is unpublished is gone on the other node', async () => {
  const [ann, ben] = await gather(mesh, 'unpublish', { ann: 0, ben: 1 });
  const published = await publishTone(ann.me, TONE_HZ);
  await hears(ben, 'ann');
  await ann.me.unpublishTrack(published.sid);
  await ben.event(RoomEvent.TrackUnpublished, (gone) => gone.sid === published.sid);
});

test('a track that an application mutes is silent and known to be', async () => {
  const [ann, ben] = await gather(mesh, 'mute', { ann: 0, ben: 1 });
  const published = await publishTone(ann.me, TONE_HZ);
  await hears(ben, 'ann');
  const client = new RoomServiceClient(mesh.nodes[2].url.replace(/^ws/, 'http'), mesh.api_key, mesh.api_secret);
  const muted = await client.mutePublishedTrack('mute', 'ann', published.sid, true);
  assert.equal(muted.muted, true);
  for (const guest of [ann, ben]) await guest.event(RoomEvent.TrackMuted, (track) => track.sid === published.sid);
  const { track } = await ben.track('ann', KIND_AUDIO);
  await until('it is silent', async () => (await listen(track, TONE_HZ, 0.3)).sounding < 0.1);
});

test('an encrypted call is understood with the key and not without it', async () => {
  const withKey = (text) => ({
    encryption: {
      keyProviderOptions: { sharedKey: new TextEncoder().encode(text), failureTolerance: -1 },
      encryptionType: EncryptionType.GCM,
    },
  });
  const [ann, ben] = await gather(mesh, 'e2ee', { ann: 0, ben: 1 }, withKey('the right key'));
  const eve = await new Guest('eve').join(mesh, 2, 'e2ee', withKey('a wrong key'));
  await publishTone(ann.me, TONE_HZ);
  await publishPicture(ann.me, ORANGE);
  await Promise.all([hears(ben, 'ann'), sees(ben, 'ann')]);
  const { publication } = await ben.track('ann', KIND_VIDEO);
  assert.equal(publication.encryptionType, EncryptionType.GCM);
  const { track } = await eve.track('ann', KIND_VIDEO);
  await assert.rejects(
    look(track, (_, count) => count >= 10, 3_000),
    /no such frame/,
  );
});

test('a participant comes back after its signal socket is cut, and what it publishes is still heard', async () => {
  const [ann, ben] = await gather(mesh, 'resume', { ann: 0, ben: 1 });
  await publishTone(ann.me, TONE_HZ);
  await hears(ben, 'ann');
  const { sid } = ann.me;
  await ann.room.simulateScenario(SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT);
  await ann.event(RoomEvent.Reconnected, undefined, 30_000);
  assert.equal(ann.me.sid, sid, 'it is the same session');
  await hears(ben, 'ann');
  assert.equal(ben.count(RoomEvent.ParticipantDisconnected), 0, 'nobody else has noticed');
});

test('a participant that joins anew publishes anew', async () => {
  const [ann, ben] = await gather(mesh, 'full', { ann: 0, ben: 1 });
  await publishTone(ann.me, TONE_HZ);
  const first = (await ben.track('ann', KIND_AUDIO)).track.sid;
  await ann.room.simulateScenario(SimulateScenarioKind.SIMULATE_FULL_RECONNECT);
  await ann.event(RoomEvent.Reconnected, undefined, 30_000);
  const again = await ben.event(
    RoomEvent.TrackSubscribed,
    (track, _, who) => who.identity === 'ann' && track.sid !== first,
  );
  const { purity } = await listen(again.what[0], TONE_HZ, 1.5);
  assert.ok(purity > 0.8, `the tone has a share of ${purity}`);
});

test('a leaver is gone on the other nodes within two seconds', async () => {
  const [ann, ben, cid] = await gather(mesh, 'leaving', { ann: 0, ben: 1, cid: 2 });
  const left = performance.now();
  await ann.leave();
  for (const guest of [ben, cid]) {
    const { at } = await guest.event(RoomEvent.ParticipantDisconnected, (who) => who.identity === 'ann');
    assert.ok(at - left < 2_000, `${guest.identity} was told after ${at - left} ms`);
  }
  await until('nobody else is there', () => ben.room.remoteParticipants.size === 1);
});
