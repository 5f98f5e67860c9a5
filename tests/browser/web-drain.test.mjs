// People in the web client whose nodes are taken out of service: the page goes on with the same tiles, elements and chat.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage } from './browser.mjs';
import { startNodes } from './nodes.mjs';
import { heardTone, join, reads, say, shownColour, tile } from './watch.mjs';

const room = 'web-drain';
const people = { ann: { name: 'ann', colour: 'red', toneHz: 440 }, bob: { name: 'bob', colour: 'blue', toneHz: 660 } };
const DRAIN_MS = 30_000;
/** Nothing stands still for longer than 200 ms on a machine of its own; this one runs three nodes and two browsers. */
const FREEZE_MAX_MS = 900;

let mesh;
let ann;
let bob;

before(async () => {
  mesh = await startNodes('web-drain', ['frankfurt', 'london', 'tokyo'], ['--drain-deadline', '30s']);
  [ann, bob] = await Promise.all([openPage(people.ann), openPage(people.bob)]);
  await Promise.all([
    join(ann, mesh, { room, node: { id: 'london' } }),
    join(bob, mesh, { room, node: { id: 'frankfurt' } }),
  ]);
  await Promise.all([tile(ann, 'bob').locator('video').waitFor(), tile(bob, 'ann').locator('video').waitFor()]);
  // The news of who has come is over.
  for (const guest of [ann, bob]) {
    await guest.page.waitForFunction(() => !document.querySelector('.news-item'));
    await guest.page.evaluate(equip);
  }
});

after(async () => {
  await Promise.all([ann, bob].map((guest) => guest?.close()));
  await mesh?.stop();
});

/** Runs in the page: what is watched while nodes go. */
function equip() {
  window.sameDocument = true;
  window.told = [];
  // Every word of news that the page shows.
  new MutationObserver(() => {
    const words = [...document.querySelectorAll('[data-testid=banner], .news-item')].map((each) => each.innerText);
    window.told.push(...words.filter((each) => each && !window.told.includes(each)));
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
  /** Follows the element that shows somebody: the longest time without a further frame, ms, and whether it is still there. */
  window.watchTile = (identity) => {
    const video = document.querySelector(`[data-testid=tile][data-identity="${identity}"] video`);
    let [last, longest] = [performance.now(), 0];
    const frame = () => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
    window.seen = () => ({ longestMs: Math.round(Math.max(longest, performance.now() - last)), isThere: document.contains(video) });
  };
}

const nodeOf = (guest) => guest.page.evaluate(() => window.__origo.node.region);
const state = (guest, other) =>
  guest.page.evaluate((other) => {
    const who = window.__origo.room.remoteParticipants.get(other);
    const camera = who?.getTrackPublication('camera');
    return { sid: who?.sid, camera: camera?.trackSid, muted: camera?.isMuted, told: window.told, same: window.sameDocument };
  }, other);

/** Takes a node out, waits for its end, and starts it anew. */
async function upgrade(region) {
  const node = mesh.nodes.find((each) => each.region === region);
  const begunAt = performance.now();
  node.process.kill('SIGTERM');
  const { code } = await node.ended;
  assert.equal(code, 0, `${region} ends with ${code}`);
  assert.ok(performance.now() - begunAt < DRAIN_MS, `${region} took ${performance.now() - begunAt} ms`);
  node.start();
  await Promise.all(mesh.nodes.map((each) => each.ready()));
}

test('a node is drained and its people go on in the same page', { timeout: 90_000 }, async () => {
  await say(ann, 'before the move');
  await reads(bob, 'before the move');
  const before = await state(bob, 'ann');
  await Promise.all([ann.page.evaluate(() => window.watchTile('bob')), bob.page.evaluate(() => window.watchTile('ann'))]);
  await upgrade('london');
  assert.notEqual(await nodeOf(ann), 'london');
  await ann.page.waitForTimeout(2_000);
  for (const [guest, other] of [[ann, 'bob'], [bob, 'ann']]) {
    const seen = await guest.page.evaluate(() => window.seen());
    const { told, same } = await state(guest, other);
    console.log(`${guest.name} of ${other}: ${JSON.stringify(seen)}, was told ${JSON.stringify(told)}`);
    assert.ok(same && seen.isThere, 'the page and the element are those of before');
    assert.ok(seen.longestMs < FREEZE_MAX_MS, `${guest.name} sees nothing new of ${other} for ${seen.longestMs} ms`);
    assert.deepEqual(told.filter((words) => /left|joined|interrupted/.test(words)), []);
    assert.equal(await shownColour(guest, other), people[other].colour);
    assert.ok((await heardTone(guest, other, people[other].toneHz)).heard, `${guest.name} hears ${other}`);
  }
  const after = await state(bob, 'ann');
  assert.deepEqual([after.sid, after.camera], [before.sid, before.camera], 'it is the same participant and the same track');
  await say(ann, 'after the move');
  await reads(bob, 'after the move');
  await reads(ann, 'before the move');
});

test('a camera that is off stays published and off, and can be switched on', { timeout: 90_000 }, async () => {
  await ann.page.getByTestId('toggle-camera').click();
  await tile(bob, 'ann').locator('video').waitFor({ state: 'detached' });
  const [before, left] = [await state(bob, 'ann'), await nodeOf(ann)];
  assert.equal(before.muted, true);
  await upgrade(left);
  assert.notEqual(await nodeOf(ann), left);
  await ann.page.waitForTimeout(2_000);
  const after = await state(bob, 'ann');
  assert.deepEqual([after.sid, after.camera, after.muted], [before.sid, before.camera, true]);
  await ann.page.getByTestId('toggle-camera').click();
  await tile(bob, 'ann').locator('video').waitFor();
  await bob.page.waitForTimeout(2_000);
  assert.equal(await shownColour(bob, 'ann'), 'red');
  assert.deepEqual((await state(bob, 'ann')).told.filter((words) => /left|joined/.test(words)), []);
});
