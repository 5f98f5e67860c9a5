// Nodes are taken out of a call, one after the other and by force: with `@origo/client`, which opens a successor of its
// session beside the one that it has, and with the unmodified `livekit-client`, which knows its node's address alone.
/* global Origo */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { build } from 'vite';
import { enter, openClient } from './client.mjs';
import { root } from './mesh.mjs';
import { startNodes } from './nodes.mjs';

/** A node that is told to end has this long; people are gone after some seconds. */
const DRAIN_MS = 30_000;
/** Nothing stands still for longer than 200 ms on a machine of its own; this one runs four nodes and three browsers. */
const FREEZE_MAX_MS = 900;
/** None is lost; a machine that does other things too drops some datagrams. */
const LOST_MAX = 5;
const STOCK_GAP_MAX_MS = 5_000;
const DEATH_GAP_MAX_MS = 4_000;

let mesh;
let sdk;
let ann;
let bob;
let cara;

before(async () => {
  const regions = ['frankfurt', 'london', 'virginia', 'tokyo'];
  [mesh, sdk] = await Promise.all([startNodes('drain', regions, ['--drain-deadline', '30s']), bundle()]);
  [ann, bob, cara] = await Promise.all([
    openClient(mesh, { name: 'ann', colour: 'red', toneHz: 440 }),
    openClient(mesh, { name: 'bob', colour: 'blue', toneHz: 660 }),
    openClient(mesh, { name: 'cara', colour: 'green', toneHz: 880 }),
  ]);
  for (const guest of [ann, bob, cara]) {
    await guest.page.addScriptTag({ content: sdk });
    await guest.page.evaluate(equipToWatch);
  }
});

after(async () => {
  await Promise.all([ann, bob, cara].map((guest) => guest?.close()));
  await mesh?.stop();
});

// A call that failed does not go on beside the next one.
afterEach(() => Promise.all([ann, bob, cara].map((guest) => guest && leave(guest))));

/** `@origo/client` as one script that makes `Origo`. */
async function bundle() {
  const { 0: { output } } = await build({
    configFile: false,
    logLevel: 'error',
    resolve: { conditions: ['origo-source', 'module', 'browser'] },
    build: {
      write: false,
      minify: false,
      lib: { entry: `${root}client-sdk/js/src/index.ts`, name: 'Origo', formats: ['iife'] },
    },
  });
  return output[0].code.replace('var Origo =', 'window.Origo =');
}

/** Runs in the page: what is watched during the whole call. */
function equipToWatch() {
  window.left = [];
  window.moves = [];
  window.numbers = [];
  window.stories = {};
  /** Notes who is seen to leave the room that the page is in, and what is said there. */
  window.note = (room) => {
    room.registerTextStreamHandler('story', (reader, { identity }) => {
      window.stories[identity] = reader.readAll().catch(String);
    });
    room.on('dataReceived', (payload, from, kind, topic) => {
      if (room === window.room && topic === 'numbers') window.numbers.push(Number(new TextDecoder().decode(payload)));
    });
    room.on('participantDisconnected', ({ identity }) => {
      if (room === window.room) window.left.push(identity);
    });
    room.on('disconnected', () => {
      if (room === window.room) window.left.push('self');
    });
  };
  /** Says numbers to somebody, each in a packet of its own and all in one stream, until `hush`, which tells the last. */
  window.talk = async (to) => {
    const whom = { destinationIdentities: [to] };
    const writer = await window.room.localParticipant.streamText({ topic: 'story', ...whom });
    let [last, hushed] = [0, false];
    const talked = (async () => {
      for (; !hushed; await window.pause(50)) {
        last += 1;
        await writer.write(`${last} `);
        const payload = new TextEncoder().encode(String(last));
        await window.room.localParticipant.publishData(payload, { reliable: true, topic: 'numbers', ...whom });
      }
      await writer.close();
      return last;
    })();
    window.hush = () => {
      hushed = true;
      return talked;
    };
  };
  /**
   * Watches a source of somebody, on whichever session it comes, until `stop`: the longest time without a further frame
   * or sample, ms, packets lost, and how much of the sound was made up.
   */
  window.follow = (identity, source) => {
    let [stopped, current, last, lastAt, longestMs, longestAt] = [false, null, 0, performance.now(), 0, 0];
    const sums = { lost: 0, concealed: 0, samples: 0 };
    const begun = { lost: 0, concealed: 0, samples: 0 };
    const read = async (track) => {
      const report = await window.inbound(track);
      return {
        count: report.framesDecoded ?? report.totalSamplesReceived ?? 0,
        lost: report.packetsLost ?? 0,
        concealed: (report.concealedSamples ?? 0) - (report.silentConcealedSamples ?? 0),
        samples: report.totalSamplesReceived ?? 0,
      };
    };
    let latest = { ...begun };
    const settle = () => Object.keys(sums).forEach((key) => (sums[key] += latest[key] - begun[key]));
    const watch = (async () => {
      while (!stopped) {
        const track = window.room.remoteParticipants.get(identity)?.getTrackPublication(source)?.track;
        if (track) {
          const now = await read(track).catch(() => null);
          if (now && track !== current) {
            settle();
            [current, last] = [track, now.count];
            Object.assign(begun, now);
            latest = { ...now };
            // What flowed in the new session before this page looked counts from its first look on.
            if (now.count > 0) lastAt = performance.now();
          } else if (now) {
            latest = { ...now };
            if (now.count > last) [last, lastAt] = [now.count, performance.now()];
          }
        }
        if (performance.now() - lastAt > longestMs) [longestMs, longestAt] = [performance.now() - lastAt, performance.now()];
        await window.pause(20);
      }
    })();
    return async () => {
      stopped = true;
      await watch;
      settle();
      const concealed = sums.samples ? sums.concealed / sums.samples : 0;
      return { longestMs: Math.round(longestMs), longestAt: Math.round(longestAt), lost: sums.lost, concealed: Number(concealed.toFixed(4)) };
    };
  };
}

/** Joins with `@origo/client` at a node, and stays in the call wherever it goes. */
async function join(guest, room, region) {
  const token = await mesh.token(room, guest.name);
  await guest.page.evaluate(
    async ([cluster, room, token, node]) => {
      const connection = await Origo.connect({
        cluster,
        room,
        token,
        node,
        prepare: window.note,
        onMove: (moved, before) => {
          window.moves.push({ from: before.node.region, to: moved.node.region, why: moved.node.why, at: Math.round(performance.now()) });
          window.room = moved.room;
        },
      });
      window.room = connection.room;
    },
    [mesh.nodes.map(({ http }) => http), room, token, region],
  );
}

const publish = (guest) =>
  guest.page.evaluate(async () => {
    await window.room.localParticipant.setCameraEnabled(true);
    await window.room.localParticipant.setMicrophoneEnabled(true);
  });

/** Shows everybody else in a page, and begins to watch. */
const watch = (guest, others) =>
  guest.page.evaluate(async (others) => {
    window.followed = {};
    for (const identity of others) {
      for (const source of ['camera', 'microphone']) {
        const { track } = await window.received(window.room, source, identity);
        window.play(track, { width: '320px' });
        if (source === 'camera') await window.decodes(track, 20);
        else await window.sounds(track);
      }
    }
    for (const identity of others) {
      for (const source of ['camera', 'microphone']) {
        window.followed[`${identity} ${source}`] = window.follow(identity, source);
      }
    }
    window.left.length = 0;
    return Object.fromEntries([...window.room.remoteParticipants].map(([identity, { sid }]) => [identity, sid]));
  }, others);

const told = (guest) =>
  guest.page.evaluate(async () => {
    const figures = {};
    for (const [name, stop] of Object.entries(window.followed)) figures[name] = await stop();
    const sids = Object.fromEntries([...window.room.remoteParticipants].map(([identity, { sid }]) => [identity, sid]));
    const tracks = [...window.room.remoteParticipants.values()].flatMap((each) => [...each.trackPublications.keys()]);
    return { figures, sids, tracks: tracks.sort(), left: window.left, moves: window.moves.splice(0) };
  });

/** Two say numbers to each other in packets and in a stream, through all that happens until what this gives is called. */
async function talk(one, other) {
  const pairs = [[one, other], [other, one]];
  for (const { page } of [one, other]) await page.evaluate(() => void Object.assign(window, { numbers: [], stories: {} }));
  for (const [from, to] of pairs) await from.page.evaluate((to) => window.talk(to), to.name);
  return async () => {
    for (const [from, to] of pairs) {
      const last = await from.page.evaluate(() => window.hush());
      const all = Array.from({ length: last }, (_, index) => index + 1);
      const story = await to.page.evaluate((from) => window.stories[from], from.name);
      assert.equal(story, all.map((number) => `${number} `).join(''), `the stream of ${from.name} is whole`);
      await to.page.evaluate((last) => window.until('numbers', () => window.numbers.includes(last), 10_000), last);
      assert.deepEqual(await to.page.evaluate(() => window.numbers), all, `each packet of ${from.name} came once, in order`);
      console.log(`  ${to.name} got ${last} packets of ${from.name}, and a stream of as many parts`);
    }
  };
}

const leave = (guest) =>
  guest.page.evaluate(async () => {
    await window.room?.disconnect();
    document.querySelectorAll('video, audio').forEach((element) => element.remove());
  });

test('all nodes are upgraded during a call, one after the other', { timeout: 150_000 }, async () => {
  const room = 'upgrade';
  await Promise.all([join(ann, room, 'frankfurt'), join(bob, room, 'london')]);
  await enter(cara, mesh, { room, node: mesh.nodes[2] });
  // What any application does with a track that comes.
  await cara.page.evaluate(() => window.room.on('trackSubscribed', (track) => window.play(track, { width: '320px' })));
  await Promise.all([ann, bob, cara].map(publish));
  const everybody = ['ann', 'bob', 'cara'];
  const before = await Promise.all([ann, bob, cara].map((guest) => watch(guest, everybody.filter((name) => name !== guest.name))));
  const hush = await talk(ann, bob);

  for (const node of mesh.nodes) {
    const begunAt = performance.now();
    node.process.kill('SIGTERM');
    const { code } = await node.ended;
    const tookMs = performance.now() - begunAt;
    assert.equal(code, 0, `${node.region} ends with ${code}`);
    assert.ok(tookMs < DRAIN_MS, `${node.region} took ${tookMs} ms`);
    node.start();
    await Promise.all(mesh.nodes.map((each) => each.ready()));
    console.log(`${node.region} drained in ${(tookMs / 1000).toFixed(1)} s, back after ${((performance.now() - begunAt) / 1000).toFixed(1)} s`);
  }

  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await hush();
  const [a, b, c] = await Promise.all([told(ann), told(bob), told(cara)]);
  for (const [guest, seen] of [['ann', a], ['bob', b], ['cara', c]]) {
    console.log(`${guest} moved ${seen.moves.map(({ from, to }) => `${from} > ${to}`).join(', ') || 'as the SDK does'}`);
    for (const [name, figure] of Object.entries(seen.figures)) console.log(`  ${guest} of ${name}: ${JSON.stringify(figure)}`);
  }
  assert.ok(a.moves.length > 0 && b.moves.length > 0);
  assert.deepEqual([a.left, b.left], [[], []], 'nobody was seen to leave');
  assert.deepEqual([a.sids, b.sids], [before[0], before[1]], 'everybody is who it was');
  for (const [seen, other] of [[a, 'bob'], [b, 'ann']]) {
    const [camera, microphone] = [seen.figures[`${other} camera`], seen.figures[`${other} microphone`]];
    assert.ok(microphone.lost <= LOST_MAX, `${microphone.lost} packets of sound of ${other} are lost`);
    assert.ok(microphone.longestMs < FREEZE_MAX_MS, `no sound of ${other} for ${microphone.longestMs} ms`);
    assert.ok(camera.longestMs < FREEZE_MAX_MS, `no picture of ${other} for ${camera.longestMs} ms`);
    assert.ok(seen.figures['cara camera'].longestMs < STOCK_GAP_MAX_MS, 'cara, who has the SDK as it is');
  }
  assert.ok(c.figures['ann camera'].longestMs < STOCK_GAP_MAX_MS, 'what cara sees');
});

test('a node is killed: who was there is back in a second, and nobody sees it leave', { timeout: 60_000 }, async () => {
  const room = 'killed';
  await Promise.all([join(ann, room, 'frankfurt'), join(bob, room, 'london')]);
  await Promise.all([ann, bob].map(publish));
  const before = await Promise.all([watch(ann, ['bob']), watch(bob, ['ann'])]);
  const hush = await talk(ann, bob);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  mesh.nodes[0].process.kill('SIGKILL');
  await ann.page.evaluate(() => window.until('move', () => window.moves.length > 0, 10_000));
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await hush();
  const [a, b] = await Promise.all([told(ann), told(bob)]);
  console.log(`ann moved ${JSON.stringify(a.moves)}`);
  for (const [guest, seen] of [['ann', a], ['bob', b]]) {
    for (const [name, figure] of Object.entries(seen.figures)) console.log(`  ${guest} of ${name}: ${JSON.stringify(figure)}`);
  }
  assert.deepEqual(b.left, [], 'ann was not seen to leave');
  assert.deepEqual(b.sids, before[1]);
  for (const figure of [...Object.values(a.figures), ...Object.values(b.figures)]) {
    assert.ok(figure.longestMs < DEATH_GAP_MAX_MS, JSON.stringify(figure));
  }
});

test('a node is killed that had the call alone: both go on as who they were, with the tracks that they had', { timeout: 60_000 }, async () => {
  const room = 'alone';
  const [alone] = mesh.nodes.filter(({ region }) => region === 'tokyo');
  await Promise.all([ann, bob].map((guest) => join(guest, room, 'tokyo')));
  await Promise.all([ann, bob].map(publish));
  const before = await Promise.all([watch(ann, ['bob']), watch(bob, ['ann'])]);
  const tracksOf = (guest) =>
    guest.page.evaluate(() => [...window.room.remoteParticipants.values()].flatMap((each) => [...each.trackPublications.keys()]).sort());
  const tracks = await Promise.all([tracksOf(ann), tracksOf(bob)]);
  const hush = await talk(ann, bob);
  // What a token tells of is in it a second later.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  alone.process.kill('SIGKILL');
  for (const guest of [ann, bob]) await guest.page.evaluate(() => window.until('move', () => window.moves.length > 0, 10_000));
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  await hush();
  const seen = await Promise.all([told(ann), told(bob)]);
  for (const [guest, { moves, figures }] of [['ann', seen[0]], ['bob', seen[1]]]) {
    console.log(`${guest} moved ${JSON.stringify(moves)}`);
    for (const [name, figure] of Object.entries(figures)) console.log(`  ${guest} of ${name}: ${JSON.stringify(figure)}`);
  }
  assert.deepEqual(seen.map(({ left }) => left), [[], []], 'nobody was seen to leave');
  assert.deepEqual(seen.map(({ sids }) => sids), before);
  assert.deepEqual(seen.map((each) => each.tracks), tracks);
  for (const figure of seen.flatMap(({ figures }) => Object.values(figures))) {
    assert.ok(figure.longestMs < DEATH_GAP_MAX_MS, JSON.stringify(figure));
  }
});

test('a node stands still and closes no socket: who was there is elsewhere long before the SDK would know', { timeout: 60_000 }, async () => {
  const room = 'still';
  const [still] = mesh.nodes.filter(({ region }) => region === 'london');
  await Promise.all([join(ann, room, 'london'), join(bob, room, 'virginia')]);
  await Promise.all([ann, bob].map(publish));
  const before = await Promise.all([watch(ann, ['bob']), watch(bob, ['ann'])]);
  const hush = await talk(ann, bob);
  const stoodAt = await ann.page.evaluate(() => Math.round(performance.now()));
  still.process.kill('SIGSTOP');
  try {
    await ann.page.evaluate(() => window.until('move', () => window.moves.length > 0, 10_000));
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await hush();
    const [a, b] = await Promise.all([told(ann), told(bob)]);
    console.log(`ann moved ${JSON.stringify(a.moves.map((move) => ({ ...move, at: move.at - stoodAt })))}`);
    for (const [guest, seen] of [['ann', a], ['bob', b]]) {
      for (const [name, figure] of Object.entries(seen.figures)) console.log(`  ${guest} of ${name}: ${JSON.stringify(figure)}`);
    }
    assert.equal(a.moves.length, 1);
    assert.deepEqual([b.left, b.sids, b.moves], [[], before[1], []], 'bob stays, and does not see ann leave');
    for (const figure of [...Object.values(a.figures), ...Object.values(b.figures)]) {
      assert.ok(figure.longestMs < DEATH_GAP_MAX_MS, JSON.stringify(figure));
    }
  } finally {
    still.process.kill('SIGCONT');
  }
});
