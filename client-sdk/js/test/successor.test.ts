import type { RemoteTrack } from 'livekit-client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { adopt, begin, changeOver, dismiss, flows, successorUrl } from '../src/successor.js';
import { FakeElement, FakeRemote, FakeRoom, FakeSource } from './rooms.js';

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('document', { createElement: () => new FakeElement(), body: { append: () => undefined } });
  vi.stubGlobal('HTMLVideoElement', class {});
  vi.stubGlobal('MediaStream', class {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('successorUrl', () => {
  it('says that a client can open a successor, and of which session the new one is it', () => {
    expect(successorUrl('https://a.test')).toBe('wss://a.test?origo_successor=1');
    expect(successorUrl('wss://a.test/', 'PA_x')).toMatch(/^wss:\/\/a\.test\/?\?origo_successor=PA_x$/);
  });
});

describe('begin', () => {
  it('connects as the successor and publishes what the old session does, muted where that is', async () => {
    const [old, now] = [new FakeRoom('PA_ann'), new FakeRoom('PA_ann')];
    old.publishes(new FakeSource('audio'), { muted: true, name: 'voice' });
    old.publishes(new FakeSource('video'));
    const begun = begin(old.asRoom(), now.asRoom(), 'wss://b.test', 't', {});
    await pass(100);
    await begun;
    expect(now.deeds).toEqual([['connect', 'wss://b.test?origo_successor=PA_ann', 't']]);
    const told = now.published.map(({ copy, options }) => [copy.kind, copy.isMuted, options['source'], options['name']]);
    expect(told).toEqual(expect.arrayContaining([
      ['audio', true, 'microphone', 'voice'],
      ['video', false, 'camera', ''],
    ]));
    expect(now.published.every(({ options }) => options['simulcast'] === true)).toBe(true);
  });

  it('publishes a muted camera, which the SDK has let go, and not one that has ended', async () => {
    const [old, now] = [new FakeRoom('PA_ann'), new FakeRoom('PA_ann')];
    const [camera, unplugged] = [new FakeSource('video', 'camera'), new FakeSource('audio', 'unplugged')];
    camera.stop();
    unplugged.stop();
    old.publishes(camera, { muted: true });
    old.publishes(unplugged);
    const begun = begin(old.asRoom(), now.asRoom(), 'wss://b.test', 't', {});
    await pass(100);
    await begun;
    expect(now.published.map(({ copy }) => [copy.kind, copy.isMuted])).toEqual([['video', true]]);
  });

  it('leaves out what the application did not want', async () => {
    const [old, now] = [new FakeRoom('PA_ann'), new FakeRoom('PA_ann')];
    old.has('bob', new FakeRemote('TR_1')).isDesired = false;
    old.has('bob', new FakeRemote('TR_2'));
    const [unwanted, wanted] = [now.has('bob', new FakeRemote('TR_1')), now.has('bob', new FakeRemote('TR_2'))];
    await begin(old.asRoom(), now.asRoom(), 'wss://b.test', 't', {});
    expect([unwanted.subscribed, wanted.subscribed]).toEqual([false, null]);
  });
});

describe('flows', () => {
  /** A room in which bob is heard and a successor that is yet to hear him. */
  function pair() {
    const [old, now] = [new FakeRoom('PA_ann'), new FakeRoom('PA_ann')];
    return { old, now, before: old.has('bob', new FakeRemote('TR_1')), after: now.has('bob', new FakeRemote('TR_1')) };
  }

  it('waits until what the old session gets comes in the new one', async () => {
    const { old, now, after } = pair();
    let pairs: unknown[] | null = null;
    void flows(old.asRoom(), now.asRoom()).then((found) => (pairs = found));
    await pass(1_000);
    expect(pairs).toBeNull();
    after.packets = 5;
    await pass(50);
    expect(pairs).toHaveLength(1);
  });

  it('does not wait for what is muted, or shown nowhere', async () => {
    const { old, now, before } = pair();
    before.isMuted = true;
    old.has('bob', new FakeRemote('TR_2', 'video'));
    now.has('bob', new FakeRemote('TR_2', 'video'));
    const found = flows(old.asRoom(), now.asRoom());
    await pass(50);
    expect(await found).toEqual([]);
  });

  it('gives up when something does not come', async () => {
    const { old, now } = pair();
    const failed = flows(old.asRoom(), now.asRoom()).catch((error: unknown) => error);
    await pass(6_100);
    expect(await failed).toMatchObject({ code: 'unreachable' });
  });
});

describe('elements', () => {
  it('change over to the new tracks, sound without a gap and without being heard twice', async () => {
    const [old, now] = [new FakeRemote('TR_1').track!, new FakeRemote('TR_1').track!];
    const [heard, stage] = [new FakeElement(), new FakeElement()];
    old.attach(heard);
    heard.volume = 0.5;
    now.attach(stage);
    stage.muted = true;
    changeOver([{ old, now, stage } as unknown as { old: RemoteTrack; now: RemoteTrack; stage: HTMLMediaElement }]);
    expect([stage.muted, stage.volume, heard.muted, heard.srcObject]).toEqual([false, 0.5, true, now]);
    expect(old.attachedElements).toEqual([]);
    await pass(600);
    expect([heard.muted, stage.gone, now.attachedElements]).toEqual([false, true, [heard]]);
  });

  it('of a dead session go over as soon as the new track is there', () => {
    const [old, now] = [new FakeRoom('PA_ann'), new FakeRoom('PA_ann')];
    const element = new FakeElement();
    old.has('bob', new FakeRemote('TR_1')).track!.attach(element);
    adopt(old.asRoom(), now.asRoom());
    const fresh = now.has('bob', new FakeRemote('TR_1'));
    now.emit('trackSubscribed', fresh.track, fresh);
    expect(element.srcObject).toBe(fresh.track);
  });

  it('wait for those who are back later, whatever the session that has ended lets go', () => {
    const [old, now] = [new FakeRoom('PA_ann'), new FakeRoom('PA_ann')];
    const element = new FakeElement();
    const before = old.has('bob', new FakeRemote('TR_1')).track!;
    before.attach(element);
    const keep = adopt(old.asRoom(), now.asRoom());
    keep();
    expect(before.attachedElements).toEqual([]);
    old.remoteParticipants.clear();
    const fresh = now.has('bob', new FakeRemote('TR_1'));
    now.emit('trackSubscribed', fresh.track, fresh);
    expect(element.srcObject).toBe(fresh.track);
    // A track that ends and comes again finds them taken.
    const again = now.has('bob', new FakeRemote('TR_1'));
    now.emit('trackSubscribed', again.track, again);
    expect(element.srcObject).toBe(fresh.track);
  });

  it('that were only to see whether something flows are taken away', () => {
    const { track } = new FakeRemote('TR_1');
    const stage = new FakeElement();
    track!.attach(stage);
    dismiss([{ old: track, now: track, stage } as unknown as { old: RemoteTrack; now: RemoteTrack; stage: HTMLMediaElement }]);
    expect([stage.gone, track!.attachedElements]).toEqual([true, []]);
  });
});
