// A picture that can be checked after it was decoded: black and white blocks, all of which follow from the number of the
// frame and from whose picture it is. Runs in Node.js and, injected as text, in pages.

/**
 * Blocks, and how many pixels they are across: whole macroblocks, and in a camera with two layers also at half the size.
 * Browsers make no second layer of a picture that is much smaller.
 */
export const COLUMNS = 16;
export const ROWS = 9;
export const BLOCK = 32;
export const SMALL_BLOCK = 16;
/** Frames a second; the sound has a beep at each whole second of the same clock. */
export const FPS = 8;
const MASK = 0xffff;
/** A row of the middle keeps its blocks for so many frames; the rows change one after the other. */
const KEPT_BITS = 3;

/** The blocks of a row, a bit each, of frame `n` of the picture `seed`. */
export function rowOf(seed, n, row) {
  if (row === 0) return n & MASK;
  // The number once more: a picture whose upper part is of another frame than its lower part is found by it.
  if (row === ROWS - 1) return ~n & MASK;
  let mixed = Math.imul(((n & MASK) + row) >> KEPT_BITS, 0x9e3779b1) ^ Math.imul(seed * ROWS + row + 1, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 13)) & MASK;
}

/** Whether a block is white. */
export function isWhite(bits, column) {
  return ((bits >> (COLUMNS - 1 - column)) & 1) === 1;
}

/** Reads a picture whose brightness at a block is `bright(row, column)`; gives the frame's number and its wrong blocks. */
export function check(seed, bright) {
  const seen = Array.from({ length: ROWS }, (_, row) => {
    let bits = 0;
    for (let column = 0; column < COLUMNS; column += 1) bits = (bits << 1) | (bright(row, column) > 128 ? 1 : 0);
    return bits;
  });
  const n = seen[0];
  let wrong = 0;
  for (let row = 1; row < ROWS; row += 1) {
    for (let rest = seen[row] ^ rowOf(seed, n, row); rest !== 0; rest &= rest - 1) wrong += 1;
  }
  return { n, wrong };
}

/** Whose picture it is, if it is whole and not the one of `seed`: what a section showed before it was used again. */
export function whoseElse(seeds, seed, bright) {
  const others = Object.entries(seeds).filter(([, other]) => other !== seed);
  return others.find(([, other]) => check(other, bright).wrong === 0)?.[0];
}

/** The plane of brightness of a frame whose blocks are that large. */
export function luma(seed, n, block) {
  const width = COLUMNS * block;
  const plane = new Uint8Array(width * ROWS * block);
  for (let row = 0; row < ROWS; row += 1) {
    const bits = rowOf(seed, n, row);
    const line = new Uint8Array(width).fill(16);
    for (let column = 0; column < COLUMNS; column += 1) {
      if (isWhite(bits, column)) line.fill(235, column * block, (column + 1) * block);
    }
    for (let y = 0; y < block; y += 1) plane.set(line, (row * block + y) * width);
  }
  return plane;
}
