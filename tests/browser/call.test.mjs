// A call across three regions through the web client: three real browsers, each on another node of a demo mesh.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { alive, root, startMesh } from './mesh.mjs';
import { decodedFps, heardTone, join, reads, say, shownColour, tile, videoStats } from './watch.mjs';

const screenshots = process.env.SCREENSHOTS ?? `${root}target/screenshots`;
const room = 'three-regions';
const people = {
  ada: { name: 'ada', colour: 'red', toneHz: 440 },
  ben: { name: 'ben', colour: 'green', toneHz: 660 },
  eve: { name: 'eve', colour: 'blue', toneHz: 880 },
};

let mesh;
let ada;
let ben;
let eve;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  mesh = await startMesh('call');
  [ada, ben] = await Promise.all([openPage(people.ada), openPage(people.ben)]);
});

after(async () => {
  await Promise.all([ada, ben, eve].map((guest) => guest?.close()));
  if (!mesh) return;
  const stopMs = await mesh.stop();
  console.log(`origo demo was ready in ${mesh.readyMs.toFixed(0)} ms and ended in ${stopMs.toFixed(0)} ms`);
  assert.ok(mesh.readyMs < 5_000, `ready after ${mesh.readyMs} ms`);
  assert.ok(stopMs < 5_000, `ended after ${stopMs} ms`);
  assert.deepEqual(mesh.nodes.filter((node) => alive(node.pid)), [], 'nodes live on after the demo has ended');
  assert.equal(mesh.lines.length, 1, 'origo demo --json prints one line');
});

/** Asserts a steady picture of the right colour, and the right tone. */
async function seesAndHears(guest, other, { minimumFps = 15 } = {}) {
  const fps = await decodedFps(guest, other.name);
  const colour = await shownColour(guest, other.name);
  console.log(`${guest.name} decodes ${fps.toFixed(1)} fps of ${other.name}, ${colour}`);
  assert.ok(fps >= minimumFps, `${guest.name} decodes ${fps} fps of ${other.name}`);
  assert.equal(colour, other.colour);
  await hears(guest, other);
}

async function hears(guest, other) {
  const { heard, peakHz, level } = await heardTone(guest, other.name, other.toneHz);
  console.log(`${guest.name} hears ${peakHz.toFixed(0)} Hz from ${other.name} at ${level.toFixed(0)} dB`);
  assert.ok(heard, `${guest.name} does not hear ${other.toneHz} Hz from ${other.name}, but ${peakHz} Hz at ${level} dB`);
}

/** The region path that the tile of another participant shows. */
async function pathOn(guest, other) {
  const path = tile(guest, other).getByTestId('tile-path');
  await path.and(guest.page.locator('[data-path*=">"]')).waitFor({ timeout: 10_000 });
  return path.getAttribute('data-path');
}

test('two pages on two nodes see and hear each other', { timeout: 90_000 }, async () => {
  await Promise.all([
    join(ada, mesh, { room, node: mesh.nodes[0] }),
    join(ben, mesh, { room, node: mesh.nodes[1] }),
  ]);
  assert.equal(await ada.page.getByTestId('connected-node').getAttribute('data-node'), mesh.nodes[0].id);
  assert.equal(await ben.page.getByTestId('connected-node').getAttribute('data-node'), mesh.nodes[1].id);
  await Promise.all([tile(ada, 'ben').locator('video').waitFor(), tile(ben, 'ada').locator('video').waitFor()]);
  await ada.page.waitForTimeout(5_000);
  await Promise.all([seesAndHears(ada, people.ben), seesAndHears(ben, people.ada)]);
});

test('each tile tells the region that serves it and the path of its media', { timeout: 30_000 }, async () => {
  const [first, second] = mesh.nodes.map((node) => node.region);
  assert.equal(await pathOn(ada, 'ben'), `${second}>${first}`);
  assert.equal(await pathOn(ben, 'ada'), `${first}>${second}`);
  assert.equal(await tile(ada, 'ada').getByTestId('tile-path').getAttribute('data-path'), first);
});

test('a tile says in words which link of its path hurts, with the figures in its details', { timeout: 60_000 }, async () => {
  // Loopback loses nothing, so that the page is told of a loss by the test.
  const lossy = { from_region: 'sao-paulo', to_region: 'frankfurt', delay_ms: 104, jitter_ms: 1, queue_ms: 0 };
  await ada.page.route('**/v1/path?*', async (route) => {
    const response = await route.fetch();
    const path = await response.json();
    const links = [{ ...path.links[0], ...lossy, loss_percent: 2, lost_percent: 0 }];
    const hurts = { hop: 0, why: 'the link sao-paulo - frankfurt lost 2 %, repaired' };
    await route.fulfill({ response, json: { ...path, links, hurts } });
  });
  // The page asks every 15 s.
  const trouble = tile(ada, 'ben').getByTestId('tile-hurts');
  const sentence = trouble.filter({ hasText: 'repaired' });
  await sentence.waitFor({ timeout: 25_000 });
  assert.match(await trouble.innerText(), /^the link \S.* - Frankfurt lost 2 %, repaired$/);
  assert.match(await trouble.getAttribute('title'), /104 ms, jitter 1 ms, lost 2 % \(0 % after repair\)/);
  await ada.page.screenshot({ path: `${screenshots}/call-lossy-link.png` });
  await ada.page.unroute('**/v1/path?*');
});

test('a third page on the third node hears and sees both and is heard', { timeout: 90_000 }, async () => {
  eve = await openPage(people.eve);
  await join(eve, mesh, { room, node: mesh.nodes[2], camera: false });
  await Promise.all([tile(eve, 'ada').locator('video').waitFor(), tile(eve, 'ben').locator('video').waitFor()]);
  await eve.page.waitForTimeout(5_000);
  await Promise.all([seesAndHears(eve, people.ada), seesAndHears(eve, people.ben)]);
  await Promise.all([hears(ada, people.eve), hears(ben, people.eve)]);
  await ada.page.screenshot({ path: `${screenshots}/call-wide.png` });
});

test('chat crosses the mesh in every direction', { timeout: 30_000 }, async () => {
  await say(ada, 'Good morning from the first region');
  await Promise.all([reads(ben, 'Good morning from the first region'), reads(eve, 'Good morning from the first region')]);
  await say(eve, 'Good evening from the third');
  await Promise.all([reads(ada, 'Good evening from the third'), reads(ben, 'Good evening from the third')]);
  await ben.page.screenshot({ path: `${screenshots}/chat-wide.png` });
});

test('a shared screen crosses the mesh', { timeout: 60_000 }, async () => {
  await ben.page.getByTestId('toggle-screen').click();
  for (const guest of [ada, eve]) {
    await tile(guest, 'ben', 'screen').locator('video').waitFor({ timeout: 10_000 });
    const fps = await decodedFps(guest, 'ben', { source: 'screen' });
    const { frameWidth, frameHeight } = await videoStats(guest, 'ben', 'screen');
    console.log(`${guest.name} decodes ben's screen at ${fps.toFixed(1)} fps, ${frameWidth}x${frameHeight}`);
    assert.ok(fps > 1 && frameWidth > 0, `${guest.name} decodes ${fps} fps of ben's screen`);
  }
  await eve.page.screenshot({ path: `${screenshots}/screen-wide.png` });
  await ben.page.getByTestId('toggle-screen').click();
  await tile(ada, 'ben', 'screen').waitFor({ state: 'detached', timeout: 5_000 });
});

test('a muted microphone is not heard, and is shown as muted', { timeout: 30_000 }, async () => {
  await ada.page.getByTestId('toggle-mic').click();
  await ben.page.waitForFunction(
    () => window.__origo.room.remoteParticipants.get('ada')?.getTrackPublication('microphone')?.isMuted,
    null,
    { timeout: 5_000 },
  );
  const { level } = await heardTone(ben, 'ada', people.ada.toneHz, 1_500);
  assert.ok(level < -60, `ben hears ada at ${level} dB while she is muted`);
  await ada.page.getByTestId('toggle-mic').click();
  await hears(ben, people.ada);
});

test('the page fits a narrow window', { timeout: 30_000 }, async () => {
  await eve.page.setViewportSize({ width: 390, height: 844 });
  await eve.page.getByTestId('toggle-chat').click();
  await eve.page.waitForTimeout(1_000);
  await eve.page.screenshot({ path: `${screenshots}/call-narrow.png` });
  const overflow = await eve.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px wider than the window`);
});

test('when one leaves, its tile goes within 2 s', { timeout: 30_000 }, async () => {
  const leftAt = performance.now();
  await ben.page.getByTestId('leave').click();
  await Promise.all([ada, eve].map((guest) => tile(guest, 'ben').waitFor({ state: 'detached', timeout: 2_000 })));
  console.log(`ben's tiles went after ${(performance.now() - leftAt).toFixed(0)} ms`);
});

test('who closes the window is gone too', { timeout: 30_000 }, async () => {
  const leftAt = performance.now();
  await eve.page.close({ runBeforeUnload: false });
  await tile(ada, 'eve').waitFor({ state: 'detached', timeout: 10_000 });
  console.log(`eve's tile went ${(performance.now() - leftAt).toFixed(0)} ms after her window was closed`);
});

test('the join page names the nodes and previews the camera', { timeout: 30_000 }, async () => {
  await ben.page.goto(mesh.web);
  await ben.page.getByTestId('node-picker').waitFor();
  for (const node of mesh.nodes) await ben.page.locator(`[data-node="${node.id}"]`).waitFor();
  await ben.page.getByTestId('join-name').fill('Ben');
  await ben.page.waitForTimeout(1_000);
  await ben.page.screenshot({ path: `${screenshots}/join-wide.png` });
  await ben.page.setViewportSize({ width: 390, height: 844 });
  await ben.page.waitForTimeout(500);
  await ben.page.screenshot({ path: `${screenshots}/join-narrow.png`, fullPage: true });
});

test('no page logged an error', () => {
  const complaints = [ada, ben, eve].flatMap((guest) => guest.complaints.map((text) => `${guest.name}: ${text}`));
  assert.deepEqual(complaints, []);
});
