// What is done to whose line, for how long, and what has to come of it.
import { CAMERA, startCall } from './call.mjs';
import { figures, followed } from './measure.mjs';

/** Time for the call to find its rate before anything is done to it. */
const WARM_S = 8;
/** After a change, what happens while it is taken in is told apart. */
const SETTLE_S = 5;

/** What the issue of this rig asks for. */
export const GOALS = { concealed_percent: 1, down_s: 3, up_s: 10, gap_ms: 1_000 };

const MBIT = 1_000_000;
const steps = [
  { name: '3 Mbit/s', seconds: 10, bps: 3 * MBIT },
  { name: '500 kbit/s', seconds: 20, bps: MBIT / 2, step: 'down' },
  { name: '3 Mbit/s again', seconds: 20, bps: 3 * MBIT, step: 'up' },
];

/** `side` is whose line it is: bob receives behind it, or ann publishes behind it. */
export const CASES = [
  { name: 'clean', side: 'bob', phases: [{ name: 'clean', seconds: 15 }] },
  { name: 'loss-down', side: 'bob', phases: [{ name: '5 % loss', seconds: 30, loss: 5 }] },
  { name: 'narrow-down', side: 'bob', phases: [{ name: '300 kbit/s', seconds: 30, bps: 300_000 }] },
  { name: 'step-down', side: 'bob', phases: steps },
  { name: 'step-dynacast', side: 'bob', dynacast: true, phases: steps },
  { name: 'loss-up', side: 'ann', phases: [{ name: '5 % loss', seconds: 30, loss: 5 }] },
  { name: 'narrow-up', side: 'ann', phases: [{ name: '300 kbit/s', seconds: 30, bps: 300_000 }] },
  { name: 'step-up', side: 'ann', phases: steps },
];

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Runs one case; gives its figures by phase, what was concealed over all phases, and everything that was sampled. */
export async function runCase({ name, side, dynacast, camera = CAMERA, phases }) {
  const call = await startCall({ dynacast, camera });
  try {
    await pause(WARM_S);
    const ran = [];
    for (const phase of phases) {
      if (phase.bps !== undefined) call.network.rate(side, phase.bps);
      if (phase.loss !== undefined) call.network.loss(side, phase.loss);
      const from = Date.now();
      await pause(phase.seconds);
      ran.push({ ...phase, from, to: Date.now() });
    }
    const samples = await call.samples();
    const result = ran.map((phase) => summary(phase, samples.bob, camera));
    const whole = figures(samples.bob, ran[0].from, ran.at(-1).to);
    const told = { name, side, dynacast: Boolean(dynacast), concealed_percent: whole?.concealed_percent, phases: result };
    return { ...told, ran, samples, estimates: call.estimates() };
  } finally {
    await call.close();
  }
}

function summary({ name, from, to, step }, samples, camera) {
  const whole = figures(samples, from, to);
  const settled = figures(samples, from + SETTLE_S * 1000, to);
  const after = step && followed(samples, from, to);
  return { name, step, ...whole, settled, followed: after && { ...after, whole: after.height === camera.height } };
}

/** Which goals a phase missed, in words. */
export function missed(phase) {
  const misses = [];
  const check = (value, limit, what) => {
    if (value === null || value === undefined || value > limit) misses.push(`${what} ${value} (goal ${limit})`);
  };
  check(phase.concealed_percent, GOALS.concealed_percent, 'concealed %');
  if (phase.step === 'down') {
    check(Math.max(phase.followed?.height_s ?? Infinity, phase.followed?.loss_over_s ?? Infinity), GOALS.down_s, 'follows after s');
  }
  if (phase.step === 'up') {
    check(phase.followed?.whole ? phase.followed.height_s : Infinity, GOALS.up_s, 'full again after s');
  }
  if (phase.step) check(phase.followed?.longest_gap_ms, GOALS.gap_ms, 'gap at the step, ms');
  return misses;
}
