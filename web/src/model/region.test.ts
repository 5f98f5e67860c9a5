import { describe, expect, it } from 'vitest';
import { nameRegions, pathDetail, pathHurts, pathLabel, regionName } from './region';

describe('a region', () => {
  it.each([
    ['sao-paulo', 'São Paulo'], ['fra', 'Frankfurt'], ['fra1', 'Frankfurt'], ['gru-2', 'São Paulo'],
    ['eu-west', 'EU West'], ['us_east_1', 'US East 1'], ['frankfurt', 'Frankfurt'], ['', ''],
  ])('%s is read as "%s"', (region, name) => {
    expect(regionName(region)).toBe(name);
  });
});

it('a sentence has its regions read as names, and only whole ones', () => {
  expect(nameRegions('fra answered, far from eu-west and eu-west-2.', ['fra', 'eu-west', ''])).toBe(
    'Frankfurt answered, far from EU West and eu-west-2.',
  );
});

describe('a path', () => {
  const hop = (node: string, region: string) => ({ node, region });

  it('is the places from the publisher to here', () => {
    expect(pathLabel([hop('a', 'frankfurt'), hop('b', 'sao-paulo')])).toBe('Frankfurt → São Paulo');
  });

  it('names a region once when two of its nodes are neighbours', () => {
    expect(pathLabel([hop('a', 'fra'), hop('b', 'fra'), hop('c', 'gru')])).toBe('Frankfurt → São Paulo');
  });

  it('is one place when both sit at the same node', () => {
    expect(pathLabel([hop('a', 'fra')])).toBe('Frankfurt');
    expect(pathDetail([hop('a', 'fra')])).toBe('Served by Frankfurt (a)');
  });

  const link = (lossPercent: number | null, lostPercent: number | null) => ({
    fromRegion: 'fra', toRegion: 'iad', delayMs: 45.6, jitterMs: lossPercent === null ? null : 1.2,
    queueMs: lossPercent === null ? null : 0.2, lossPercent, lostPercent,
  });

  it('has the figures of each link in its details', () => {
    const hops = [hop('a', 'fra'), hop('b', 'iad')];
    expect(pathDetail(hops, [link(2, 0.1)])).toBe(
      'Media path: Frankfurt (a) → Virginia (b)\n' +
        'Frankfurt → Virginia: 46 ms, jitter 1 ms, lost 2 % (0.1 % after repair)',
    );
    expect(pathDetail(hops, [link(null, null)])).toContain('Frankfurt → Virginia: 46 ms');
    expect(pathDetail(hops, [{ ...link(null, null), delayMs: null }])).toContain('not measured yet');
  });

  it('says in plain words which link hurts, and nothing while all is well', () => {
    const path = { hops: [hop('a', 'fra'), hop('b', 'iad')], links: [link(2, 0)], delayMs: 46, hurts: null };
    expect(pathHurts(path)).toBeNull();
    const hurts = { hop: 0, why: 'the link fra - iad lost 2 %, repaired' };
    expect(pathHurts({ ...path, hurts })).toBe('the link Frankfurt - Virginia lost 2 %, repaired');
  });

  it('falls back to the node where the region is unknown', () => {
    expect(pathLabel([hop('n1', '')])).toBe('N1');
    expect(pathLabel([])).toBe('');
  });
});
