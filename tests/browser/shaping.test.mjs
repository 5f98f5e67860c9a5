// A call whose viewer's line narrows and widens again, in network namespaces: the short form of `make shaping`, with
// bounds that a busy machine keeps.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SMALL_CAMERA } from '../shaping/call.mjs';
import { runCase } from '../shaping/cases.mjs';
import { whyNot } from '../shaping/network.mjs';

const DOWN_LIMIT_S = 6;
const UP_LIMIT_S = 14;
const GAP_LIMIT_MS = 2_000;

const skip = whyNot() ?? false;
if (skip) console.log(`skipped: ${skip}`);

test('the picture follows a line that narrows and widens', { skip, timeout: 120_000 }, async () => {
  const { phases } = await runCase({
    name: 'short',
    side: 'bob',
    camera: SMALL_CAMERA,
    phases: [
      { name: 'wide', seconds: 3, bps: 3_000_000 },
      { name: 'narrow', seconds: 12, bps: 350_000, step: 'down' },
      { name: 'wide again', seconds: 18, bps: 3_000_000, step: 'up' },
    ],
  });
  for (const phase of phases) console.log(JSON.stringify(phase));
  const [, down, up] = phases.map((phase) => phase.followed);
  assert.equal(down.height, SMALL_CAMERA.layers[0].height, 'the lower layer');
  assert.ok(down.height_s <= DOWN_LIMIT_S, `followed ${down.height_s} s after the line narrowed`);
  assert.ok(down.longest_gap_ms <= GAP_LIMIT_MS, `no new frame for ${down.longest_gap_ms} ms`);
  assert.ok(up.whole && up.height_s <= UP_LIMIT_S, `the whole picture was back after ${up.height_s} s`);
  assert.ok(up.longest_gap_ms <= GAP_LIMIT_MS, `no new frame for ${up.longest_gap_ms} ms`);
});
