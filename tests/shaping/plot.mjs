// A picture of one case as SVG: what the line carried, what the node believed, what came, and how high the picture was.
import { rates } from './measure.mjs';

const WIDTH = 900;
const [LEFT, RIGHT, TOP, MIDDLE, BOTTOM] = [60, 20, 40, 300, 420];
const KBPS_MAX = 3_500;
const HEIGHT_MAX = 600;
const COLOURS = { line: '#999', estimate: '#d97706', received: '#2563eb', video: '#059669', height: '#7c3aed' };

/** Draws a case as `runCase` gives it. */
export function plot({ name, side, ran, samples, estimates }) {
  const from = ran[0].from;
  const until = (ran.at(-1).to - from) / 1000;
  const x = (seconds) => LEFT + (seconds / until) * (WIDTH - LEFT - RIGHT);
  const yRate = (kbps) => MIDDLE - (Math.min(kbps, KBPS_MAX) / KBPS_MAX) * (MIDDLE - TOP);
  const yHeight = (height) => BOTTOM - (height / HEIGHT_MAX) * (BOTTOM - MIDDLE - 20);
  const inside = ([seconds]) => seconds >= 0 && seconds <= until;
  const path = (points, y, colour, dash = '') => {
    const shown = points.filter(inside).map(([seconds, value]) => `${x(seconds).toFixed(1)},${y(value).toFixed(1)}`);
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" ${dash} points="${shown.join(' ')}"/>`;
  };
  const line = ran.flatMap((phase) => [
    [(phase.from - from) / 1000, phase.bps ? phase.bps / 1000 : KBPS_MAX],
    [(phase.to - from) / 1000, phase.bps ? phase.bps / 1000 : KBPS_MAX],
  ]);
  const believed = estimates.map(({ at, bps }) => [(at - from) / 1000, bps / 1000]);
  const own = samples.ann.map(({ at, pair }) => [(at - from) / 1000, (pair?.available ?? 0) / 1000]);
  const heights = samples.bob.map(({ at, video }) => [(at - from) / 1000, video?.height ?? 0]);
  const text = (left, top, words, colour = '#333') =>
    `<text x="${left}" y="${top}" fill="${colour}" font-family="sans-serif" font-size="12">${words}</text>`;
  const legend = [
    ['line', 'the line'],
    ['estimate', side === 'bob' ? "the node's estimate" : "the publisher's estimate"],
    ['received', 'received, all'],
    ['video', 'received, picture'],
    ['height', 'height of the picture'],
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${BOTTOM + 30}">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(LEFT, 18, name),
    ...legend.map(([key, words], index) => text(LEFT + 110 + index * 145, 18, words, COLOURS[key])),
    ...[0, 500, 1000, 2000, 3000].flatMap((kbps) => [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${yRate(kbps)}" y2="${yRate(kbps)}" stroke="#eee"/>`,
      text(5, yRate(kbps) + 4, `${kbps / 1000} Mbit/s`),
    ]),
    ...[0, 135, 270, 540].map((height) => text(5, yHeight(height) + 4, `${height} px`)),
    ...ran.map((phase) => text(x((phase.from - from) / 1000) + 4, BOTTOM + 20, phase.name)),
    path(line, yRate, COLOURS.line, 'stroke-dasharray="6 4"'),
    path(side === 'bob' ? believed : own, yRate, COLOURS.estimate),
    path(rates(samples.bob, from, ({ pair }) => pair?.received), yRate, COLOURS.received),
    path(rates(samples.bob, from, ({ video }) => video?.bytes), yRate, COLOURS.video),
    path(heights, yHeight, COLOURS.height),
    '</svg>\n',
  ].join('\n');
}
