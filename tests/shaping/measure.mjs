// Figures from samples: what was heard and seen in each phase of a case, and how fast the picture followed.

/** A height that stays for this long counts as settled. */
const SETTLED_MS = 2_000;
/** Loss is over when at most this share of packets is lost from then on, second by second. */
const LOSS_OVER = 0.02;
/** Around a step, how long a gap may still be its doing. */
const STEP_WINDOW_MS = 5_000;

/** Samples of one phase; the last one before it belongs to it, so that differences have a beginning. */
function within(samples, from, to) {
  const begin = Math.max(0, samples.findIndex((sample) => sample.at >= from) - 1);
  return samples.slice(begin).filter((sample) => sample.at <= to);
}

const usable = (samples) => samples.filter((sample) => sample.audio && sample.video);
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** What bob heard and saw between two instants. */
export function figures(samples, from, to) {
  const part = usable(within(samples, from, to));
  if (part.length < 2) return null;
  const [first, last] = [part[0], part.at(-1)];
  const grown = (kind, name) => last[kind][name] - first[kind][name];
  const seconds = (last.at - first.at) / 1000;
  return {
    concealed_percent: round((100 * grown('audio', 'concealed')) / Math.max(1, grown('audio', 'samples')), 2),
    video_kbps: Math.round((grown('video', 'bytes') * 8) / seconds / 1000),
    received_kbps: Math.round(((last.pair.received - first.pair.received) * 8) / seconds / 1000),
    fps: round(grown('video', 'decoded') / seconds, 1),
    height: median(part.map((sample) => sample.video.height)),
    freezes: grown('video', 'freezes'),
    frozen_s: round(grown('video', 'frozenS'), 2),
    longest_gap_ms: longestGap(part),
  };
}

/** The longest time without a new decoded frame, in steps of the sampling. */
function longestGap(part) {
  let [longest, since] = [0, part[0].at];
  for (const [index, sample] of part.entries()) {
    if (index > 0 && sample.video.decoded > part[index - 1].video.decoded) since = sample.at;
    longest = Math.max(longest, sample.at - since);
  }
  return longest;
}

/** How a step of the line was followed: when the height settled, when loss was over, the longest gap meanwhile. */
export function followed(samples, at, to) {
  const part = usable(within(samples, at, to));
  if (part.length < 2) return null;
  const final = median(part.slice(-Math.ceil(part.length / 3)).map((sample) => sample.video.height));
  const settled = part.find((sample) => {
    const rest = part.filter((later) => later.at >= sample.at && later.at < sample.at + SETTLED_MS);
    return sample.at >= at && rest.every((later) => later.video.height === final);
  });
  return {
    height: final,
    height_s: settled ? round((settled.at - at) / 1000, 1) : null,
    loss_over_s: round((lossOver(part, at) - at) / 1000, 1),
    longest_gap_ms: longestGap(part.filter((sample) => sample.at <= at + STEP_WINDOW_MS)),
  };
}

/** The end of the last second in which packets were lost beyond the odd one. */
function lossOver(part, at) {
  let over = at;
  for (const sample of part) {
    const before = part.findLast((earlier) => earlier.at <= sample.at - 1_000);
    if (!before || before.at < at) continue;
    const lost = sample.video.lost - before.video.lost + sample.audio.lost - before.audio.lost;
    const came = sample.video.packets - before.video.packets + sample.audio.packets - before.audio.packets;
    if (lost > LOSS_OVER * (lost + came)) over = sample.at;
  }
  return over;
}

/** Bits per second over each second, for the picture of a case: [seconds since `from`, kbit/s]. */
export function rates(samples, from, bytes) {
  const points = [];
  for (const [index, sample] of samples.entries()) {
    const before = samples[index - 5];
    if (!before || bytes(sample) === undefined || bytes(before) === undefined) continue;
    const kbps = ((bytes(sample) - bytes(before)) * 8) / (sample.at - before.at);
    points.push([(sample.at - from) / 1000, Math.max(0, kbps)]);
  }
  return points;
}

function round(value, digits) {
  return Number(value.toFixed(digits));
}
