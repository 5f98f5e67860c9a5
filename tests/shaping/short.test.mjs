// A call whose viewer's line narrows and widens again, in network namespaces: the short form of `make shaping`, with
// bounds that a busy machine keeps.
import assert from 'node:assert/strict';
import { cpus, loadavg } from 'node:os';
import { test } from 'node:test';
import { SMALL_CAMERA } from './call.mjs';
import { runCase } from './cases.mjs';
import { whyNot } from './network.mjs';

/** Seconds after which the narrow line carries the low layer alone, and within which the high one is back. */
const DOWN_LIMIT_S = 6;
const UP_LIMIT_S = 18;
const GAP_LIMIT_MS = 2_500;
/** Delays that come from waiting for a processor look like a narrow line. */
const LOAD_PER_CORE_MAX = 3;

function reason() {
  const load = loadavg()[0];
  if (load > LOAD_PER_CORE_MAX * cpus().length) return `the machine is too busy to tell a narrow line: load ${load}`;
  return whyNot() ?? false;
}

const skip = reason();
if (skip) console.log(`skipped: ${skip}`);

test('the picture follows a line that narrows and widens', { skip, timeout: 120_000 }, async () => {
  const { phases, ran, samples } = await runCase({
    name: 'short',
    side: 'bob',
    camera: SMALL_CAMERA,
    phases: [
      { name: 'wide', seconds: 3, bps: 3_000_000 },
      { name: 'narrow', seconds: 12, bps: 350_000, step: 'down' },
      { name: 'wide again', seconds: 20, bps: 3_000_000, step: 'up' },
    ],
  });
  for (const phase of phases) console.log(JSON.stringify(phase));
  const [, narrow, wide] = ran;
  const heights = samples.bob.filter(({ video }) => video).map(({ at, video }) => ({ at, height: video.height }));
  const high = heights.filter(({ height }) => height === SMALL_CAMERA.height);
  const tried = high.filter(({ at }) => at > narrow.from + DOWN_LIMIT_S * 1000 && at <= narrow.to);
  assert.equal(tried.length, 0, 'the high layer does not fit');
  const back = high.find(({ at }) => at > wide.from + 500);
  assert.ok(back && back.at - wide.from < UP_LIMIT_S * 1000, 'the high layer is back');
  for (const { followed } of phases.slice(1)) {
    assert.ok(followed.longest_gap_ms <= GAP_LIMIT_MS, `no new frame for ${followed.longest_gap_ms} ms`);
  }
});
