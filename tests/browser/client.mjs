// A page of a node with the unmodified `livekit-client` in it, and what tests ask of such a page.
/* global LivekitClient */
import { openPage } from './browser.mjs';
import { openFirefox } from './firefox.mjs';
import { root } from './mesh.mjs';

/** Opens a page with the SDK as `LivekitClient` and the functions of `equip`; `browser` is `chromium` or `firefox`. */
export async function openClient(mesh, { browser = 'chromium', name, colour = 'red', toneHz = 440 }) {
  const guest = await (browser === 'firefox' ? openFirefox({ name }) : openPage({ name, colour, toneHz }));
  // A page from the node itself: one that the test makes up may not reach loopback.
  await guest.page.goto(new URL('/health', mesh.web).href);
  await guest.page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
  await guest.page.evaluate(equip);
  return guest;
}

/** Connects a page's `window.room`; `url` is the node's unless it is given. */
export async function enter(guest, mesh, { room, node, url = node.url, options = {} }) {
  const token = await mesh.token(room, guest.name);
  await guest.page.evaluate(
    async ([url, token, options]) => {
      window.room = new LivekitClient.Room(options);
      await window.room.connect(url, token);
    },
    [url, token, options],
  );
}

/** Runs in the page: what tests wait for and measure there. */
export function equip() {
  window.pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  /** Asks until the answer is true, and gives it. */
  window.until = async (what, check, ms = 15_000) => {
    const end = performance.now() + ms;
    for (;;) {
      const found = await check();
      if (found) return found;
      if (performance.now() > end) throw new Error(`no ${what} within ${ms} ms`);
      await window.pause(50);
    }
  };
  /** Someone's publication once its track is here; of the only other participant when no identity is given. */
  window.received = (room, source, identity) =>
    window.until(`track ${source}`, () => {
      const [only] = room.remoteParticipants.values();
      const publication = (identity ? room.remoteParticipants.get(identity) : only)?.getTrackPublication(source);
      return publication?.track ? publication : null;
    });
  /** Shows a video track, or plays an audio track, in an element of its own. */
  window.play = (track, style = {}) => {
    const element = track.attach();
    element.muted = track.kind === 'video';
    Object.assign(element.style, style);
    document.body.append(element);
    return element;
  };
  /** The report about what is received of a track. */
  window.inbound = async (track) => {
    const report = [...((await track.getRTCStatsReport())?.values() ?? [])];
    const inbound = report.find(({ type }) => type === 'inbound-rtp');
    return inbound ? { ...inbound, mimeType: report.find(({ id }) => id === inbound.codecId)?.mimeType } : {};
  };
  /** The reports about what is sent of a track, a layer each, the smallest first. */
  window.outbound = async (track) => {
    const report = [...((await track.getRTCStatsReport())?.values() ?? [])];
    const layers = report.filter(({ type }) => type === 'outbound-rtp').map((layer) => ({ ...layer }));
    return layers.sort((a, b) => 'qhf'.indexOf(a.rid) - 'qhf'.indexOf(b.rid));
  };
  /** The share of a picture that is red: most of it, of a red camera whose bright bar moves. */
  window.redness = (video) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [32, 18];
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 32, 18);
    const { data } = context.getImageData(0, 0, 32, 18);
    let red = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] > 1.5 * data[at + 1] && data[at] > 1.5 * data[at + 2]) red += 1;
    }
    return red / (32 * 18);
  };
  window.framesOf = async (track) => (await window.inbound(track)).framesDecoded ?? 0;
  /** Waits until that many further frames of a track are decoded; gives how long it took, ms. */
  window.decodes = async (track, frames = 30, ms = 15_000) => {
    const begunAt = performance.now();
    const before = await window.framesOf(track);
    await window.until(`${frames} frames`, async () => (await window.framesOf(track)) >= before + frames, ms);
    return performance.now() - begunAt;
  };
  /**
   * Watches a track until `stop`, which gives the longest time without a further frame or sample, ms, and how much of
   * the sound was made up for want of packets.
   */
  window.observe = (track) => {
    let [stopped, last, lastAt, longestMs] = [false, null, performance.now(), 0];
    const count = (report) => report.framesDecoded ?? report.totalSamplesReceived ?? 0;
    const begun = window.inbound(track);
    const watch = (async () => {
      while (!stopped) {
        const now = count(await window.inbound(track));
        if (now !== last) [last, lastAt] = [now, performance.now()];
        longestMs = Math.max(longestMs, performance.now() - lastAt);
        await window.pause(40);
      }
    })();
    return async () => {
      stopped = true;
      await watch;
      const [before, after] = [await begun, await window.inbound(track)];
      const more = (key) => (after[key] ?? 0) - (before[key] ?? 0);
      // Silence that Opus did not send (DTX) is made up too, and is no fault.
      const concealed = more('concealedSamples') - more('silentConcealedSamples');
      return {
        longestMs: Math.round(longestMs),
        more: count(after) - count(before),
        lost: more('packetsLost'),
        concealed: concealed / (more('totalSamplesReceived') || 1),
      };
    };
  };
  /** Waits until an audio track that plays has carried sound; gives the energy that it has gained. */
  window.sounds = async (track, ms = 15_000) => {
    const { totalAudioEnergy: before = 0 } = await window.inbound(track);
    const gained = async () => ((await window.inbound(track)).totalAudioEnergy ?? 0) - before;
    await window.until('sound', async () => (await gained()) > 0.01, ms);
    return gained();
  };
  /** Waits until a tone is heard in an audio track; gives its frequency, Hz. Chromium alone has sound without a device. */
  window.hears = async (track, toneHz, ms = 10_000) => {
    const context = new AudioContext();
    await context.resume();
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    try {
      return await window.until(
        `tone of ${toneHz} Hz`,
        () => {
          analyser.getFloatFrequencyData(bins);
          const level = Math.max(...bins);
          const peakHz = (bins.indexOf(level) * context.sampleRate) / analyser.fftSize;
          return level > -60 && Math.abs(peakHz - toneHz) < 10 ? peakHz : null;
        },
        ms,
      );
    } finally {
      await context.close();
    }
  };
}
