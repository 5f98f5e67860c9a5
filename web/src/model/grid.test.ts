import { describe, expect, it } from 'vitest';
import { layoutGrid, pageOf, pageSize } from './grid';

const desktop = { width: 1400, height: 760 };
const phone = { width: 374, height: 640 };

describe('the grid', () => {
  it('gives one tile the whole height', () => {
    expect(layoutGrid(1, desktop, 12)).toEqual({ columns: 1, rows: 1, tileWidth: 1351, tileHeight: 760 });
  });

  it('puts two side by side on a desk and above each other on a phone', () => {
    expect(layoutGrid(2, desktop, 12)).toMatchObject({ columns: 2, rows: 1 });
    expect(layoutGrid(2, phone, 8)).toMatchObject({ columns: 1, rows: 2 });
  });

  it('fills a phone with four in two columns', () => {
    expect(layoutGrid(4, phone, 8)).toMatchObject({ columns: 2, rows: 2 });
  });

  it('never exceeds the box', () => {
    for (let count = 1; count <= 49; count += 1) {
      for (const box of [desktop, phone]) {
        const grid = layoutGrid(count, box, 8);
        expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
        expect(grid.tileWidth * grid.columns + 8 * (grid.columns - 1)).toBeLessThanOrEqual(box.width);
        expect(grid.tileHeight * grid.rows + 8 * (grid.rows - 1)).toBeLessThanOrEqual(box.height);
      }
    }
  });

  it('is empty in a box without room', () => {
    expect(layoutGrid(3, { width: 0, height: 0 }, 8)).toMatchObject({ tileWidth: 0, tileHeight: 0 });
  });
});

describe('the pages', () => {
  it('show everybody while faces can be told', () => {
    expect(pageSize(9, desktop, 12)).toBe(9);
    expect(pageSize(40, phone, 8)).toBeLessThanOrEqual(12);
  });

  it('stay in range when people leave', () => {
    expect(pageOf([1, 2, 3, 4, 5], 7, 2)).toEqual({ items: [5], page: 2, pages: 3 });
    expect(pageOf([], 0, 4)).toEqual({ items: [], page: 0, pages: 1 });
  });
});
