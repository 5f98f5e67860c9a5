// `origo node` processes that form a mesh, with flags of a test's own.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../browser/mesh.mjs';
import { until } from './guest.mjs';

const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
const binary = process.env.ORIGO_BIN ?? `${target}/debug/origo`;

/** Starts nodes that know each other; gives their URLs and `stop`. */
export async function startNodes(count, flags) {
  const base = 41_000 + 100 * Math.floor(Math.random() * 100);
  const folder = mkdtempSync(join(tmpdir(), 'origo-nodes-'));
  mkdirSync(`${target}/test-logs`, { recursive: true });
  const nodes = Array.from({ length: count }, (_, n) => {
    const port = base + 10 * n;
    const seeds = Array.from({ length: count }, (_, other) => `127.0.0.1:${base + 10 * other + 1}`);
    const own = ['--port', String(port), '--workers', '1', '--data-dir', join(folder, String(n)), '--drain-deadline', '0'];
    const seeded = ['--seeds', seeds.filter((_, other) => other !== n).join(',')];
    const log = openSync(`${target}/test-logs/sdk-node-${n}.log`, 'w');
    const child = spawn(binary, ['node', ...own, ...seeded, ...flags], { stdio: ['ignore', 'ignore', log] });
    return { child, url: `ws://127.0.0.1:${port}`, gone: new Promise((resolve) => child.once('exit', resolve)) };
  });
  const stop = async () => {
    for (const { child } of nodes) child.kill('SIGTERM');
    await Promise.all(nodes.map(({ gone }) => gone));
    rmSync(folder, { recursive: true, force: true });
  };
  const knowsAll = async ({ url }) => {
    const answer = await fetch(`${url.replace(/^ws/, 'http')}/health`).catch(() => undefined);
    return answer?.ok && (await answer.json()).nodes === count;
  };
  try {
    for (const node of nodes) await until('the nodes find each other', () => knowsAll(node));
  } catch (error) {
    await stop();
    throw error;
  }
  return { urls: nodes.map(({ url }) => url), stop };
}
