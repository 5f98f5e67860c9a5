// Figures as people read them.

export function distanceText(km: number | null): string {
  if (km === null) return '';
  if (km < 1) return 'right here';
  return `${Math.round(km).toLocaleString('en')} km`;
}

export function rttText(ms: number | null): string {
  if (ms === null) return '';
  return ms < 1 ? '< 1 ms' : `${Math.round(ms)} ms`;
}

/** A node's load, 0 to 1, in a word. */
export function loadText(load: number | null): string {
  if (load === null) return '';
  if (load < 0.5) return 'quiet';
  return load < 0.8 ? 'busy' : 'nearly full';
}

/** `1:02:03` or `4:05`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (figure: number) => figure.toString().padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
