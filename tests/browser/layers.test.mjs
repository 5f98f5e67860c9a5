// Layers by the size at which a client shows a track, between two nodes, decoded by Chromium: the picture must stay
// whole while the layer changes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, openClient } from './client.mjs';
import { startMesh } from './mesh.mjs';

const SWITCH_LIMIT_MS = 8_000;
/** The camera is 640 x 360: the SDK sends it whole and at half its size. */
const WHOLE = { width: 640, height: 360 };
const HALF = { width: 320, height: 180 };

let mesh;
let ann;
let bob;

before(async () => {
  mesh = await startMesh('layers');
  [ann, bob] = await Promise.all([
    openClient(mesh, { name: 'ann' }),
    openClient(mesh, { name: 'bob', colour: 'blue', toneHz: 660 }),
  ]);
  await enter(ann, mesh, { room: 'layers', node: mesh.nodes[0] });
  await enter(bob, mesh, { room: 'layers', node: mesh.nodes[1] });
  await ann.page.evaluate(() => window.room.localParticipant.setCameraEnabled(true));
  await bob.page.evaluate(async () => {
    window.publication = await window.received(window.room, 'camera');
    window.video = window.play(window.publication.track);
  });
});

after(async () => {
  await Promise.all([ann, bob].map((guest) => guest?.close()));
  await mesh?.stop();
});

/** What bob's decoder reports. */
function decoder() {
  return bob.page.evaluate(async () => {
    const report = await window.inbound(window.publication.track);
    const { framesDecoded = 0, framesReceived = 0, keyFramesDecoded = 0, totalFreezesDuration = 0 } = report;
    return { framesDecoded, framesReceived, keyFramesDecoded, totalFreezesDuration };
  });
}

/** Tells bob's node how large he shows ann. */
function show(size) {
  return bob.page.evaluate((size) => window.publication.setVideoDimensions(size), size);
}

/** Waits for a width; the share of red among the three colours is looked at in each frame that is shown meanwhile. */
function untilWidth(width) {
  return bob.page.evaluate(
    async ([width, limitMs]) => {
      const begunAt = performance.now();
      let [worst, frames] = [1, 0];
      while (performance.now() - begunAt < limitMs) {
        await new Promise((resolve) => setTimeout(resolve, 33));
        if (window.video.videoWidth === 0) continue;
        worst = Math.min(worst, window.redness(window.video));
        frames += 1;
        if (window.video.videoWidth === width) break;
      }
      return { ms: performance.now() - begunAt, width: window.video.videoWidth, worst, frames };
    },
    [width, SWITCH_LIMIT_MS],
  );
}

test('the layer follows the size of the tile, and the picture stays whole', { timeout: 90_000 }, async () => {
  assert.equal((await untilWidth(WHOLE.width)).width, WHOLE.width);
  await bob.page.waitForTimeout(1_000);
  const before = await decoder();
  for (const size of [HALF, WHOLE, HALF]) {
    await show(size);
    const switched = await untilWidth(size.width);
    console.log(`${size.width} px after ${Math.round(switched.ms)} ms, ${Math.round(switched.worst * 100)} % red at least`);
    assert.equal(switched.width, size.width);
    // The bright bar that moves through the picture covers less than a tenth of it.
    assert.ok(switched.worst > 0.8, `only ${switched.worst} of the picture has its colour`);
    await bob.page.waitForTimeout(1_000);
  }
  const after = await decoder();
  console.log(`decoder: ${JSON.stringify(before)} to ${JSON.stringify(after)}`);
  assert.ok(after.framesDecoded > before.framesDecoded + 30, 'the picture stood still');
  assert.ok(after.totalFreezesDuration - before.totalFreezesDuration < 1, 'the picture froze at a switch');
});

test('a hidden picture is not sent, and comes back', { timeout: 60_000 }, async () => {
  const enable = (enabled) =>
    bob.page.evaluate((enabled) => window.publication.setEnabled(enabled), enabled);
  await enable(false);
  await bob.page.waitForTimeout(1_000);
  const hidden = await decoder();
  await bob.page.waitForTimeout(1_500);
  assert.equal((await decoder()).framesReceived, hidden.framesReceived, 'frames still come');
  await enable(true);
  await bob.page.waitForTimeout(3_000);
  const shown = await decoder();
  assert.ok(shown.framesDecoded > hidden.framesDecoded + 15, JSON.stringify([hidden, shown]));
});
