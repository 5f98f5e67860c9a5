// WHIP and WHEP in Chromium by fetch alone, with their neighbours in the room on other nodes.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { root, startMesh } from './mesh.mjs';
import { colourOf } from './watch.mjs';
import { install } from './whip-client.mjs';

const room = 'over-http';
let mesh;
let camera;
let viewer;
let http;

before(async () => {
  mesh = await startMesh('whip');
  http = mesh.nodes.map((node) => node.url.replace(/^ws/, 'http'));
  [camera, viewer] = await Promise.all([
    openPage({ name: 'camera', colour: 'red', toneHz: 440 }),
    openPage({ name: 'viewer', colour: 'blue', toneHz: 880 }),
  ]);
  await camera.page.goto(`${http[0]}/health`);
  await viewer.page.goto(`${http[2]}/health`);
  await Promise.all([install(camera.page), install(viewer.page)]);
  await viewer.page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
});

after(async () => {
  await Promise.all([camera, viewer].map((guest) => guest?.close()));
  await mesh?.stop();
});

/** Calls a function of the page's client. */
const call = (guest, method, ...parameters) =>
  guest.page.evaluate(([method, parameters]) => window.overHttp[method](...parameters), [method, parameters]);

/** How much more there is of each number after a while. */
async function growth(guest, name, ms = 2_000) {
  const before = await call(guest, 'flows', name);
  await guest.page.waitForTimeout(ms);
  const after = await call(guest, 'flows', name);
  return { ...after, decoded: after.decoded - before.decoded, energy: after.energy - before.energy };
}

test('a WHEP viewer who comes before the stream is told to ask again', { timeout: 30_000 }, async () => {
  const early = await call(viewer, 'watch', 'early', `${http[2]}/whep/v1`, await mesh.token(room, 'early'));
  assert.deepEqual([early.status, early.retryAfter], [409, '2']);
});

test('a page publishes three layers over WHIP', { timeout: 30_000 }, async () => {
  const token = await mesh.token(room, 'camera');
  const session = await call(camera, 'publish', 'camera', `${http[0]}/whip/v1`, token, { simulcast: true });
  assert.equal(session.status, 201);
  assert.match(session.url, /\/whip\/v1\/[0-9a-f]{32}$/);
  assert.match(session.etag, /^"[0-9a-f]{32}"$/);
  const body = `a=mid:0\r\n${session.candidates.map((candidate) => `a=${candidate}\r\n`).join('')}a=end-of-candidates\r\n`;
  const trickled = await call(camera, 'request', 'camera', 'PATCH', { ifMatch: session.etag, body });
  assert.equal(trickled.status, 204);
});

test('the LiveKit client on another node sees and hears it', { timeout: 60_000 }, async () => {
  const token = await mesh.token(room, 'sdk');
  const seen = await viewer.page.evaluate(
    async ([url, token]) => {
      const call = new LivekitClient.Room();
      window.sdk = call;
      const tracks = {};
      call.on('trackSubscribed', (track) => {
        tracks[track.kind] = track;
        track.attach();
      });
      await call.connect(url, token);
      for (let waited = 0; waited < 100 && !(tracks.audio && tracks.video); waited += 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const stats = await tracks.video?.getReceiverStats();
      const publication = call.remoteParticipants.get('camera')?.getTrackPublication('camera');
      return { frames: stats?.framesDecoded ?? 0, sound: !!tracks.audio, layers: publication?.trackInfo?.layers.length };
    },
    [mesh.nodes[1].url, token],
  );
  console.log(`the SDK decoded ${seen.frames} frames`);
  assert.ok(seen.frames > 20, `the SDK decoded ${seen.frames} frames`);
  assert.deepEqual([seen.sound, seen.layers], [true, 3]);
});

test('a WHEP viewer on a third node sees and hears it', { timeout: 60_000 }, async () => {
  const token = await mesh.token(room, 'watcher');
  const url = `${http[2]}/whep/v1?room=${room}&participant=camera`;
  const session = await call(viewer, 'watch', 'watcher', url, token);
  assert.equal(session.status, 201, session.body);
  await viewer.page.waitForTimeout(1_000);
  const { decoded, energy, protocol } = await growth(viewer, 'watcher');
  console.log(`the WHEP viewer decodes ${decoded / 2} fps over ${protocol}`);
  assert.ok(decoded > 20, `${decoded} frames in 2 s`);
  assert.ok(energy > 0.001, `${energy} of sound in 2 s`);
  assert.equal(await colourOf(viewer.page.locator('video#watcher')), 'red');
});

for (const [who, name] of [[() => camera, 'camera'], [() => viewer, 'watcher']]) {
  test(`ICE restarts by PATCH and media goes on: ${name}`, { timeout: 30_000 }, async () => {
    const before = await who().page.evaluate((name) => window.overHttp.sessions[name].etag, name);
    const restarted = await call(who(), 'restart', name);
    assert.equal(restarted.status, 200, restarted.body);
    assert.ok(restarted.changed && restarted.etag !== before);
    const { decoded } = await growth(viewer, 'watcher', 3_000);
    assert.ok(decoded > 30, `${decoded} frames in 3 s after the restart`);
    const stale = await call(who(), 'request', name, 'PATCH', { ifMatch: before, body: 'a=end-of-candidates\r\n' });
    assert.equal(stale.status, 412);
  });
}

test('a session belongs to its token and ends once', { timeout: 30_000 }, async () => {
  const other = await mesh.token(room, 'other');
  assert.equal((await call(camera, 'request', 'camera', 'DELETE', { token: other })).status, 403);
  assert.equal((await call(camera, 'request', 'camera', 'DELETE', { token: 'nonsense' })).status, 401);
  assert.equal((await call(camera, 'request', 'camera', 'GET')).status, 405);
  const deletedAt = performance.now();
  assert.equal((await call(camera, 'request', 'camera', 'DELETE')).status, 200);
  await viewer.page.waitForFunction(() => !window.sdk.remoteParticipants.has('camera'), null, { timeout: 2_000 });
  console.log(`the publisher was gone on another node after ${(performance.now() - deletedAt).toFixed(0)} ms`);
  assert.equal((await call(camera, 'request', 'camera', 'DELETE')).status, 404);
  assert.equal((await call(viewer, 'request', 'watcher', 'DELETE')).status, 200);
});

test('without UDP both ways go over TCP to the HTTP port', { timeout: 60_000 }, async () => {
  const [publishing, watching] = await Promise.all(['tcp-camera', 'tcp-viewer'].map((who) => mesh.token('over-tcp', who)));
  const tcp = { tcp: true };
  const published = await call(camera, 'publish', 'tcp-camera', `${http[0]}/whip/v1`, publishing, tcp);
  const port = new URL(http[0]).port;
  assert.match(published.answer, new RegExp(`a=candidate:\\S+ 1 tcp \\d+ \\S+ ${port} typ host tcptype passive`));
  await camera.page.waitForTimeout(1_000);
  const watched = await call(viewer, 'watch', 'tcp-viewer', `${http[1]}/whep/v1`, watching, tcp);
  assert.equal(watched.status, 201, watched.body);
  await viewer.page.waitForTimeout(1_000);
  const { decoded, energy, protocol } = await growth(viewer, 'tcp-viewer', 3_000);
  console.log(`the viewer decodes ${(decoded / 3).toFixed(1)} fps over ${protocol}`);
  assert.deepEqual([protocol, (await call(camera, 'flows', 'tcp-camera')).protocol], ['tcp', 'tcp']);
  assert.ok(decoded > 45, `${decoded} frames in 3 s`);
  assert.ok(energy > 0.001, `${energy} of sound in 3 s`);
});

test('no page logged an error that it was not to have', () => {
  // Chromium logs every refused fetch.
  const complaints = [camera, viewer].flatMap((guest) => guest.complaints);
  assert.deepEqual(complaints.filter((text) => !/Failed to load resource/.test(text)), []);
});
