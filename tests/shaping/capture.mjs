// A camera whose picture is hard enough to fill the bitrate of every layer, and a microphone that is never silent.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wav } from '../browser/capture.mjs';

const FRAMES = 24;

/** Writes both files, which Chromium plays in a loop; gives their paths and the folder to remove. */
export function writeCapture({ width, height, fps }) {
  const folder = mkdtempSync(join(tmpdir(), 'origo-capture-shaping-'));
  const camera = join(folder, 'camera.y4m');
  const microphone = join(folder, 'microphone.wav');
  writeFileSync(camera, y4m(width, height, fps));
  writeFileSync(microphone, wav(chord, 2));
  return { folder, camera, microphone };
}

/** Waves that move through the picture, and grain that is new in each frame. */
function y4m(width, height, fps) {
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420jpeg\n`)];
  const chroma = Buffer.alloc((width * height) / 2, 128);
  let seed = 1;
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const luma = Buffer.alloc(width * height);
    const phase = (2 * Math.PI * frame) / FRAMES;
    const across = Float32Array.from({ length: width }, (_, x) => 40 * Math.sin(x / 23 + phase));
    for (let row = 0; row < height; row += 1) {
      const down = 40 * Math.sin(row / 17 - 2 * phase);
      for (let column = 0; column < width; column += 1) {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        luma[row * width + column] = 128 + across[column] + down + (seed >>> 28);
      }
    }
    parts.push(Buffer.from('FRAME\n'), luma, chroma);
  }
  return Buffer.concat(parts);
}

/** Three tones that swell and fade one after another; the loop closes without a step. */
function chord(seconds) {
  const tone = (hz, shift) => (0.6 + 0.4 * Math.sin(2 * Math.PI * (seconds + shift))) * Math.sin(2 * Math.PI * hz * seconds);
  return 3_500 * (tone(220, 0) + tone(330, 0.33) + tone(495, 0.66));
}
