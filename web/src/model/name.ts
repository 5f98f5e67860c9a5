// Names of people and rooms.

const QUIET = ['amber', 'bright', 'calm', 'clear', 'gentle', 'golden', 'green', 'lucky', 'quiet', 'silver', 'sunny', 'warm'];
const PLACES = ['bay', 'bridge', 'brook', 'cove', 'field', 'garden', 'harbor', 'hill', 'lagoon', 'meadow', 'orchard', 'shore'];

/** A room name that can be said aloud: `calm-harbor-42`. */
export function randomRoom(random: () => number = Math.random): string {
  const pick = (words: string[]) => words[Math.floor(random() * words.length)];
  return `${pick(QUIET)}-${pick(PLACES)}-${10 + Math.floor(random() * 90)}`;
}

/** An identity that two people of the same name do not share. */
export function identityFor(name: string, random: () => number = Math.random): string {
  const slug = name.normalize('NFD').replaceAll(/\p{M}/gu, '').toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  const tail = Math.floor(random() * 36 ** 5).toString(36).padStart(5, '0');
  return `${slug.replaceAll(/^-+|-+$/g, '').slice(0, 24) || 'guest'}-${tail}`;
}

/** One or two letters for the place of a picture. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter((word) => word !== '');
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? '')][0] ?? '');
  return letters.join('').toUpperCase() || '?';
}

/** A colour for a person, the same on every screen. */
export function hueOf(identity: string): number {
  // FNV-1a, spread over the circle by the golden angle, so that `guest-1` and `guest-2` are far apart.
  let hash = 0x811c9dc5;
  for (const letter of identity) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return Math.round((hash * 137.508) % 360);
}
