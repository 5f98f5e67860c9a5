// The call: two nodes, four guests at the end of lines of their own; everything that they note is gathered as it goes.
import { cpus } from 'node:os';
import { makeNetwork } from '../shaping/network.mjs';
import { startNodes } from '../shaping/nodes.mjs';
import { play } from './course.mjs';
import { GUESTS, PRIORITY, seeds, startGuest } from './guests.mjs';

const ROOM = 'call';
const LOG = 'info,str0m=warn,str0m_proto=warn,chitchat=warn,quinn=warn,rustls=warn';
const TAKE_EVERY_MS = 5_000;
/** Time for all to see and hear each other, which is not measured. */
const WARM_S = 20;
/** How long two pages are connected without a server: single beeps differ by 50 ms, a median of 60 by some 5. */
const STRAIGHT_S = 75;
/** Of that, what browsers take to bring sound and picture together. */
const STRAIGHT_WARM_S = 13;

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));

/** Holds the call for so many rounds; gives everything that was noted, by guest. */
export async function call(rounds) {
  const closing = [];
  try {
    const network = await makeNetwork(GUESTS.map(({ name }) => name), { forwards: true, priority: PRIORITY });
    closing.push(() => network.close());
    const nodes = await startNodes(network, ['cat', 'fox'], { name: 'call', log: LOG, priority: PRIORITY });
    closing.push(() => nodes.stop());
    const guests = GUESTS.map((guest) => startGuest(guest, network, nodes.page(guest.node)));
    closing.push(() => Promise.all(guests.map((guest) => guest.close())));
    await Promise.all(guests.map((guest) => guest.ask('begin', seeds())));

    const straight = await straightly(guests.filter(({ browser }) => browser));
    for (const guest of guests) {
      await guest.ask('join', nodes.url(guest.node), nodes.token(ROOM, guest.name));
    }
    await Promise.all(guests.map((guest) => guest.ask('publish', guest.name)));
    await pause(WARM_S);
    const taken = Object.fromEntries(guests.map(({ name }) => [name, nothing()]));
    const take = () => Promise.all(guests.map(async (guest) => add(taken[guest.name], await guest.ask('take'))));
    await take();
    guests.forEach(({ name }) => (taken[name] = nothing()));
    const taking = setInterval(() => void take().catch(() => {}), TAKE_EVERY_MS);
    const before = busy();
    const course = await play({ rounds, guests, network }).finally(() => clearInterval(taking));
    const after = busy();
    await take();
    const complaints = await Promise.all(guests.map(async (guest) => [guest.name, await guest.ask('complaints')]));
    await Promise.all(guests.map((guest) => guest.ask('leave')));
    return { guests: GUESTS, ...course, taken, straight, complaints: Object.fromEntries(complaints), busy_percent: share(before, after) };
  } finally {
    for (const part of closing.reverse()) await part();
  }
}

/** What all processors did so far, in ticks. */
function busy() {
  const times = cpus().map(({ times }) => times);
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { all, idle: times.reduce((sum, { idle }) => sum + idle, 0) };
}

/** How busy the machine was between two moments, percent. */
const share = (from, to) => Math.round(100 - (100 * (to.idle - from.idle)) / (to.all - from.all));

const nothing = () => ({ frames: {}, beeps: {}, clocks: [], corrupt: [], events: [], late: [] });

function add(all, more) {
  for (const kind of ['frames', 'beeps']) {
    for (const [key, list] of Object.entries(more[kind])) (all[kind][key] ??= []).push(...list);
  }
  for (const kind of ['clocks', 'corrupt', 'events', 'late']) all[kind].push(...(more[kind] ?? []));
}

/** What browsers show and play of each other, and of themselves, without a server between them. */
async function straightly(pages) {
  const found = [];
  // Each page sends to one and receives from one at a time.
  for (const shift of pages.keys()) {
    const pairs = pages.map((sender, index) => [sender, pages[(index + shift) % pages.length]]);
    for (const [sender, receiver] of pairs) {
      const offer = await sender.ask('offer', sender.name);
      await sender.ask('accept', await receiver.ask('answer', sender.name, offer));
    }
    await pause(STRAIGHT_WARM_S);
    await Promise.all(pages.map((page) => page.ask('take')));
    await pause(STRAIGHT_S - STRAIGHT_WARM_S);
    for (const [sender, receiver] of pairs) {
      found.push({ sender: sender.name, receiver: receiver.name, ...(await receiver.ask('take')) });
    }
    await Promise.all(pages.map((page) => page.ask('part')));
  }
  return found;
}
