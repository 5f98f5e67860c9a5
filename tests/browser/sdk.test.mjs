// The unmodified `livekit-client` in Chromium against a demo mesh, in both forms of the protocol: v1 with a single
// PeerConnection (its default) and v0 with two.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openClient } from './client.mjs';
import { startMesh } from './mesh.mjs';

const JOINS = 7;
const JOIN_LIMIT_MS = 400;
const KNOWN_LIMIT_MS = 200;
const FIRST_FRAME_LIMIT_MS = 1_000;

let mesh;
let guest;

before(async () => {
  mesh = await startMesh('sdk-js');
  guest = await openClient(mesh, { name: 'sdk' });
});

after(async () => {
  await guest?.close();
  await mesh?.stop();
});

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const rounded = (values) => values.map((value) => Math.round(value)).join(', ');

for (const [form, singlePeerConnection] of [['v1', true], ['v0', false]]) {
  describe(`livekit-client ${form}`, () => {
    test('joins within 400 ms', { timeout: 60_000 }, async () => {
      const took = [];
      for (let attempt = 0; attempt < JOINS; attempt += 1) {
        const token = await mesh.token(`join-${form}`, `joiner-${attempt}`);
        const url = mesh.nodes[attempt % mesh.nodes.length].url;
        took.push(
          await guest.page.evaluate(
            async ([url, token, singlePeerConnection]) => {
              const room = new LivekitClient.Room({ singlePeerConnection });
              const begunAt = performance.now();
              await room.connect(url, token);
              const ms = performance.now() - begunAt;
              await room.disconnect();
              return ms;
            },
            [url, token, singlePeerConnection],
          ),
        );
      }
      console.log(`${form} joins took ${rounded(took)} ms, median ${Math.round(median(took))} ms`);
      assert.ok(median(took) < JOIN_LIMIT_MS, `median join took ${median(took)} ms`);
    });

    test('knows a new participant, its picture and its data on another node', { timeout: 60_000 }, async () => {
      const name = `meet-${form}`;
      const tokens = await Promise.all(['ann', 'bob'].map((identity) => mesh.token(name, identity)));
      const seen = await guest.page.evaluate(meet, [mesh.nodes[0].url, mesh.nodes[1].url, ...tokens, singlePeerConnection]);
      console.log(
        `${form}: known after ${seen.knownMs.toFixed(0)} ms, first frame ${seen.frameMs.toFixed(0)} ms after subscribing, ` +
          `${seen.frames} frames in 2 s, data ${seen.data.join(' and ')}`,
      );
      assert.ok(seen.knownMs < KNOWN_LIMIT_MS, `known on the other node after ${seen.knownMs} ms`);
      assert.ok(seen.frameMs < FIRST_FRAME_LIMIT_MS, `first frame after ${seen.frameMs} ms`);
      assert.ok(seen.frames >= 30, `${seen.frames} frames in 2 s`);
      assert.deepEqual(seen.data, ['reliable from ann', 'lossy from ann']);
      assert.equal(seen.left, 'ann');
    });
  });
}

test('a wrong token is refused with a reason that the SDK can read', { timeout: 30_000 }, async () => {
  const token = `${(await mesh.token('refused', 'ann')).slice(0, -6)}AAAAAA`;
  const refusal = await guest.page.evaluate(
    async ([url, token]) =>
      new LivekitClient.Room().connect(url, token).then(
        () => null,
        ({ reason, status, message }) => ({ reason: LivekitClient.ConnectionErrorReason[reason], status, message }),
      ),
    [mesh.nodes[0].url, token],
  );
  console.log(`refused: ${JSON.stringify(refusal)}`);
  assert.equal(refusal?.reason, 'NotAllowed');
  assert.equal(refusal?.status, 401);
});

/** Runs in the page: bob waits on one node; ann joins on another, publishes, sends data and leaves. */
async function meet([annUrl, bobUrl, annToken, bobToken, singlePeerConnection]) {
  const { Room, RoomEvent } = LivekitClient;
  const happens = (room, event) => new Promise((resolve) => room.once(event, (...what) => resolve([performance.now(), ...what])));
  const within = (ms, what, promise) =>
    Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`no ${what} in ${ms} ms`)), ms))]);

  const bob = new Room({ singlePeerConnection });
  await bob.connect(bobUrl, bobToken);
  const ann = new Room({ singlePeerConnection });
  const known = happens(bob, RoomEvent.ParticipantConnected);
  const joined = happens(ann, RoomEvent.SignalConnected);
  await ann.connect(annUrl, annToken);
  const [knownAt] = await within(5_000, 'participant', known);
  const [joinedAt] = await joined;

  const subscribed = happens(bob, RoomEvent.TrackSubscribed);
  await ann.localParticipant.setCameraEnabled(true);
  const [subscribedAt, track] = await within(10_000, 'track', subscribed);
  const video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  track.attach(video);
  const frameAt = await within(10_000, 'frame', new Promise((resolve) => video.requestVideoFrameCallback(resolve)));
  // What is decoded, and not what a headless window gets round to painting.
  const decoded = async () => {
    const report = [...(await track.getRTCStatsReport()).values()];
    return report.find(({ type }) => type === 'inbound-rtp').framesDecoded;
  };
  const before = await decoded();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const frames = (await decoded()) - before;

  const data = [];
  for (const reliable of [true, false]) {
    const arrives = happens(bob, RoomEvent.DataReceived);
    const words = reliable ? 'reliable' : 'lossy';
    await ann.localParticipant.publishData(new TextEncoder().encode(words), { reliable });
    const [, bytes, from] = await within(5_000, `${words} data`, arrives);
    data.push(`${new TextDecoder().decode(bytes)} from ${from?.identity}`);
  }

  const leaves = happens(bob, RoomEvent.ParticipantDisconnected);
  await ann.disconnect();
  const [, participant] = await within(5_000, 'leave', leaves);
  await bob.disconnect();
  video.remove();
  return { knownMs: knownAt - joinedAt, frameMs: frameAt - subscribedAt, frames, data, left: participant.identity };
}
