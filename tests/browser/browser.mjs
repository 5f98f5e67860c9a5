// One Chromium process per page: the files of the fake camera and microphone belong to the process.
import { rmSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { writeCapture } from './capture.mjs';

export const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

const ARGUMENTS = [
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--auto-select-desktop-capture-source=Entire screen',
];

/** Opens a browser with one page, whose camera shows `colour` and whose microphone hears `toneHz`. */
export function openPage({ name, colour, toneHz, viewport }) {
  return openPageWith({ name, capture: writeCapture(name, colour, toneHz), viewport });
}

/** The same with files for camera and microphone; `program` is what starts Chromium, if that takes more than its path. */
export async function openPageWith({
  name,
  capture,
  viewport = { width: 1280, height: 800 },
  program = executablePath,
  args = [],
}) {
  const asRoot = process.getuid?.() === 0;
  const browser = await chromium.launch({
    executablePath: program,
    args: [
      ...ARGUMENTS,
      ...args,
      ...(asRoot ? ['--no-sandbox'] : []),
      '--use-fake-device-for-media-stream=fps=30',
      `--use-file-for-fake-video-capture=${capture.camera}`,
      `--use-file-for-fake-audio-capture=${capture.microphone}`,
    ],
  });
  const page = await browser.newPage({ viewport });
  const complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return {
    name,
    page,
    /** What the page logged as errors. */
    complaints,
    async close() {
      await browser.close();
      rmSync(capture.folder, { recursive: true, force: true });
    },
  };
}
