import { describe, expect, it } from 'vitest';
import { nameRegions, pathDetail, pathLabel, regionName } from './region';

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

  it('falls back to the node where the region is unknown', () => {
    expect(pathLabel([hop('n1', '')])).toBe('N1');
    expect(pathLabel([])).toBe('');
  });
});
