// `make call`: holds the call for so many minutes, prints a table, writes figures and a plot; fails where a bound is not
// kept.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { parseArgs } from 'node:util';
import { root } from '../browser/mesh.mjs';
import { whyNot } from '../shaping/network.mjs';
import { call } from './call.mjs';
import { plot } from './plot.mjs';
import { GOALS, report, table } from './report.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    out: { type: 'string', default: `${root}docs/performance` },
    raw: { type: 'string' },
  },
});
const rounds = Number(values.minutes);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error('--minutes takes a whole number from 1');
  process.exit(2);
}
const reason = whyNot();
if (reason) {
  console.error(reason);
  process.exit(2);
}

const load = loadavg()[0];
const held = await call(rounds);
if (values.raw) writeFileSync(values.raw, JSON.stringify(held));
const result = report(held);
for (const line of table(result)) console.log(line);
console.log(`the machine was ${result.busy_percent} % busy`);
for (const [who, lines] of Object.entries(result.complaints)) for (const line of lines) console.log(`${who} logged: ${line.slice(0, 200)}`);

mkdirSync(values.out, { recursive: true });
const drawn = result.pairs.map(({ receiver, series }) => ({ receiver, ...series }));
writeFileSync(`${values.out}/call.svg`, plot({ ...held, pairs: drawn, goal: GOALS.lip_sync_ms }));
const machine = { cpu: cpus()[0].model, cores: cpus().length, kernel: release(), load, at: new Date().toISOString() };
const pairs = result.pairs.map((pair) => ({ ...pair, series: undefined }));
const told = { machine, minutes: rounds, goals: GOALS, ...result, pairs, corrupt: result.corrupt.slice(0, 100) };
writeFileSync(`${values.out}/call.json`, `${JSON.stringify(told, null, 2)}\n`);
for (const miss of result.misses) console.log(`MISSED: ${miss}`);
console.log(result.misses.length === 0 ? 'every bound is kept' : `${result.misses.length} bounds are not kept`);
process.exit(result.misses.length === 0 ? 0 : 1);
