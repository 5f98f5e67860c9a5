// The unmodified `livekit-client` when its signal socket is cut, and when its node is killed: it reaches nodes through
// a front that stands for a cluster's name.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { enter, openClient } from './client.mjs';
import { startFront } from './front.mjs';
import { startMesh } from './mesh.mjs';

/** How long the socket stays cut. */
const CUT_MS = 1_000;
/** What a machine that does other things too may add; a stop for the time of the cut is longer. */
const LONGEST_MS = 700;
const CONCEALED_MAX = 0.15;
const BACK_LIMIT_MS = 20_000;
/** Nodes forget those of a dead node after 20 s, once they know that it is dead. */
const GHOST_LIMIT_MS = 45_000;

let mesh;
let front;
let ann;
let bob;

before(async () => {
  mesh = await startMesh('resume');
  front = await startFront([mesh.nodes[2], mesh.nodes[0]]);
  [ann, bob] = await Promise.all([
    openClient(mesh, { name: 'ann', colour: 'red', toneHz: 440 }),
    openClient(mesh, { name: 'bob', colour: 'blue', toneHz: 660 }),
  ]);
});

after(async () => {
  await Promise.all([ann, bob].map((guest) => guest?.close()));
  front?.close();
  await mesh?.stop();
});

const leave = (guest) =>
  guest.page.evaluate(async () => {
    await window.room.disconnect();
    document.querySelectorAll('video, audio').forEach((element) => element.remove());
  });

const publish = (guest) =>
  guest.page.evaluate(async () => {
    await window.room.localParticipant.setCameraEnabled(true);
    await window.room.localParticipant.setMicrophoneEnabled(true);
  });

/** Runs in the page: shows the other one and begins to note what comes. */
async function observe() {
  window.events = [];
  for (const event of ['signalReconnecting', 'reconnecting', 'reconnected', 'disconnected']) {
    window.room.on(event, () => window.events.push(event));
  }
  window.texts = [];
  window.room.on('dataReceived', (bytes) => window.texts.push(new TextDecoder().decode(bytes)));
  window.observed = {};
  for (const source of ['camera', 'microphone']) {
    const { track } = await window.received(window.room, source);
    window.play(track);
    if (source === 'camera') await window.decodes(track, 30);
    else await window.sounds(track);
  }
  for (const source of ['camera', 'microphone']) {
    window.observed[source] = window.observe((await window.received(window.room, source)).track);
  }
}

/** Runs in the page: what was noted. */
async function told() {
  const [camera, microphone] = await Promise.all([window.observed.camera(), window.observed.microphone()]);
  return { events: window.events, texts: window.texts, camera, microphone };
}

/** Runs in the page: says twenty numbers over reliable data, ten a second. */
async function count() {
  for (let number = 1; number <= 20; number += 1) {
    await window.room.localParticipant.publishData(new TextEncoder().encode(String(number)), { reliable: true });
    await window.pause(100);
  }
}

for (const [form, singlePeerConnection] of [['v1', true], ['v0', false]]) {
  describe(`a cut signal socket in ${form}`, () => {
    test('media never stops, data arrives, and the way back is told', { timeout: 90_000 }, async () => {
      const [room, options] = [`cut-${form}`, { singlePeerConnection }];
      await enter(ann, mesh, { room, url: front.url, options });
      await enter(bob, mesh, { room, node: mesh.nodes[1], options });
      await Promise.all([publish(ann), publish(bob)]);
      await Promise.all([ann.page.evaluate(observe), bob.page.evaluate(observe)]);
      const counting = Promise.all([ann.page.evaluate(count), bob.page.evaluate(count)]);
      front.cut(CUT_MS);
      await ann.page.evaluate(() => window.until('way back', () => window.events.includes('reconnected'), 20_000));
      await counting;
      const all = (guest) => guest.page.evaluate(() => window.until('all data', () => window.texts.length >= 20, 5_000));
      await Promise.all([all(ann), all(bob)]);
      const numbers = Array.from({ length: 20 }, (_, index) => String(index + 1));
      for (const guest of [ann, bob]) {
        const { events, texts, camera, microphone } = await guest.page.evaluate(told);
        console.log(`${form}: ${guest.name} ${JSON.stringify({ events, camera, microphone })}`);
        assert.deepEqual(texts, numbers);
        assert.ok(camera.longestMs < LONGEST_MS, `${guest.name}: no frame for ${camera.longestMs} ms`);
        assert.ok(microphone.longestMs < LONGEST_MS, `${guest.name}: no sample for ${microphone.longestMs} ms`);
        assert.deepEqual([camera.lost, microphone.lost], [0, 0]);
        assert.ok(microphone.concealed < CONCEALED_MAX, `${guest.name}: ${microphone.concealed} of the sound was made up`);
        if (guest === bob) assert.deepEqual(events, []);
        else assert.ok(!events.includes('reconnecting') && !events.includes('disconnected'), String(events));
      }
      await Promise.all([leave(ann), leave(bob)]);
    });
  });
}

test('who was on a killed node is back on another one, and no ghost stays', { timeout: 120_000 }, async () => {
  const room = 'killed';
  await enter(ann, mesh, { room, url: front.url });
  await enter(bob, mesh, { room, node: mesh.nodes[1] });
  await Promise.all([publish(ann), publish(bob)]);
  await Promise.all([ann.page.evaluate(observe), bob.page.evaluate(observe)]);
  // Kim speaks v0 by the same name; zoe knows the killed node alone.
  const guests = [[front.url, await mesh.token(room, 'kim')], [mesh.nodes[2].url, await mesh.token(room, 'zoe')]];
  const before = await bob.page.evaluate(async (guests) => {
    const enter = async ([url, token], singlePeerConnection) => {
      const guest = new LivekitClient.Room({ singlePeerConnection });
      await guest.connect(url, token);
      return guest;
    };
    [window.kim, window.zoe] = await Promise.all([enter(guests[0], false), enter(guests[1], true)]);
    const others = window.room.remoteParticipants;
    await window.until('both guests', () => others.has('kim') && others.has('zoe'));
    window.seen = [];
    for (const event of ['participantConnected', 'participantDisconnected']) {
      window.room.on(event, ({ identity }) => window.seen.push(`${event} ${identity}`));
    }
    window.room.on('connectionQualityChanged', (quality, { identity }) => window.seen.push(`${quality} ${identity}`));
    return { ann: others.get('ann').sid, kim: others.get('kim').sid };
  }, guests);

  process.kill(mesh.nodes[2].pid, 'SIGKILL');
  const back = await bob.page.evaluate(
    async (ms) => {
      const begunAt = performance.now();
      // The node where ann is back did not have the room, and still it is the same track.
      const { track } = await window.received(window.room, 'camera', 'ann');
      const frames = async () => (await window.inbound(track))?.framesDecoded ?? 0;
      // What comes before the picture has stood still is of the old session.
      let [count, changedAt, stoodMs, after] = [await frames(), begunAt, 0, 0];
      while (after < 5 && performance.now() - begunAt < ms) {
        await window.pause(20);
        const [now, at] = [await frames(), performance.now()];
        if (now === count) continue;
        stoodMs = Math.max(stoodMs, at - changedAt);
        after = stoodMs > 250 ? after + now - count : 0;
        [count, changedAt] = [now, at];
      }
      const seenMs = performance.now() - begunAt;
      const microphone = await window.received(window.room, 'microphone', 'ann');
      window.play(microphone.track);
      await window.hears(microphone.track, 440);
      const sids = Object.fromEntries(['ann', 'kim'].map((name) => [name, window.room.remoteParticipants.get(name)?.sid]));
      await window.until('zoe lost', () => window.seen.includes('lost zoe'), ms);
      return { stoodMs, seenMs, sids, seen: [...window.seen] };
    },
    BACK_LIMIT_MS,
  );
  const [stood, seen] = [back.stoodMs, back.seenMs].map((ms) => ms.toFixed(0));
  console.log(`ann's picture stood still for ${stood} ms and is back ${seen} ms after the death; bob was told ${back.seen.join(', ')}`);
  assert.ok(back.seenMs < BACK_LIMIT_MS);
  assert.deepEqual(back.sids, before, 'they are who they were');
  assert.deepEqual(back.seen.filter((words) => words.startsWith('participant')), [], 'nobody was seen to leave or to join');
  const events = await ann.page.evaluate(async () => {
    await window.decodes((await window.received(window.room, 'camera', 'bob')).track, 15);
    return window.events;
  });
  assert.ok(events.includes('reconnected') && !events.includes('disconnected'), String(events));

  // Each node forgets them for itself, 20 s after it knows by its own gossip that theirs is dead.
  const untilGone = (guest) =>
    guest.page.evaluate(async (ms) => {
      const begunAt = performance.now();
      await window.until('end of zoe', () => !window.room.remoteParticipants.has('zoe'), ms);
      return performance.now() - begunAt;
    }, GHOST_LIMIT_MS);
  const ghostsMs = await Promise.all([ann, bob].map(untilGone));
  const further = ghostsMs.map((ms) => ms.toFixed(0)).join(' and ');
  console.log(`zoe, who was on the killed node too, is gone after a further ${further} ms`);
  const known = await Promise.all(
    [ann, bob].map((guest) => guest.page.evaluate(() => [...window.room.remoteParticipants.keys()])),
  );
  assert.deepEqual(known.map((names) => names.sort()), [['bob', 'kim'], ['ann', 'kim']]);
});
