// The fake camera and microphone of a page: a picture of one colour with a moving bar, and a tone that is switched on
// and off, so that neither the encoder nor the noise suppression takes it for nothing.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const WIDTH = 640;
const HEIGHT = 360;
const FPS = 30;
const BAR_WIDTH = 20;
const SAMPLE_RATE = 48_000;

/** Colours as YUV, far from each other in hue. */
export const COLOURS = {
  red: [82, 90, 240],
  green: [145, 54, 34],
  blue: [41, 240, 110],
};

/** Writes both files, which Chromium plays in a loop; gives their paths. */
export function writeCapture(name, colour, toneHz) {
  const folder = mkdtempSync(join(tmpdir(), `origo-capture-${name}-`));
  const camera = join(folder, 'camera.y4m');
  const microphone = join(folder, 'microphone.wav');
  writeFileSync(camera, y4m(COLOURS[colour]));
  writeFileSync(microphone, wav(beeps(toneHz), 1));
  return { folder, camera, microphone };
}

/** One second of picture: the colour, and a bright bar that moves from left to right. */
function y4m([y, u, v]) {
  const parts = [Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F${FPS}:1 Ip A1:1 C420jpeg\n`)];
  const chroma = Buffer.concat([Buffer.alloc((WIDTH * HEIGHT) / 4, u), Buffer.alloc((WIDTH * HEIGHT) / 4, v)]);
  for (let frame = 0; frame < FPS; frame += 1) {
    const luma = Buffer.alloc(WIDTH * HEIGHT, y);
    const left = Math.floor((frame * WIDTH) / FPS);
    for (let row = 0; row < HEIGHT; row += 1) luma.fill(220, row * WIDTH + left, row * WIDTH + left + BAR_WIDTH);
    parts.push(Buffer.from('FRAME\n'), luma, chroma);
  }
  return Buffer.concat(parts);
}

/** 300 ms of tone, 200 ms of silence, again and again. */
function beeps(toneHz) {
  return (seconds) => (seconds % 0.5 < 0.3 ? 12_000 * Math.sin(2 * Math.PI * toneHz * seconds) : 0);
}

/** Some seconds of sound: `sample` gives each by its time, within 16 bits. */
export function wav(sample, seconds) {
  const samples = Buffer.alloc(SAMPLE_RATE * seconds * 2);
  for (let index = 0; index < SAMPLE_RATE * seconds; index += 1) {
    samples.writeInt16LE(Math.round(sample(index / SAMPLE_RATE)), index * 2);
  }
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(SAMPLE_RATE, 24);
  header.writeUInt32LE(SAMPLE_RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}
