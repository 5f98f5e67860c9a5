// Hosts of one machine as network namespaces: a core where the nodes run, and one client each at the end of a line
// that delays, loses and narrows.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';

const LINE = new URL('line.py', import.meta.url).pathname;
/** What one client's line takes, one way: with the 40 ms there and back, a call within a continent. */
const DELAY_MS = 20;
/** What the narrowest place of a line lets wait before it drops, as access links do. */
const QUEUE_MS = 200;
/** Bytes that may pass at once: two full frames. */
const BURST_BYTES = 3_200;

/** Why namespaces cannot be made here; none when they can. */
export function whyNot() {
  if (process.platform !== 'linux') return 'network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'shaping needs root, to make network namespaces: run it as root';
  for (const tool of ['ip', 'tc', 'nft', 'python3']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return `${tool} is missing: make deps installs it`;
    }
  }
  const trial = `og-shape-${process.pid}-trial`;
  try {
    run('ip', 'netns', 'add', trial);
    run('ip', '-n', trial, 'link', 'set', 'lo', 'up');
  } catch (error) {
    return `no network namespace can be entered here: ${error.message.trim()}`;
  } finally {
    spawnSync('ip', ['netns', 'del', trial], { stdio: 'ignore' });
  }
  return null;
}

const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });

/**
 * Namespaces `<prefix>core` and `<prefix><client>`; the core's and the client's address of line i are 10.99.i.1, .2. Where
 * the core `forwards`, clients reach each other.
 */
export async function makeNetwork(clients, { forwards = false, priority = 0 } = {}) {
  const prefix = `og-shape-${process.pid}-`;
  const core = `${prefix}core`;
  const folder = mkdtempSync(join(tmpdir(), 'origo-shaping-'));
  const lines = [];
  const namespaces = [];
  const add = (namespace) => {
    run('ip', 'netns', 'add', namespace);
    namespaces.push(namespace);
    run('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
  };
  async function close() {
    for (const line of lines) line.kill('SIGTERM');
    for (const namespace of namespaces) {
      try {
        run('ip', 'netns', 'del', namespace);
      } catch (error) {
        console.error(`the namespace ${namespace} stays: ${error.message}`);
      }
    }
    rmSync(folder, { recursive: true, force: true });
  }

  /** A program that runs another in a namespace; browsers are driven over pipes, which pass. */
  function wrapper(namespace, program) {
    const path = join(folder, `in-${namespace}`);
    writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${namespace} ${program} "$@"\n`);
    chmodSync(path, 0o755);
    return path;
  }

  try {
    add(core);
    if (forwards) run('ip', 'netns', 'exec', core, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
    for (const [index, client] of clients.entries()) {
      const namespace = `${prefix}${client}`;
      const [near, far] = [`10.99.${index + 1}.1`, `10.99.${index + 1}.2`];
      add(namespace);
      // Both ends have the interface's name, each in its namespace.
      lines.push(await startLine(core, namespace, `to-${client}`));
      setPriority(lines.at(-1).pid, priority);
      for (const [place, address] of [
        [core, near],
        [namespace, far],
      ]) {
        run('ip', '-n', place, 'addr', 'add', `${address}/24`, 'dev', `to-${client}`);
        run('ip', '-n', place, 'link', 'set', `to-${client}`, 'up');
      }
      // Firefox gathers no candidates without a default route.
      run('ip', '-n', namespace, 'route', 'add', 'default', 'via', near);
    }
  } catch (error) {
    await close();
    throw error;
  }

  const ends = (client) => [
    { namespace: core, device: `to-${client}` },
    { namespace: `${prefix}${client}`, device: `to-${client}` },
  ];
  return {
    core,
    /** What `node`s bind to for a client. */
    address: (client) => `10.99.${clients.indexOf(client) + 1}.1`,
    wrapper: (client, program) => wrapper(`${prefix}${client}`, program),
    /** Starts a program where the nodes are. */
    spawn: (program, args, options) => spawn('ip', ['netns', 'exec', core, program, ...args], options),
    /** Bits per second that a client's line carries each way; 0 for all. */
    rate(client, bps) {
      for (const { namespace, device } of ends(client)) {
        if (bps === 0) {
          run('tc', '-n', namespace, 'qdisc', 'del', 'dev', device, 'root');
          continue;
        }
        const shape = ['rate', `${bps}bit`, 'burst', `${BURST_BYTES}`, 'latency', `${QUEUE_MS}ms`];
        run('tc', '-n', namespace, 'qdisc', 'replace', 'dev', device, 'root', 'tbf', ...shape);
      }
    },
    /** Percent of datagrams that a client's line loses at random, each way. */
    loss(client, percent) {
      for (const { namespace, device } of ends(client)) {
        const inside = (...args) => run('ip', 'netns', 'exec', namespace, 'nft', ...args);
        inside('add', 'table', 'inet', 'shaping');
        inside('flush', 'table', 'inet', 'shaping');
        inside('add', 'chain', 'inet', 'shaping', 'in', '{ type filter hook input priority 0 ; }');
        if (percent === 0) continue;
        const dice = ['numgen', 'random', 'mod', '1000', '<', `${percent * 10}`];
        inside('add', 'rule', 'inet', 'shaping', 'in', 'iifname', device, 'meta', 'l4proto', 'udp', ...dice, 'drop');
      }
    },
    close,
  };
}

function startLine(from, to, device) {
  const line = spawn('python3', [LINE, from, to, device, `${DELAY_MS}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    line.stdout.once('data', () => resolve(line));
    line.once('error', reject);
    line.once('exit', (code) => reject(new Error(`the line ended with ${code}`)));
  });
}
