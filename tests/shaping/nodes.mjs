// Two nodes of one mesh in the core of the network, each at the near end of one client's line.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../browser/mesh.mjs';

const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
const binary = process.env.ORIGO_BIN ?? `${target}/debug/origo`;
const logs = `${target}/test-logs`;
const READY_TIMEOUT_MS = 15_000;
const KEY = { ORIGO_API_KEY: 'shaping', ORIGO_API_SECRET: 'only-for-this-test-of-lines' };
const PORT = 7_880;
/** Decisions of the media worker, and nothing of its libraries. */
const LOG = 'info,origo_node_core::media=debug,str0m=warn,str0m_proto=warn,chitchat=warn,quinn=warn,rustls=warn';

/**
 * Starts a node for each client; gives `url` and `page` of a client's node, tokens, and what a node estimated. Their logs
 * are called by `name`.
 */
export async function startNodes(network, clients, { name = 'shaping', log = LOG, priority = 0 } = {}) {
  mkdirSync(logs, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'origo-shaping-nodes-'));
  const running = [];
  const logFile = (client) => `${logs}/${name}-${client}.log`;
  async function stop() {
    for (const { child } of running) child.kill('SIGTERM');
    await Promise.all(running.map(({ gone }) => gone));
    rmSync(folder, { recursive: true, force: true });
  }
  for (const client of clients) {
    const address = network.address(client);
    const seeds = client === clients[0] ? [] : ['--seeds', `${network.address(clients[0])}:${PORT + 1}`];
    // One worker: a client's media and the log of its estimates stay together.
    const flags = ['--bind', address, '--metrics-bind', address, '--port', `${PORT}`, '--region', client, '--workers', '1'];
    flags.push('--data-dir', join(folder, client), '--drain-deadline', '0', '--log', log, ...seeds);
    const env = { ...process.env, ...KEY, ORIGO_MESH_SECRET: 'only-for-this-test-of-lines' };
    const child = network.spawn(binary, ['node', ...flags], {
      stdio: ['ignore', 'ignore', openSync(logFile(client), 'w')],
      env,
    });
    setPriority(child.pid, priority);
    running.push({ child, gone: new Promise((resolve) => child.once('exit', resolve)) });
    await untilReady(network, address).catch(async (error) => {
      await stop();
      throw error;
    });
  }
  return {
    url: (client) => `ws://${network.address(client)}:${PORT}`,
    page: (client) => `http://${network.address(client)}:${PORT}/health`,
    token: (room, identity) =>
      execFileSync(binary, ['token', '--room', room, '--identity', identity], { env: { ...process.env, ...KEY } })
        .toString()
        .trim(),
    /** What a client's node believed that the way to its subscribers carries: times and bits per second. */
    estimates: (client) => readEstimates(logFile(client)),
    stop,
  };
}

async function untilReady(network, address) {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  const probe = "fetch(process.argv[1]).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))";
  for (;;) {
    const child = network.spawn(process.execPath, ['-e', probe, `http://${address}:${PORT}/health`], { stdio: 'ignore' });
    if ((await new Promise((resolve) => child.once('exit', resolve))) === 0) return;
    if (performance.now() > deadline) throw new Error(`the node at ${address} was not ready in time; see ${logs}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function readEstimates(file) {
  const estimates = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (!line.includes('"estimate_bps"')) continue;
    const { timestamp, estimate_bps: bps } = JSON.parse(line);
    estimates.push({ at: Date.parse(timestamp), bps });
  }
  return estimates;
}
