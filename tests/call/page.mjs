// A guest in a browser: the unmodified `livekit-client` in a page of a node. Run as `page.mjs chromium|firefox NAME URL`.
import { readFileSync } from 'node:fs';
import { openPageWith } from '../browser/browser.mjs';
import { writeCapture } from '../browser/capture.mjs';
import { openFirefox } from '../browser/firefox.mjs';
import { root } from '../browser/mesh.mjs';
import { serve } from './guests.mjs';
import { equip } from './inside.mjs';
import { startSilence } from './silence.mjs';

const [kind, name, address] = process.argv.slice(2);
const { origin, hostname } = new URL(address);

/** A page over plain HTTP may use worklets only if its origin is declared safe. */
function open() {
  if (kind === 'firefox') return openFirefox({ name, preferences: { 'dom.securecontext.allowlist': hostname } });
  return openPageWith({
    name,
    // The devices are there and not used: what is published is painted and played in the page.
    capture: writeCapture(name, 'red', 440),
    args: [`--unsafely-treat-insecure-origin-as-secure=${origin}`],
  });
}

const endSilence = kind === 'firefox' ? await startSilence() : () => {};
const guest = await open();
const { page } = guest;
await page.goto(address);
await page.addScriptTag({ path: `${root}node_modules/livekit-client/dist/livekit-client.umd.js` });
const picture = readFileSync(new URL('picture.mjs', import.meta.url), 'utf8').replaceAll(/^export /gm, '');
await page.addScriptTag({ content: `${picture}\nwindow.picture = { COLUMNS, ROWS, BLOCK, SMALL_BLOCK, FPS, rowOf, isWhite, check, whoseElse };` });
await page.evaluate(equip);

const inside = (what) => (...args) => page.evaluate(([what, args]) => window.guest[what](...args), [what, args]);
const names = ['begin', 'join', 'publish', 'screen', 'quality', 'resume', 'take', 'leave', 'offer', 'answer', 'accept', 'part'];
const commands = Object.fromEntries(names.map((what) => [what, inside(what)]));
await serve({ ...commands, complaints: () => guest.complaints.slice(-50) });
await guest.close();
await endSilence();
process.exit(0);
