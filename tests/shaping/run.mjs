// `make shaping`: runs every case (or those named), prints a table, and writes figures and pictures to
// docs/performance.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { root } from '../browser/mesh.mjs';
import { CASES, missed, runCase } from './cases.mjs';
import { whyNot } from './network.mjs';
import { plot } from './plot.mjs';

const folder = process.env.SHAPING_OUT ?? `${root}docs/performance`;

const reason = whyNot();
if (reason) {
  console.error(reason);
  process.exit(1);
}
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !CASES.some((shaped) => shaped.name === name));
if (unknown.length > 0) {
  console.error(`no such case: ${unknown.join(', ')}; there are ${CASES.map(({ name }) => name).join(', ')}`);
  process.exit(1);
}

mkdirSync(folder, { recursive: true });
const results = [];
let misses = 0;
for (const shaped of CASES.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const load = loadavg()[0];
  const result = await runCase(shaped);
  writeFileSync(`${folder}/${shaped.name}.svg`, plot(result));
  const { name, side, dynacast, concealed_percent, phases } = result;
  results.push({ name, side, dynacast, load, concealed_percent, phases });
  for (const phase of phases) misses += tell(result, phase);
}
const machine = { cpu: cpus()[0].model, cores: cpus().length, kernel: release(), at: new Date().toISOString() };
writeFileSync(`${folder}/shaping.json`, `${JSON.stringify({ machine, results }, null, 2)}\n`);
console.log(misses === 0 ? '\nevery goal is met' : `\n${misses} goals are missed`);

/** One line of the table; gives how many goals were missed. */
function tell({ name, concealed_percent: whole }, phase) {
  const { followed } = phase;
  const missing = missed(phase);
  const cells = [
    name.padEnd(14),
    phase.name.padEnd(15),
    `${phase.concealed_percent} % concealed`.padStart(17),
    `${whole} % in all`.padStart(13),
    `${phase.settled?.height ?? 0} px`.padStart(7),
    `${phase.settled?.video_kbps ?? 0} kbit/s`.padStart(12),
    `${phase.settled?.fps ?? 0} fps`.padStart(9),
    `${phase.freezes} freezes, ${phase.frozen_s} s`.padStart(18),
    `gap ${phase.longest_gap_ms} ms`.padStart(12),
    followed ? `followed ${followed.height_s} s, loss over ${followed.loss_over_s} s, gap ${followed.longest_gap_ms} ms` : '',
  ];
  console.log(cells.join('  '), missing.length > 0 ? `MISSED: ${missing.join('; ')}` : '');
  return missing.length;
}
