// How loud a microphone is, on a scale that a meter can show.

/** Below this a room is silent, above the other a voice is loud (dB of full scale). */
const SILENT_DB = -60;
const LOUD_DB = -12;

/** The loudness of samples (-1..1) as 0..1, in steps that sound even. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  const db = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.min(1, Math.max(0, (db - SILENT_DB) / (LOUD_DB - SILENT_DB)));
}

/** Rises at once and falls slowly, as meters do. */
export function smooth(shown: number, level: number): number {
  return level > shown ? level : shown * 0.88 + level * 0.12;
}
