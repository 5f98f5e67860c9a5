// What happens in the call, minute after minute: lines that lose, layers, screens, and sockets that are cut.

/** Seconds in which everything below happens once. */
export const ROUND_S = 60;
/** Percent of datagrams that a line loses each way while it does. */
const LOSS_PERCENT = 2;
const [LOW, HIGH] = [0, 2];

/** Seconds of a round, and what happens then. `loss`, `screen`, `layer` and `resume` are told in the report. */
const ROUND = [
  [4, 'loss', 'cat', LOSS_PERCENT],
  [7, 'layer', 'cat', 'fox', LOW],
  [9, 'layer', 'fox', 'cat', LOW],
  [10, 'screen', 'cat', true],
  [14, 'layer', 'cat', 'fox', HIGH],
  [16, 'layer', 'fox', 'cat', HIGH],
  [18, 'loss', 'cat', 0],
  [20, 'resume', 'cat'],
  [22, 'layer', 'cat', 'fox', LOW],
  [24, 'loss', 'fox', LOSS_PERCENT],
  [26, 'layer', 'cat', 'fox', HIGH],
  [28, 'screen', 'cat', false],
  [30, 'layer', 'fox', 'cat', LOW],
  [32, 'resume', 'fox'],
  [34, 'screen', 'nod', true],
  [36, 'layer', 'fox', 'cat', HIGH],
  [38, 'loss', 'fox', 0],
  [40, 'loss', 'pia', LOSS_PERCENT],
  [41, 'loss', 'nod', LOSS_PERCENT],
  [44, 'resume', 'pia'],
  [46, 'screen', 'nod', false],
  [48, 'resume', 'nod'],
  [50, 'layer', 'cat', 'fox', LOW],
  [51, 'layer', 'fox', 'cat', LOW],
  [53, 'loss', 'pia', 0],
  [54, 'loss', 'nod', 0],
  [55, 'layer', 'cat', 'fox', HIGH],
  [56, 'layer', 'fox', 'cat', HIGH],
];

/** Plays so many rounds; gives what happened when, and what went wrong. */
export async function play({ rounds, guests, network }) {
  const deeds = [];
  const faults = [];
  const byName = Object.fromEntries(guests.map((guest) => [guest.name, guest]));
  const acts = {
    loss: (who, percent) => network.loss(who, percent),
    layer: (who, whose, quality) => byName[who].ask('quality', whose, quality),
    screen: (who, on) => byName[who].ask('screen', who, on),
    resume: (who) => byName[who].ask('resume'),
  };
  const pending = [];
  const from = Date.now();
  for (let round = 0; round < rounds; round += 1) {
    for (const [second, what, ...how] of ROUND) {
      const due = from + (round * ROUND_S + second) * 1_000;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - Date.now())));
      deeds.push({ at: Date.now(), what, how });
      const done = async () => acts[what](...how);
      pending.push(done().catch((error) => faults.push(`${what} ${how.join(' ')}: ${error.message}`)));
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, from + (round + 1) * ROUND_S * 1_000 - Date.now())));
    console.log(`minute ${round + 1} of ${rounds}${faults.length > 0 ? `; ${faults.length} faults` : ''}`);
  }
  await Promise.all(pending);
  return { from, to: Date.now(), deeds, faults };
}
