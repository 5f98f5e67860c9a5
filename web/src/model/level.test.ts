import { expect, it } from 'vitest';
import { levelOf, smooth } from './level';

it('silence is nothing and a loud voice is everything', () => {
  expect(levelOf(new Float32Array(64))).toBe(0);
  expect(levelOf(new Float32Array(64).fill(0.5))).toBe(1);
  expect(levelOf(new Float32Array(64).fill(0.016))).toBeCloseTo(0.5, 1);
});

it('a meter rises at once and falls slowly', () => {
  expect(smooth(0.1, 0.9)).toBe(0.9);
  expect(smooth(0.9, 0)).toBeCloseTo(0.79);
});
