// A demo mesh for the tests: `origo demo --json` with its own ports, ended by SIGTERM.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';

const READY_TIMEOUT_MS = 20_000;
/** What the mesh promises, with a little room for a busy machine to notice. */
const STOP_TIMEOUT_MS = 6_000;

export const root = new URL('../../', import.meta.url).pathname;
const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
const binary = process.env.ORIGO_BIN ?? `${target}/debug/origo`;
const logs = `${target}/test-logs`;

/** This machine's own IPv4 address beside loopback, to which Firefox sends no media. */
export function ownAddress() {
  const addresses = Object.values(networkInterfaces()).flat();
  const own = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (!own) throw new Error('this machine has no address beside loopback, and Firefox sends no media to that');
  return own.address;
}

/**
 * Starts a mesh; `name` names its log, `mediaIp` is where it takes media. Gives the line that `origo demo --json`
 * prints, and `token` and `stop`.
 */
export async function startMesh(name, { mediaIp = '127.0.0.1' } = {}) {
  mkdirSync(logs, { recursive: true });
  const log = openSync(`${logs}/mesh-${name}.log`, 'w');
  const portBase = 11_000 + 100 * Math.floor(Math.random() * 100);
  const flags = ['--json', '--port-base', String(portBase), '--media-ip', mediaIp];
  const child = spawn(binary, ['demo', ...flags], { stdio: ['ignore', 'pipe', log] });
  const gone = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  const lines = [];
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      resolve(line);
    });
    child.once('error', reject);
    gone.then(({ code }) => reject(new Error(`origo demo ended with ${code}; see ${logs}/mesh-${name}.log`)));
    setTimeout(() => reject(new Error('origo demo was not ready in time')), READY_TIMEOUT_MS).unref();
  });
  const begunAt = performance.now();
  const mesh = JSON.parse(
    await ready.catch((error) => {
      child.kill('SIGKILL');
      throw error;
    }),
  );
  return {
    ...mesh,
    lines,
    readyMs: performance.now() - begunAt,
    /** A token of a demo node, as the web client gets it. */
    async token(room, identity) {
      const response = await fetch(new URL('/v1/demo/token', mesh.web), {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ room, identity, name: identity }),
      });
      if (!response.ok) throw new Error(`no token: ${response.status} ${await response.text()}`);
      return (await response.json()).token;
    },
    /** Ends the mesh; gives how long it took. */
    async stop() {
      const stoppedAt = performance.now();
      child.kill('SIGTERM');
      const late = new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS, 'late').unref());
      if ((await Promise.race([gone, late])) === 'late') {
        child.kill('SIGKILL');
        for (const node of mesh.nodes) if (alive(node.pid)) process.kill(node.pid, 'SIGKILL');
        throw new Error(`origo demo did not end within ${STOP_TIMEOUT_MS} ms of SIGTERM`);
      }
      return performance.now() - stoppedAt;
    },
  };
}

/** The sum of a node's figures of a name; `labels` are patterns that the labels of those names match. */
export async function metric(node, name, labels = {}) {
  const page = await (await fetch(node.metrics)).text();
  const figures = page.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm);
  const meant = ([, found, text = '']) =>
    found === name &&
    Object.entries(labels).every(([label, pattern]) => new RegExp(`\\b${label}="(?:${pattern})"`).test(text));
  return [...figures].filter(meant).reduce((sum, [, , , value]) => sum + Number(value), 0);
}

/** Whether a process runs. */
export function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
