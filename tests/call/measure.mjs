// Figures from what guests noted: pictures that were wrong, and how far the sound that was heard is behind the picture
// that was shown.
import { FPS } from './picture.mjs';

const FRAME_MS = 1_000 / FPS;
/** Frames on either side of a beep whose times are asked when the beep's own picture was shown. */
const AROUND = 5;
const FRAMES_MIN = 4;
const LAG_MAX_MS = 500;

/**
 * How far sound is behind the picture, milliseconds, at each beep: `frames` are `[n, shown, …]`, beeps times. A beep
 * belongs to the frame of the same whole second of the sender's clock; when that was shown is the median of what it and
 * the frames around it say, so that neither a frame that waits for the screen nor one that was left out counts.
 */
export function lags(frames, beeps) {
  const shown = new Map();
  for (const [n, at] of frames) if (!shown.has(n)) shown.set(n, at);
  const inOrder = [...shown.entries()];
  let next = 0;
  const found = [];
  for (const heard of beeps) {
    while (next < inOrder.length && inOrder[next][1] <= heard) next += 1;
    if (next === 0 || next === inOrder.length) continue;
    const [n, at] = inOrder[next - 1];
    const own = Math.round((n + (heard - at) / FRAME_MS) / FPS) * FPS;
    const said = [];
    for (let other = own - AROUND; other <= own + AROUND; other += 1) {
      const when = shown.get(other);
      if (when !== undefined) said.push(when - (other - own) * FRAME_MS);
    }
    if (said.length < FRAMES_MIN) continue;
    const lag = heard - quantile(said, 0.5);
    if (Math.abs(lag) < LAG_MAX_MS) found.push([heard, lag]);
  }
  return found;
}

/** Sound behind picture by the browser's own account; `clocks` are `[at, whose, sound, picture]`. */
export function clockLags(clocks, whose) {
  return clocks
    .filter(([, identity, sound, picture]) => identity === whose && sound > 0 && picture > 0)
    .map(([at, , sound, picture]) => [at, picture - sound]);
}

const TICKS_A_MS = 90;
/** Of so long before and after a layer changes is the picture's time compared. */
const SEAM_MS = 2_500;
const SEAM_FRAMES_MIN = 6;

/**
 * How far the time that a picture's packets tell went ahead of its publisher's clock where its layer changed, milliseconds at
 * each such moment. A server that gives a layer another time than the one before has sound and picture apart from then on.
 */
export function seams(frames) {
  const timed = frames.filter(([, , wrong, , rtp]) => wrong === 0 && rtp !== undefined && rtp !== null);
  if (timed.length === 0) return [];
  const first = timed[0][4];
  const ahead = timed.map(([n, at, , width, rtp]) => ({ at, width, ms: ((rtp - first) | 0) / TICKS_A_MS - n * FRAME_MS }));
  const within = (from, to) => ahead.filter(({ at }) => at >= from && at < to).map(({ ms }) => ms);
  return ahead.flatMap(({ at, width }, index) => {
    if (index === 0 || width === ahead[index - 1].width) return [];
    const [before, after] = [within(at - SEAM_MS, at), within(at, at + SEAM_MS)];
    if (Math.min(before.length, after.length) < SEAM_FRAMES_MIN) return [];
    return [[at, quantile(after, 0.5) - quantile(before, 0.5)]];
  });
}

export function quantile(values, part) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

/** What each lag at a beep is beyond the browser's own account of the same moment. */
export function beyond(beeps, clocks) {
  let next = 0;
  return beeps.flatMap(([at, lag]) => {
    while (next < clocks.length && clocks[next][0] < at) next += 1;
    const near = clocks.slice(Math.max(0, next - 1), next + 1).filter(([when]) => Math.abs(when - at) < 1_500);
    if (near.length === 0) return [];
    return [[at, lag - near.reduce((sum, [, value]) => sum + value, 0) / near.length]];
  });
}

/** Median, and what 95 % and all are within, of differences from `from`. */
export function spread(series, from = 0) {
  const values = series.map(([, value]) => value - from);
  const sizes = values.map(Math.abs);
  const round = (value) => (value === null ? null : Math.round(value * 10) / 10);
  return {
    count: values.length,
    p50: round(quantile(values, 0.5)),
    p95: round(quantile(sizes, 0.95)),
    max: round(quantile(sizes, 1)),
  };
}
