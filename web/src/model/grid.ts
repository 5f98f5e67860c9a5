// Lays equal tiles into a rectangle so that they are as large as they can be.

export interface Grid {
  columns: number;
  rows: number;
  tileWidth: number;
  tileHeight: number;
}

export interface Box {
  width: number;
  height: number;
}

/** As wide as cameras are. */
const ASPECT_MAX = 16 / 9;
/** A camera picture that is cut narrower than this loses people at its sides. */
const ASPECT_MIN = 4 / 3;
/** On an upright screen tiles may be upright as well: most pictures are of one face then. */
const ASPECT_MIN_UPRIGHT = 0.6;
/** Below this width a face and a name cannot be told any more. */
export const TILE_WIDTH_MIN = 140;

/** The column count that gives the largest tiles; fewer columns when two are equal. */
export function layoutGrid(count: number, box: Box, gap: number): Grid {
  let best: Grid = { columns: 0, rows: 0, tileWidth: 0, tileHeight: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const grid = withColumns(columns, count, box, gap);
    if (areaOf(grid) > areaOf(best) * 1.001) best = grid;
  }
  return best;
}

/** How many tiles a page shows: as many as keep their minimal width. */
export function pageSize(count: number, box: Box, gap: number): number {
  let size = count;
  while (size > 1 && layoutGrid(size, box, gap).tileWidth < TILE_WIDTH_MIN) size -= 1;
  return Math.max(1, size);
}

/** The part of `items` on `page`, with the page brought into range. */
export function pageOf<T>(items: T[], page: number, size: number): { items: T[]; page: number; pages: number } {
  const pages = Math.max(1, Math.ceil(items.length / size));
  const shown = Math.min(Math.max(0, page), pages - 1);
  return { items: items.slice(shown * size, (shown + 1) * size), page: shown, pages };
}

function withColumns(columns: number, count: number, box: Box, gap: number): Grid {
  const rows = Math.ceil(count / columns);
  const cellWidth = (box.width - gap * (columns - 1)) / columns;
  const cellHeight = (box.height - gap * (rows - 1)) / rows;
  if (cellWidth <= 0 || cellHeight <= 0) return { columns, rows, tileWidth: 0, tileHeight: 0 };
  const aspectMin = box.height > box.width ? ASPECT_MIN_UPRIGHT : ASPECT_MIN;
  const aspect = Math.min(ASPECT_MAX, Math.max(aspectMin, cellWidth / cellHeight));
  const tileWidth = Math.min(cellWidth, cellHeight * aspect);
  return { columns, rows, tileWidth: Math.floor(tileWidth), tileHeight: Math.floor(tileWidth / aspect) };
}

function areaOf(grid: Grid): number {
  return grid.tileWidth * grid.tileHeight;
}
