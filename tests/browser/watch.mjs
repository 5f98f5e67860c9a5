// What a page of the web client sees and hears, measured in the page.

/** How long the first packet of a track may take, which a page reports nothing of before. */
const FIRST_PACKET_MS = 3_000;

/** Joins through the web client, as a person with a link does. */
export async function join(guest, mesh, { room, node, camera = true, mic = true }) {
  const query = new URLSearchParams({
    room,
    name: guest.name,
    identity: guest.name,
    node: node.id,
    autojoin: '1',
    camera: camera ? '1' : '0',
    mic: mic ? '1' : '0',
  });
  await guest.page.goto(`${mesh.web}?${query}`);
  await guest.page.getByTestId('call').waitFor({ timeout: 15_000 });
}

/** A tile of another participant. */
export function tile(guest, identity, kind = 'camera') {
  return guest.page.locator(`[data-testid=tile][data-identity="${identity}"][data-kind=${kind}]`);
}

/** Frames per second that the page decodes of someone's camera or screen, over `ms`. */
export async function decodedFps(guest, identity, { source = 'camera', ms = 3_000 } = {}) {
  let before = await videoStats(guest, identity, source);
  for (const end = performance.now() + FIRST_PACKET_MS; !before && performance.now() < end; ) {
    await guest.page.waitForTimeout(50);
    before = await videoStats(guest, identity, source);
  }
  await guest.page.waitForTimeout(ms);
  const after = await videoStats(guest, identity, source);
  if (!before || !after) return 0;
  return ((after.framesDecoded - before.framesDecoded) * 1000) / (after.timestamp - before.timestamp);
}

/** The receiver's report about someone's picture; null while there is none. */
export function videoStats(guest, identity, source = 'camera') {
  return guest.page.evaluate(
    async ([identity, source]) => {
      const participant = window.__origo?.room.remoteParticipants.get(identity);
      const publication = participant?.getTrackPublication(source === 'screen' ? 'screen_share' : 'camera');
      const report = await publication?.track?.getRTCStatsReport();
      for (const entry of report?.values() ?? []) {
        if (entry.type === 'inbound-rtp' && entry.kind === 'video') {
          const { framesDecoded = 0, frameWidth = 0, frameHeight = 0, timestamp } = entry;
          return { framesDecoded, frameWidth, frameHeight, timestamp };
        }
      }
      return null;
    },
    [identity, source],
  );
}

/** Which of red, green and blue dominates the picture that the page shows of someone, or `none`. */
export function shownColour(guest, identity) {
  return colourOf(tile(guest, identity).locator('video'));
}

/** Which of red, green and blue dominates the picture of a video element, or `none`. */
export function colourOf(locator) {
  return locator.evaluate((video) => {
    if (video.videoWidth === 0) return 'none';
    const canvas = document.createElement('canvas');
    canvas.width = 32;
    canvas.height = 18;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const sums = [0, 0, 0];
    for (let at = 0; at < data.length; at += 4) for (let c = 0; c < 3; c += 1) sums[c] += data[at + c];
    const strongest = sums.indexOf(Math.max(...sums));
    const others = sums.filter((_, colour) => colour !== strongest);
    return others.every((sum) => sum * 1.5 < sums[strongest]) ? ['red', 'green', 'blue'][strongest] : 'none';
  });
}

/** Whether someone's tone is heard within `timeoutMs`; gives the strongest frequency that was heard while sounding. */
export function heardTone(guest, identity, toneHz, timeoutMs = 10_000) {
  return guest.page.evaluate(
    async ([identity, toneHz, timeoutMs]) => {
      const deadline = performance.now() + timeoutMs;
      const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      const trackOf = () => {
        const participant = window.__origo?.room.remoteParticipants.get(identity);
        return participant?.getTrackPublication('microphone')?.track?.mediaStreamTrack;
      };
      while (!trackOf() && performance.now() < deadline) await pause(50);
      if (!trackOf()) return { heard: false, peakHz: 0, level: -Infinity };
      const context = new AudioContext({ sampleRate: 48_000 });
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(new MediaStream([trackOf()])).connect(analyser);
      const bins = new Float32Array(analyser.frequencyBinCount);
      let best = { heard: false, peakHz: 0, level: -Infinity };
      while (!best.heard && performance.now() < deadline) {
        await pause(40);
        analyser.getFloatFrequencyData(bins);
        const level = Math.max(...bins);
        const peakHz = (bins.indexOf(level) * context.sampleRate) / analyser.fftSize;
        if (level > best.level) best = { heard: level > -60 && Math.abs(peakHz - toneHz) < 10, peakHz, level };
      }
      await context.close();
      return best;
    },
    [identity, toneHz, timeoutMs],
  );
}

/** Sends a chat message through the page. */
export async function say(guest, text) {
  await openChat(guest);
  await guest.page.getByTestId('chat-input').fill(text);
  await guest.page.getByTestId('chat-send').click();
}

/** Waits until the page shows a chat message. */
export async function reads(guest, text) {
  await openChat(guest);
  await guest.page.getByTestId('chat-message').filter({ hasText: text }).first().waitFor({ timeout: 5_000 });
}

async function openChat(guest) {
  if ((await guest.page.getByTestId('chat-input').count()) === 0) await guest.page.getByTestId('toggle-chat').click();
}
