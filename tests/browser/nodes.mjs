// Single nodes that see each other, each a process of its own that a test can drain, kill and start again.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './mesh.mjs';

const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
const binary = process.env.ORIGO_BIN ?? `${target}/debug/origo`;
const READY_TIMEOUT_MS = 20_000;

/** Starts a node in each region, with `flags` for all. */
export async function startNodes(name, regions, flags = []) {
  const folder = mkdtempSync(join(tmpdir(), `origo-nodes-${name}-`));
  const base = 30_000 + 100 * Math.floor(Math.random() * 20);
  const seeds = regions.map((_, index) => `127.0.0.1:${base + 10 * index + 1}`);
  mkdirSync(`${target}/test-logs`, { recursive: true });

  const nodes = regions.map((region, index) => {
    const port = base + 10 * index;
    const log = openSync(`${target}/test-logs/${name}-${region}.log`, 'w');
    const own = ['--region', region, '--port', String(port), '--workers', '1', '--data-dir', join(folder, region)];
    const node = {
      region,
      url: `ws://127.0.0.1:${port}`,
      http: `http://127.0.0.1:${port}`,
      process: null,
      ended: null,
      start() {
        const others = seeds.filter((_, other) => other !== index).join(',');
        const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('ORIGO_')));
        const line = ['node', '--demo', '--log-format', 'text', '--seeds', others, ...own, ...flags];
        node.process = spawn(binary, line, { stdio: ['ignore', 'ignore', log], env });
        node.ended = new Promise((resolve) => node.process.once('exit', (code, signal) => resolve({ code, signal })));
      },
      async health() {
        return fetch(`${node.http}/health`).then((answer) => answer.json(), () => null);
      },
      /** Until it takes people and sees that many nodes. */
      async ready(count = regions.length) {
        const end = performance.now() + READY_TIMEOUT_MS;
        for (;;) {
          const health = await node.health();
          if (health?.status === 'ok' && health.nodes === count) return;
          if (performance.now() > end) throw new Error(`${region} is not ready: ${JSON.stringify(health)}`);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      },
    };
    return node;
  });
  nodes.forEach((node) => node.start());
  await Promise.all(nodes.map((node) => node.ready()));
  return {
    nodes,
    web: nodes[0].http,
    /** A token of a demo node, from whichever answers. */
    async token(room, identity) {
      for (const node of nodes) {
        const answer = await fetch(`${node.http}/v1/demo/token`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ room, identity, name: identity }),
        }).catch(() => null);
        if (answer?.ok) return (await answer.json()).token;
      }
      throw new Error('no node gives a token');
    },
    async stop() {
      for (const node of nodes) node.process.kill('SIGINT');
      const late = new Promise((resolve) => setTimeout(resolve, 5_000).unref());
      await Promise.race([Promise.all(nodes.map((node) => node.ended)), late]);
      for (const node of nodes) node.process.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
