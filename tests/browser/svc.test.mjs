// Layers within one stream (SVC) between two nodes: a smaller tile gets a smaller picture, which costs the link less,
// and a larger one gets the larger picture back. The publisher sends one stream throughout.
/* global LivekitClient */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { root, startMesh } from './mesh.mjs';

const SWITCH_LIMIT_MS = 10_000;
const WHOLE = { width: 640, height: 360 };
const HALF = { width: 320, height: 180 };

let mesh;
let ann;
let bob;

before(async () => {
  mesh = await startMesh('svc');
  [ann, bob] = await Promise.all([
    openPage({ name: 'ann', colour: 'red', toneHz: 440 }),
    openPage({ name: 'bob', colour: 'blue', toneHz: 660 }),
  ]);
  for (const { page } of [ann, bob]) {
    await page.goto(new URL('/health', mesh.web).href);
    await page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
  }
});

after(async () => {
  await Promise.all([ann, bob].map((guest) => guest?.close()));
  await mesh?.stop();
});

for (const codec of ['vp9', 'av1']) {
  test(`${codec}: the picture follows the tile, and a link carries what is watched`, { timeout: 120_000 }, async () => {
    await enter(codec);
    assert.equal((await untilHeight(WHOLE.height)).height, WHOLE.height);
    await bob.page.waitForTimeout(1_000);
    const before = await decoder();
    const rates = [];
    for (const size of [WHOLE, HALF, WHOLE]) {
      await show(size);
      const switched = await untilHeight(size.height);
      console.log(`${codec}: ${switched.height} lines after ${Math.round(switched.ms)} ms, longest pause ${switched.pauseMs} ms`);
      assert.equal(switched.height, size.height);
      assert.ok(switched.worst > 0.8, `only ${switched.worst} of the picture has its colour`);
      assert.ok(switched.pauseMs < 1_000, `no new frame for ${switched.pauseMs} ms`);
      // A layer that nobody watches goes on for two seconds, so that no tile makes it flap.
      await bob.page.waitForTimeout(2_500);
      rates.push(await linkRate(3_000));
    }
    const after = await decoder();
    console.log(`${codec}: link ${rates.map((rate) => Math.round(rate / 1_000)).join(', ')} kbit/s; ${JSON.stringify(after)}`);
    assert.ok(rates[1] < rates[0] * 0.7, `the link carries ${rates[1]} bit/s for a small tile, ${rates[0]} for a large one`);
    assert.ok(rates[2] > rates[1] * 1.4, `the link carries ${rates[2]} bit/s for a large tile again`);
    assert.ok(after.totalFreezesDuration - before.totalFreezesDuration < 1, 'the picture froze at a switch');
    assert.ok(after.framesDecoded > before.framesDecoded + 60, 'the picture stood still');

    // `livekit-client` switches SVC encoders on and off as a whole.
    await enable(false);
    await encoding(false);
    await enable(true);
    await encoding(true);
    assert.equal((await untilHeight(WHOLE.height)).height, WHOLE.height);
    await leave();
  });
}

for (const codec of ['vp8', 'vp9', 'av1']) {
  test(`${codec}: a viewer gets as many frames as it asks for`, { timeout: 60_000 }, async () => {
    await enter(codec);
    if (codec === 'vp8') await layerInTime();
    assert.equal((await untilHeight(WHOLE.height)).height, WHOLE.height);
    const seen = [];
    for (const fps of [30, 8, 30]) {
      await bob.page.evaluate((fps) => {
        window.room.remoteParticipants.get('ann').getTrackPublication('camera').setVideoFPS(fps);
      }, fps);
      await bob.page.waitForTimeout(2_000);
      const [begunAt, before] = [performance.now(), await decoder()];
      await bob.page.waitForTimeout(3_000);
      const { framesDecoded } = await decoder();
      seen.push(((framesDecoded - before.framesDecoded) * 1_000) / (performance.now() - begunAt));
    }
    const { pliCount, totalFreezesDuration } = await decoder();
    console.log(`${codec}: ${seen.map((fps) => fps.toFixed(1)).join(', ')} fps; ${pliCount} PLI, ${totalFreezesDuration} s frozen`);
    // Temporal layers halve the rate twice: a quarter is nearest to 8 of 30.
    assert.ok(seen[1] < seen[0] * 0.6 && seen[1] > 3, 'the lower temporal layers alone');
    assert.ok(seen[2] > seen[1] * 1.5, 'all of them again');
    await leave();
  });
}

/** Both join a room; ann publishes, bob attaches. */
async function enter(videoCodec) {
  for (const [guest, node] of [
    [ann, mesh.nodes[0]],
    [bob, mesh.nodes[1]],
  ]) {
    const token = await mesh.token(`svc-${videoCodec}`, guest.name);
    await guest.page.evaluate(
      async ([url, token]) => {
        window.room = new LivekitClient.Room({ dynacast: true });
        await window.room.connect(url, token);
      },
      [node.url, token],
    );
  }
  await ann.page.evaluate((videoCodec) => {
    const videoEncoding = { maxBitrate: 900_000, maxFramerate: 30 };
    return window.room.localParticipant.setCameraEnabled(true, {}, { videoCodec, videoEncoding, backupCodec: false });
  }, videoCodec);
  await bob.page.waitForFunction(() => {
    const track = window.room.remoteParticipants.get('ann')?.getTrackPublication('camera')?.track;
    if (!track || window.video) return Boolean(track);
    window.video = track.attach();
    document.body.append(window.video);
    return true;
  });
}

async function leave() {
  for (const { page } of [ann, bob]) {
    await page.evaluate(async () => {
      window.video?.remove();
      window.video = undefined;
      await window.room.disconnect();
    });
  }
}

/** What bob's decoder reports. */
function decoder() {
  return bob.page.evaluate(async () => {
    const track = window.room.remoteParticipants.get('ann').getTrackPublication('camera').track;
    for (const entry of (await track.getRTCStatsReport()).values()) {
      if (entry.type !== 'inbound-rtp' || entry.kind !== 'video') continue;
      const { framesDecoded = 0, frameHeight, keyFramesDecoded, totalFreezesDuration = 0, nackCount, pliCount } = entry;
      return { framesDecoded, frameHeight, keyFramesDecoded, totalFreezesDuration, nackCount, pliCount };
    }
    return null;
  });
}

/** Whether bob wants the picture at all. */
function enable(enabled) {
  return bob.page.evaluate((enabled) => {
    window.room.remoteParticipants.get('ann').getTrackPublication('camera').setEnabled(enabled);
  }, enabled);
}

/** `livekit-client` sends VP8 without temporal layers; other clients send it with them. */
function layerInTime() {
  return ann.page.evaluate(async () => {
    const { sender } = window.room.localParticipant.getTrackPublication('camera').track;
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings) encoding.scalabilityMode = 'L1T3';
    await sender.setParameters(parameters);
    // The encoders begin anew.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  });
}

/** Waits until ann's encoder is on or off. */
function encoding(active) {
  return ann.page.waitForFunction(
    (active) => {
      const { sender } = window.room.localParticipant.getTrackPublication('camera').track;
      return sender.getParameters().encodings.some((encoding) => encoding.active) === active;
    },
    active,
    { timeout: 15_000 },
  );
}

/** Tells bob's node how large he shows ann. */
function show(size) {
  return bob.page.evaluate((size) => {
    window.room.remoteParticipants.get('ann').getTrackPublication('camera').setVideoDimensions(size);
  }, size);
}

/**
 * Waits until the picture has so many lines, and a second more. Meanwhile the share of red is looked at in each frame
 * that is shown, and the longest time without a new one.
 */
function untilHeight(height) {
  return bob.page.evaluate(
    async ([height, limitMs]) => {
      const begunAt = performance.now();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [32, 18];
      const context = canvas.getContext('2d', { willReadFrequently: true });
      let [worst, pauseMs, lastAt, reachedAt] = [1, 0, 0, 0];
      const look = (now) => {
        if (lastAt > 0) pauseMs = Math.max(pauseMs, Math.round(now - lastAt));
        lastAt = now;
        context.drawImage(window.video, 0, 0, 32, 18);
        const { data } = context.getImageData(0, 0, 32, 18);
        let red = 0;
        for (let at = 0; at < data.length; at += 4) {
          if (data[at] > 1.5 * data[at + 1] && data[at] > 1.5 * data[at + 2]) red += 1;
        }
        worst = Math.min(worst, red / (32 * 18));
        if (window.video.videoHeight === height) reachedAt ||= now;
      };
      const ended = () => performance.now() - begunAt > limitMs || (reachedAt && performance.now() - reachedAt > 1_000);
      while (!ended()) {
        const now = await Promise.race([
          new Promise((resolve) => window.video.requestVideoFrameCallback(resolve)),
          new Promise((resolve) => setTimeout(resolve, 500)),
        ]);
        if (now) look(now);
      }
      pauseMs = Math.max(pauseMs, lastAt > 0 ? Math.round(performance.now() - lastAt) : 0);
      return { ms: (reachedAt || performance.now()) - begunAt, height: window.video.videoHeight, worst, pauseMs };
    },
    [height, SWITCH_LIMIT_MS],
  );
}

/** Bits per second of pictures on the link from ann's node, over `ms`. */
async function linkRate(ms) {
  const [begunAt, before] = [performance.now(), await linkBytes()];
  await bob.page.waitForTimeout(ms);
  return (((await linkBytes()) - before) * 8_000) / (performance.now() - begunAt);
}

async function linkBytes() {
  const text = await (await fetch(mesh.nodes[0].metrics)).text();
  let bytes = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith('origo_link_bytes_total{') || !line.includes('direction="out"')) continue;
    if (/class="(base|enhancement)"/.test(line)) bytes += Number(line.split(' ').at(-1));
  }
  return bytes;
}
