// Names of regions and paths as people read them. Operators name regions freely; well-known codes become cities.
import type { Hop, Link, Path } from '@origo/client';

const CITIES: Record<string, string> = {
  ams: 'Amsterdam', arn: 'Stockholm', bom: 'Mumbai', cdg: 'Paris', cpt: 'Cape Town', dub: 'Dublin', ewr: 'New York',
  fra: 'Frankfurt', gru: 'São Paulo', hkg: 'Hong Kong', iad: 'Virginia', icn: 'Seoul', jnb: 'Johannesburg',
  lax: 'Los Angeles', lhr: 'London', mad: 'Madrid', mia: 'Miami', nrt: 'Tokyo', ord: 'Chicago', scl: 'Santiago',
  sea: 'Seattle', sfo: 'San Francisco', sin: 'Singapore', sjc: 'San José', syd: 'Sydney', waw: 'Warsaw', yyz: 'Toronto',
  'sao-paulo': 'São Paulo', saopaulo: 'São Paulo', zurich: 'Zürich', bogota: 'Bogotá',
};

/** Parts that are read as letters, not as words. */
const LETTERS = new Set(['eu', 'us', 'uk', 'ap', 'sa', 'na', 'me', 'af', 'uae']);

/** `sao-paulo` becomes "São Paulo", `eu-west` "EU West", `fra1` "Frankfurt". */
export function regionName(region: string): string {
  const code = region.trim().toLowerCase().replaceAll(/[_\s]+/g, '-');
  const city = CITIES[code] ?? CITIES[code.replace(/-?\d+$/, '')];
  if (city !== undefined) return city;
  return code
    .split('-')
    .filter((part) => part !== '')
    .map((part) => (LETTERS.has(part) ? part.toUpperCase() : part.charAt(0).toUpperCase() + part.slice(1)))
    .join(' ');
}

/** "Frankfurt → São Paulo". Neighbouring hops in one region are one place. */
export function pathLabel(hops: Hop[]): string {
  return placesOf(hops).map(regionName).join(' → ');
}

/** The path with its nodes and the figures of its links, for a tooltip. */
export function pathDetail(hops: Hop[], links: Link[] = []): string {
  if (hops.length === 0) return 'The path is not known yet';
  const names = hops.map((hop) => `${regionName(hop.region)} (${hop.node})`);
  const path = names.length === 1 ? `Served by ${names[0]}` : `Media path: ${names.join(' → ')}`;
  return [path, ...links.map(linkDetail)].join('\n');
}

/** "Frankfurt → São Paulo: 104 ms, jitter 1 ms, lost 2 % (0 % after repair)". */
function linkDetail(link: Link): string {
  const figures: string[] = [];
  if (link.delayMs !== null) figures.push(`${Math.round(link.delayMs)} ms`);
  if (link.jitterMs !== null) figures.push(`jitter ${Math.round(link.jitterMs)} ms`);
  if (link.queueMs !== null && link.queueMs >= 1) figures.push(`queue ${Math.round(link.queueMs)} ms`);
  if (link.lossPercent !== null) figures.push(`lost ${link.lossPercent} % (${link.lostPercent ?? 0} % after repair)`);
  const ends = `${regionName(link.fromRegion)} → ${regionName(link.toRegion)}`;
  return `${ends}: ${figures.join(', ') || 'not measured yet'}`;
}

/** What hurts on a path, in plain words; null when all is well. */
export function pathHurts(path: Path): string | null {
  return path.hurts === null ? null : nameRegions(path.hurts.why, path.hops.map((hop) => hop.region));
}

/** A sentence of the mesh or the SDK, with the regions in it as people read them. */
export function nameRegions(sentence: string, regions: string[]): string {
  const known = [...new Set(regions)].filter((region) => region !== '').sort((a, b) => b.length - a.length);
  if (known.length === 0) return sentence;
  const codes = known.map((region) => region.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  return sentence.replaceAll(new RegExp(`(?<![\\w-])(?:${codes})(?![\\w-])`, 'g'), regionName);
}

/** The regions of a path in order, without repetitions. */
export function placesOf(hops: Hop[]): string[] {
  return hops.map((hop) => hop.region || hop.node).filter((place, index, all) => place !== all[index - 1]);
}
