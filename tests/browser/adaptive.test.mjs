// Adaptive stream and dynacast of the unmodified `livekit-client` across three nodes: a link carries the layer that
// the tiles behind it show and no other, and a publisher encodes what somebody on any node shows.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, openClient } from './client.mjs';
import { metric, startMesh } from './mesh.mjs';

const room = 'adaptive';
/** The camera is 640 x 360: the SDK sends it whole (`h`) and at half its size (`q`). */
const [WIDE, NARROW] = [640, 320];
/** Dynacast takes a layer away 5 s after its last viewer. */
const DYNACAST_LIMIT_MS = 20_000;
const MEASURE_MS = 3_000;
/** Two seconds, and what a busy machine takes to notice. */
const COPY_LIMIT_MS = 5_000;
/** A camera that sends sends more often than that, and the gauge of copies is read anew within it. */
const QUIET_MS = 600;

let mesh;
let ann;
let bob;
let eve;
let wide;

before(async () => {
  mesh = await startMesh('adaptive');
  [ann, bob, eve] = await Promise.all([
    openClient(mesh, { name: 'ann' }),
    openClient(mesh, { name: 'bob', colour: 'blue' }),
    openClient(mesh, { name: 'eve', colour: 'green' }),
  ]);
  const options = { adaptiveStream: { pixelDensity: 1 }, dynacast: true };
  await enter(ann, mesh, { room, node: mesh.nodes[0], options });
  await enter(bob, mesh, { room, node: mesh.nodes[1], options });
  await ann.page.evaluate(() => window.room.localParticipant.setCameraEnabled(true, {}, { videoCodec: 'vp8' }));
  await watch(bob, WIDE);
});

after(async () => {
  await Promise.all([ann, bob, eve].map((guest) => guest?.close()));
  await mesh?.stop();
});

/** Shows ann's camera in a tile of that width, and waits until the picture has it. */
async function watch(guest, width) {
  await guest.page.evaluate(async (width) => {
    const { track } = await window.received(window.room, 'camera', 'ann');
    const style = { position: 'fixed', top: 0, left: 0, width: `${width}px`, height: `${(width * 9) / 16}px` };
    window.video ??= window.play(track, style);
    Object.assign(window.video.style, style);
    await window.until(`picture of ${width}`, () => window.video.videoWidth === width, 20_000);
  }, width);
}

/** How many frames ann has encoded of each layer, by rid. */
async function encoded() {
  const layers = await ann.page.evaluate(() =>
    window.outbound(window.room.localParticipant.getTrackPublication('camera').track),
  );
  return Object.fromEntries(layers.map(({ rid, framesEncoded }) => [rid, framesEncoded]));
}

/** What ann's node has sent to bob's of the small layer (`base`) and the large one (`enhancement`). */
async function carried() {
  const of = (what, layer) =>
    metric(mesh.nodes[0], `origo_link_${what}_total`, { peer: mesh.nodes[1].id, direction: 'out', class: layer });
  const [base, enhancement, bytes] = await Promise.all([
    of('packets', 'base'),
    of('packets', 'enhancement'),
    of('bytes', 'base|enhancement'),
  ]);
  return { base, enhancement, bytes };
}

/** How many frames of each layer ann encodes in a while, and what the link to bob's node carries meanwhile. */
async function measure() {
  const read = async () => ({ ...(await encoded()), ...(await carried()) });
  const before = await read();
  await ann.page.waitForTimeout(MEASURE_MS);
  const after = await read();
  const copies = await metric(mesh.nodes[0], 'origo_link_copies', { peer: mesh.nodes[1].id });
  return { ...Object.fromEntries(Object.keys(after).map((key) => [key, after[key] - before[key]])), copies };
}

/** Waits until ann encodes only these layers. */
async function encodes(expected) {
  const begunAt = performance.now();
  await ann.page.evaluate(
    async ([expected, ms]) => {
      const { track } = window.room.localParticipant.getTrackPublication('camera');
      let [last, since] = [{}, performance.now()];
      await window.until(
        `encoding of ${expected} alone`,
        async () => {
          const now = Object.fromEntries((await window.outbound(track)).map((layer) => [layer.rid, layer.framesEncoded]));
          const grown = Object.keys(now).filter((rid) => now[rid] > (last[rid] ?? 0));
          // Over a second, so that every layer that is encoded has grown.
          if (performance.now() - since < 1_000) return false;
          [last, since] = [now, performance.now()];
          return grown.join() === expected.join();
        },
        ms,
      );
    },
    [expected, DYNACAST_LIMIT_MS],
  );
  console.log(`ann encodes [${expected}] alone after ${(performance.now() - begunAt).toFixed(0)} ms`);
}

/** Waits until one layer alone crosses the link: one that nobody watches goes on for two seconds, so that no tile makes it flap. */
async function carriesOnly(rid) {
  const other = rid === 'h' ? 'base' : 'enhancement';
  const deadline = performance.now() + COPY_LIMIT_MS;
  let [last, now] = [-1, (await carried())[other]];
  while (now !== last) {
    assert.ok(performance.now() < deadline, `the ${other} layer goes on crossing the link`);
    await ann.page.waitForTimeout(QUIET_MS);
    [last, now] = [now, (await carried())[other]];
  }
}

/** The link carries each frame of one layer, which take a packet as a rule; of the other one, the last of a switch. */
function assertCarries({ copies, ...counts }, rid) {
  const [own, other] = rid === 'h' ? ['enhancement', 'base'] : ['base', 'enhancement'];
  assert.equal(copies, 1, 'more than one layer crosses the link');
  assert.ok(counts[other] < 0.1 * counts[rid], `the link carries ${counts[other]} packets of the other layer`);
  assert.ok(counts[own] >= 0.8 * counts[rid], `the link carries ${counts[own]} packets of ${counts[rid]} frames`);
}

test('the link carries the layer of a wide tile', { timeout: 60_000 }, async () => {
  await carriesOnly('h');
  wide = await measure();
  console.log(`wide: ${JSON.stringify(wide)}`);
  assertCarries(wide, 'h');
});

test('a tile that shrinks gets the small layer, and the link carries that alone', { timeout: 60_000 }, async () => {
  await watch(bob, NARROW);
  await carriesOnly('q');
  const narrow = await measure();
  console.log(`narrow: ${JSON.stringify(narrow)}`);
  assertCarries(narrow, 'q');
  assert.ok(narrow.bytes < wide.bytes, 'the small layer costs as much as the large one');
});

test('nobody shows the large layer: its publisher on the other node stops encoding it', { timeout: 60_000 }, async () => {
  await encodes(['q']);
});

test('a wide tile on a third node brings it back, for its own link alone', { timeout: 90_000 }, async () => {
  await enter(eve, mesh, { room, node: mesh.nodes[2], options: { adaptiveStream: { pixelDensity: 1 } } });
  await watch(eve, WIDE);
  const both = await measure();
  console.log(`bob narrow, eve wide: ${JSON.stringify(both)}`);
  assert.ok(both.q > 0 && both.h > 0, 'both layers are encoded');
  assertCarries(both, 'q');
  await eve.page.evaluate(() => window.room.disconnect());
  await encodes(['q']);
});

test('nobody watches: nothing is encoded, until somebody does', { timeout: 90_000 }, async () => {
  const subscribe = (subscribed) =>
    bob.page.evaluate((subscribed) => {
      window.room.remoteParticipants.get('ann').getTrackPublication('camera').setSubscribed(subscribed);
    }, subscribed);
  await subscribe(false);
  await encodes([]);
  const idle = await measure();
  console.log(`unwatched: ${JSON.stringify(idle)}`);
  assert.deepEqual([idle.bytes, idle.copies], [0, 0]);
  await bob.page.evaluate(() => {
    window.video.remove();
    window.video = undefined;
  });
  await subscribe(true);
  await watch(bob, WIDE);
});
