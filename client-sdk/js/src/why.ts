// Says in one sentence why a node was chosen. A person reads it in the call; an operator reads it in a bug report.
import type { Lap } from './race.js';
import type { RouteNode } from './route.js';

/** How a candidate came to be tried. */
export type Choice =
  | { kind: 'asked' }
  | { kind: 'fallback'; problem: string }
  | { kind: 'raced'; lap: Lap; laps: Lap[] }
  | { kind: 'ranked' };

/** The sentence for `node`, with those that failed before it. */
export function whyChosen(node: RouteNode, choice: Choice, failed: RouteNode[]): string {
  const sentence = because(node, choice, failed);
  if (failed.length === 0) return sentence;
  return `${failed.map(nameOf).join(' and ')} could not be reached. ${sentence}`;
}

function because(node: RouteNode, choice: Choice, failed: RouteNode[]): string {
  switch (choice.kind) {
    case 'asked':
      return `${nameOf(node)} was asked for.`;
    case 'fallback':
      return `The mesh gave no route (${choice.problem}), so the cluster address itself is used.`;
    case 'ranked':
      return `${nameOf(node)} is next in the ranking of the mesh${quote(node.why)}.`;
    case 'raced':
      return raced(node, choice.lap, choice.laps.filter((lap) => !failed.includes(lap.node)));
  }
}

function raced(node: RouteNode, lap: Lap, laps: Lap[]): string {
  if (lap.rttMs === null) {
    return `No node answered the timing in time; ${nameOf(node)} ranks best in the mesh${quote(node.why)}.`;
  }
  const time = `${nameOf(node)} answered in ${roundMs(lap.rttMs)} ms`;
  if (laps.length === 1) return `${time} and is the only node for this room.`;
  const faster = laps.filter((other) => other.rttMs !== null && other.rttMs < (lap.rttMs ?? 0));
  if (faster.length > 0) return `${time}: about as fast as the fastest, and better ranked by the mesh${quote(node.why)}.`;
  if (lap.rank === 0) return `${time}, the fastest of ${laps.length}, and ranks best in the mesh${quote(node.why)}.`;
  return `${time}, the fastest of ${laps.length}, although the mesh ranked it ${ordinal(lap.rank + 1)}.`;
}

function nameOf(node: RouteNode): string {
  return node.region === '' ? node.id : node.region;
}

function quote(why: string): string {
  return why === '' ? '' : ` (${why.replace(/\.$/, '')})`;
}

/** One digit below 10 ms, where it matters; whole milliseconds above. */
function roundMs(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : Math.round(ms).toString();
}

function ordinal(place: number): string {
  return ['first', 'second', 'third'][place - 1] ?? `${place}th`;
}
