// A page made of LiveKit's own React prefabs, bundled as applications bundle it and unmodified, against two nodes.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { build } from 'vite';
import { openPage } from './browser.mjs';
import { equip } from './client.mjs';
import { root, startMesh } from './mesh.mjs';
import { colourOf } from './watch.mjs';

const screenshots = process.env.SCREENSHOTS ?? `${root}target/screenshots`;
const types = { html: 'text/html', js: 'text/javascript', css: 'text/css' };

let mesh;
let site;
let ann;
let bob;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  [mesh, site] = await Promise.all([startMesh('prefabs'), serve(await bundle())]);
  [ann, bob] = await Promise.all([
    openPage({ name: 'ann', colour: 'red', toneHz: 440 }),
    openPage({ name: 'bob', colour: 'blue', toneHz: 880 }),
  ]);
});

after(async () => {
  await Promise.all([ann, bob].map((guest) => guest?.close()));
  site?.close();
  await mesh?.stop();
});

/** The page's files by path. */
async function bundle() {
  const { output } = await build({
    root: `${root}tests/browser/prefabs`,
    configFile: false,
    logLevel: 'error',
    build: { write: false, minify: false, chunkSizeWarningLimit: Infinity },
  });
  return new Map(output.map((file) => [`/${file.fileName}`, file.code ?? file.source]));
}

/** Serves files on loopback. */
async function serve(files) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://page').pathname.replace(/\/$/, '/index.html');
    const type = types[path.slice(path.lastIndexOf('.') + 1)] ?? 'application/octet-stream';
    response.writeHead(files.has(path) ? 200 : 404, { 'Content-Type': type }).end(files.get(path));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

const others = (guest, source) =>
  guest.page.locator(`.lk-participant-tile:has([data-lk-local-participant=false][data-lk-source=${source}])`);

async function join(guest, node) {
  const query = new URLSearchParams({ name: guest.name, url: node.url, token: await mesh.token('prefabs', guest.name) });
  await guest.page.goto(`http://127.0.0.1:${site.address().port}/?${query}`);
  await guest.page.evaluate(equip);
  await guest.page.getByRole('button', { name: 'Join Room' }).click();
}

test('two pages on two nodes see and hear each other', { timeout: 60_000 }, async () => {
  await Promise.all([join(ann, mesh.nodes[0]), join(bob, mesh.nodes[1])]);
  for (const [guest, colour, toneHz] of [[ann, 'blue', 880], [bob, 'red', 440]]) {
    const video = others(guest, 'camera').locator('video');
    await video.waitFor({ timeout: 15_000 });
    const frames = await video.evaluate(async (video) => {
      await window.until('20 frames', () => video.getVideoPlaybackQuality().totalVideoFrames >= 20);
      return video.getVideoPlaybackQuality().totalVideoFrames;
    });
    assert.equal(await colourOf(video), colour);
    const heardHz = await guest.page.evaluate((toneHz) => {
      const [mediaStreamTrack] = [...document.querySelectorAll('audio')].flatMap((audio) => audio.srcObject.getTracks());
      return window.hears({ mediaStreamTrack }, toneHz);
    }, toneHz);
    console.log(`${guest.name} has ${frames} frames, ${colour}, and hears ${heardHz.toFixed(0)} Hz`);
  }
});

test('the chat box works both ways', { timeout: 30_000 }, async () => {
  for (const guest of [ann, bob]) await guest.page.getByRole('button', { name: 'Chat' }).click();
  for (const [from, to] of [[ann, bob], [bob, ann]]) {
    await from.page.locator('.lk-chat-form-input').fill(`Hello, this is ${from.name}`);
    await from.page.locator('.lk-chat-form-button').click();
    await to.page.locator('.lk-message-body', { hasText: `Hello, this is ${from.name}` }).waitFor({ timeout: 5_000 });
  }
  await ann.page.waitForTimeout(500);
  await ann.page.screenshot({ path: `${screenshots}/prefabs-chat.png` });
});

test('a shared screen is focused on the other page', { timeout: 60_000 }, async () => {
  await bob.page.getByRole('button', { name: 'Share screen' }).click();
  const video = others(ann, 'screen_share').locator('video');
  await ann.page.locator('.lk-focus-layout').waitFor({ timeout: 15_000 });
  // The prefab may mount the picture anew while it moves it into focus. Nothing moves on that screen, so one frame may
  // be all that there is.
  const deadline = performance.now() + 15_000;
  const frames = () => video.evaluate((video) => video.getVideoPlaybackQuality().totalVideoFrames);
  while ((await frames()) === 0) {
    assert.ok(performance.now() < deadline, 'no frame of the screen');
    await ann.page.waitForTimeout(100);
  }
  await ann.page.waitForTimeout(500);
  await ann.page.screenshot({ path: `${screenshots}/prefabs-screen.png` });
  await bob.page.getByRole('button', { name: 'Stop screen share' }).click();
  await video.waitFor({ state: 'detached', timeout: 5_000 });
});

test('a muted microphone is shown as muted', { timeout: 30_000 }, async () => {
  await ann.page.getByRole('button', { name: 'Microphone' }).click();
  const muted = others(bob, 'camera').locator('.lk-track-muted-indicator-microphone[data-lk-muted=true]');
  await muted.waitFor({ timeout: 5_000 });
});

test('who hangs up is gone from the other page', { timeout: 30_000 }, async () => {
  await bob.page.getByRole('button', { name: 'Leave' }).click();
  await bob.page.locator('[data-left]').waitFor({ timeout: 5_000 });
  await others(ann, 'camera').waitFor({ state: 'detached', timeout: 5_000 });
});

test('no page logged an error', () => {
  assert.deepEqual([ann, bob].flatMap(({ complaints }) => complaints), []);
});
