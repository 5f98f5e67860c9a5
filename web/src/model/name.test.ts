import { describe, expect, it } from 'vitest';
import { hueOf, identityFor, initials, randomRoom } from './name';

describe('a name', () => {
  it('has initials', () => {
    expect(initials('Ana María Souza')).toBe('AS');
    expect(initials('  zoë ')).toBe('Z');
    expect(initials('')).toBe('?');
    expect(initials('😀 Bo')).toBe('😀B');
  });

  it('becomes an identity of plain letters that is not shared', () => {
    expect(identityFor('José Núñez', () => 0.5)).toMatch(/^jose-nunez-[a-z0-9]{5}$/);
    expect(identityFor('李', () => 0)).toBe('guest-00000');
  });

  it('has the same colour everywhere', () => {
    expect(hueOf('ana-1')).toBe(hueOf('ana-1'));
    expect(hueOf('ana-1')).not.toBe(hueOf('ana-2'));
  });
});

it('a random room can be said aloud', () => {
  expect(randomRoom(() => 0)).toBe('amber-bay-10');
  expect(randomRoom(() => 0.999)).toBe('warm-shore-99');
});
