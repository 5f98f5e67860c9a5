// What came of the call: figures for each who sees and hears each other, and whether the bounds are kept.
import { beyond, clockLags, lags, quantile, seams, spread } from './measure.mjs';
import { FPS } from './picture.mjs';

/** What the call must show; sound and picture by the median of each pair. */
export const GOALS = { corrupt: 0, lip_sync_ms: 40 };
/** That something was looked at at all: shares of the frames and beeps that were sent. */
const FRAMES_SEEN_MIN = 0.5;
const BEEPS_HEARD_MIN = 0.7;

/** Figures of all pairs, and the series that are drawn. */
export function report({ guests, from, to, deeds, faults, taken, straight, complaints, busy_percent }) {
  const seconds = (to - from) / 1_000;
  const straights = straight.map((pair) => {
    const key = `${pair.sender}/straight`;
    const beeps = lags(pair.frames[key] ?? [], pair.beeps[key] ?? []);
    const clocks = clockLags(pair.clocks, key);
    const beyonds = spread(beyond(beeps, clocks));
    return { sender: pair.sender, receiver: pair.receiver, beeps: spread(beeps), clocks: spread(clocks), beyond: beyonds };
  });
  const pairs = [];
  for (const receiver of guests) {
    for (const sender of guests.filter((other) => other !== receiver)) {
      pairs.push(pairOf({ sender, receiver, taken: taken[receiver.name], late: taken[sender.name].late, straights, seconds }));
    }
  }
  const screens = deeds.filter(({ what, how }) => what === 'screen' && how[1] === true);
  const shared = guests.flatMap(({ name }) =>
    Object.entries(taken[name].frames)
      .filter(([key]) => key.endsWith('/screen'))
      .map(([key, frames]) => {
        const [corrupt, leftovers] = wrongOf(taken[name], key);
        return { receiver: name, sender: key.split('/')[0], frames: frames.length, corrupt, leftovers };
      }),
  );
  const corrupt = guests.flatMap(({ name }) => taken[name].corrupt.map((frame) => ({ receiver: name, ...frame })));
  const events = guests.flatMap(({ name }) => taken[name].events.map(([at, event]) => ({ at, who: name, event })));
  const result = { seconds, busy_percent, pairs, straights, shared, faults, events, complaints };
  return { ...result, corrupt, misses: missed(result, screens) };
}

/**
 * How many frames of a track are corrupt, and how many are whole frames of another track of its sections: Firefox shows
 * the last picture of what a section carried before as the first of what it carries now.
 */
function wrongOf({ corrupt }, key) {
  const own = corrupt.filter((frame) => frame.key === key);
  const leftovers = own.filter(({ whose }) => whose).length;
  return [own.length - leftovers, leftovers];
}

function pairOf({ sender, receiver, taken, late, straights, seconds }) {
  const key = `${sender.name}/camera`;
  const [frames, beeps] = [taken.frames[key] ?? [], taken.beeps[key] ?? []];
  const series = { beeps: lags(frames, beeps), clocks: clockLags(taken.clocks, sender.name) };
  const direct = straights.filter((pair) => pair.sender === sender.name);
  const between = direct.find((pair) => pair.receiver === receiver.name);
  const [corrupt, leftovers] = wrongOf(taken, key);
  // A native publisher says how much later than due it hands on sound than pictures; of a browser it is what it does to
  // whichever browser it is connected with.
  const says = Math.round(quantile(late.map(([sound, picture]) => sound - picture), 0.5) ?? 0);
  const own = between?.beeps.p50 ?? (sender.browser ? commonOf(direct.map(({ beeps }) => beeps.p50)) : says);
  const widths = [...new Set(frames.map(([, , , width]) => width))].sort((a, b) => a - b);
  const last = taken.clocks.filter(([, identity]) => identity === sender.name).at(-1)?.[4] ?? {};
  return {
    sender: sender.name,
    receiver: receiver.name,
    frames: frames.length,
    corrupt,
    leftovers,
    widths,
    switches: frames.filter(([, , , width], index) => index > 0 && width !== frames[index - 1][3]).length,
    fps: Math.round((10 * frames.length) / seconds) / 10,
    gap_ms: Math.round(quantile(frames.slice(1).map(([, at], index) => at - frames[index][1]), 1) ?? 0),
    beeps_heard: beeps.length,
    lag: spread(series.beeps),
    straight_p50: own,
    /** Without what the browsers do with each other without a server. */
    lip_sync: spread(series.beeps, own),
    clocks: series.clocks.length > 0 ? spread(series.clocks) : null,
    /** What is seen and heard beyond what the browser believes: what it was told wrongly, and what the publisher does. */
    beyond: series.clocks.length > 0 ? spread(beyond(series.beeps, series.clocks)) : null,
    straight_beyond_p50: between?.beyond.p50 ?? null,
    /** How far the picture's time jumped where its layer changed; native SDKs do not tell it. */
    seams: receiver.browser ? spread(seams(frames)) : null,
    decoder: last,
    series,
  };
}

/** What lags have in common: the least of them where all are to one side, otherwise nothing. */
function commonOf(lags) {
  const known = lags.filter((lag) => lag !== null);
  const side = Math.sign(known[0] ?? 0);
  if (known.length === 0 || known.some((lag) => Math.sign(lag) !== side)) return 0;
  return side * Math.min(...known.map(Math.abs));
}

/** Which bounds are not kept, in words. */
function missed({ seconds, pairs, shared, faults }, screens) {
  const misses = [...faults];
  const bound = (holds, words) => holds || misses.push(words);
  for (const pair of pairs) {
    const who = `${pair.sender} to ${pair.receiver}`;
    bound(pair.corrupt <= GOALS.corrupt, `${who}: ${pair.corrupt} corrupt frames`);
    bound(pair.frames >= FRAMES_SEEN_MIN * FPS * seconds, `${who}: only ${pair.frames} frames seen`);
    bound(pair.beeps_heard >= BEEPS_HEARD_MIN * seconds, `${who}: only ${pair.beeps_heard} beeps heard`);
    const { lip_sync: seen, clocks, seams } = pair;
    bound(seen.p50 !== null && Math.abs(seen.p50) <= GOALS.lip_sync_ms, `${who}: sound and picture ${seen.p50} ms apart`);
    bound(!clocks || Math.abs(clocks.p50) <= GOALS.lip_sync_ms, `${who}: ${clocks?.p50} ms apart by the browser's account`);
    bound(!seams?.count || seams.p95 <= GOALS.lip_sync_ms, `${who}: the picture's time jumped by ${seams?.p95} ms (p95) at a switch`);
  }
  for (const pair of shared) bound(pair.corrupt <= GOALS.corrupt, `${pair.sender}'s screen to ${pair.receiver}: ${pair.corrupt} corrupt frames`);
  for (const sharer of new Set(screens.map(({ how }) => how[0]))) {
    const seers = new Set(shared.filter(({ sender, frames }) => sender === sharer && frames > 0).map(({ receiver }) => receiver));
    bound(seers.size === 3, `${sharer}'s screen was seen by ${[...seers].join(', ') || 'nobody'}`);
  }
  const switching = pairs.filter(({ sender, receiver }) => ['cat fox', 'fox cat'].includes(`${sender} ${receiver}`));
  for (const { sender, receiver, widths } of switching) {
    bound(widths.length >= 2, `${sender} to ${receiver}: no layer was switched, ${widths.join()} px alone`);
  }
  return misses;
}

/** The table, in lines. */
export function table({ pairs, straights, shared }) {
  const cells = (values, widths) => values.map((value, index) => String(value ?? '-').padStart(widths[index])).join('  ');
  const widths = [12, 7, 7, 8, 8, 5, 6, 5, 22, 8, 22, 22, 22, 8, 18];
  const spreadOf = (spread) => (spread ? `${spread.p50} / ${spread.p95} / ${spread.max}` : '-');
  const head = ['from to', 'frames', 'corrupt', 'px', 'switches', 'fps', 'gap ms', 'beeps', 'lag p50/p95/max ms', 'of its own', 'less that', 'by the browser', 'beyond that', 'straight', 'seams'];
  return [
    cells(head, widths),
    ...pairs.map((pair) =>
      cells(
        [`${pair.sender} ${pair.receiver}`, pair.frames, pair.corrupt, pair.widths, pair.switches, pair.fps, pair.gap_ms, pair.beeps_heard, spreadOf(pair.lag), pair.straight_p50, spreadOf(pair.lip_sync), spreadOf(pair.clocks), spreadOf(pair.beyond), pair.straight_beyond_p50, spreadOf(pair.seams)],
        widths,
      ),
    ),
    ...straights.map(({ sender, receiver, beeps, clocks, beyond }) =>
      `straight ${sender} to ${receiver}: ${spreadOf(beeps)} of ${beeps.count}; by the browser ${spreadOf(clocks)}; beyond that ${spreadOf(beyond)}`),
    ...shared.map(({ sender, receiver, frames, corrupt, leftovers }) => `screen of ${sender} to ${receiver}: ${frames} frames, ${corrupt} corrupt, ${leftovers} of another before it`),
  ];
}
