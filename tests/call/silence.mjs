// A device for sound where a machine has none, to which Firefox plays: without one its clock of sound stands still.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const READY_TIMEOUT_MS = 5_000;

/** What is handed on at once: a busy machine is late by less, and a sound that was late makes the clock stand still. */
const LATENCY_MS = 120;

/** Starts a PulseAudio of its own that plays to nobody, and lets programs that are started from now on find it. */
export async function startSilence() {
  const folder = mkdtempSync(join(tmpdir(), 'origo-silence-'));
  const socket = join(folder, 'socket');
  const modules = ['module-null-sink rate=48000', `module-native-protocol-unix auth-anonymous=1 socket=${socket}`];
  const flags = ['-n', '--use-pid-file=no', '--daemonize=no', '--exit-idle-time=-1', '--disable-shm=yes'];
  const child = spawn('pulseaudio', [...flags, ...modules.map((module) => `--load=${module}`)], {
    stdio: 'ignore',
    env: { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder },
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  const failed = new Promise((_, reject) => child.once('error', reject));
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!existsSync(socket)) {
    if (performance.now() > deadline || child.exitCode !== null) {
      child.kill('SIGKILL');
      throw new Error('pulseaudio does not start');
    }
    await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  process.env.PULSE_SERVER = `unix:${socket}`;
  process.env.PULSE_LATENCY_MSEC = `${LATENCY_MS}`;
  return async () => {
    child.kill('SIGTERM');
    await gone;
    rmSync(folder, { recursive: true, force: true });
  };
}
