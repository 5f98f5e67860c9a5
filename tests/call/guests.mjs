// Who is in the call, and how each is driven: a process of its own in its namespace, which hears commands as lines of
// JSON and answers each.
import { spawn } from 'node:child_process';
import { setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import { root } from '../browser/mesh.mjs';

const here = new URL('.', import.meta.url).pathname;
const target = process.env.CARGO_TARGET_DIR ?? `${root}target`;
const python = process.env.PYTHON ?? `${target}/venv/bin/python`;
const ANSWER_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 8_000;

/**
 * Of what has little to do and measures, lines and nodes included, before browsers, which have much to do: on a small machine
 * they would all be late together.
 */
export const PRIORITY = -10;

/** `node` is by whose node somebody is in the room. */
export const GUESTS = [
  { name: 'cat', client: 'Chromium', node: 'cat', browser: true, program: [process.execPath, `${here}page.mjs`, 'chromium'] },
  { name: 'fox', client: 'Firefox', node: 'fox', browser: true, program: [process.execPath, `${here}page.mjs`, 'firefox'] },
  { name: 'pia', client: 'PyPI livekit', node: 'cat', browser: false, priority: PRIORITY, program: [python, `${here}native.py`] },
  { name: 'nod', client: 'npm rtc-node', node: 'fox', browser: false, priority: PRIORITY, program: [process.execPath, `${here}native.mjs`] },
];

/** What makes somebody's pictures unlike all others. */
export function seeds() {
  return Object.fromEntries(
    GUESTS.flatMap(({ name }, index) => [
      [`${name}/camera`, 10 * index + 1],
      [`${name}/screen`, 10 * index + 2],
      [`${name}/straight`, 10 * index + 3],
    ]),
  );
}

/** Starts a guest's process in its namespace; `ask` gives what it answers. */
export function startGuest(guest, network, page) {
  const [program, ...args] = guest.program;
  const child = spawn(network.wrapper(guest.name, program), [...args, guest.name, page], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (guest.priority) setPriority(child.pid, guest.priority);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const waiting = new Map();
  let last = 0;
  const fail = (why) => {
    for (const { reject } of waiting.values()) reject(new Error(`${guest.name}: ${why}`));
    waiting.clear();
  };
  child.once('error', (error) => fail(error.message));
  child.once('exit', (code) => fail(`its process ended with ${code}`));
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return console.error(`${guest.name}: ${line}`);
    const { id, value, error } = JSON.parse(line);
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error) asked?.reject(new Error(`${guest.name}: ${error}`));
    else asked?.resolve(value);
  });
  return {
    ...guest,
    ask(what, ...args) {
      last += 1;
      const id = last;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id);
          reject(new Error(`${guest.name} does not answer to ${what}`));
        }, ANSWER_TIMEOUT_MS);
        const settle = (end) => (value) => {
          clearTimeout(timer);
          end(value);
        };
        waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
        child.stdin.write(`${JSON.stringify({ id, do: what, args })}\n`);
      });
    },
    /** Ends the process, by its standard input and by force where that does not do. */
    async close() {
      child.stdin.end();
      const late = new Promise((resolve) => setTimeout(resolve, END_TIMEOUT_MS, 'late').unref());
      if ((await Promise.race([gone, late])) === 'late') child.kill('SIGKILL');
      await gone;
    },
  };
}

/** The other side, in a guest's process: answers commands until its standard input ends. */
export async function serve(commands) {
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    const { id, do: what, args } = JSON.parse(line);
    const answer = async () => commands[what](...args);
    const told = answer().then(
      (value) => ({ id, value: value ?? null }),
      (error) => ({ id, error: String(error?.stack ?? error) }),
    );
    // A command that takes its time holds up no other.
    void told.then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
  }
}
