import { expect, it } from 'vitest';
import { distanceText, durationText, loadText, rttText } from './figures';

it('figures are read with their unit, and unknown ones are left out', () => {
  expect(distanceText(9871.4)).toBe('9,871 km');
  expect(distanceText(0.2)).toBe('right here');
  expect(distanceText(null)).toBe('');
  expect(rttText(0.4)).toBe('< 1 ms');
  expect(rttText(12.6)).toBe('13 ms');
  expect(loadText(0.1)).toBe('quiet');
  expect(loadText(0.9)).toBe('nearly full');
});

it('a duration has hours only when it needs them', () => {
  expect(durationText(65_000)).toBe('1:05');
  expect(durationText(3_723_000)).toBe('1:02:03');
});
