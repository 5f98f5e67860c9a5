// A picture of the call as SVG: how far sound was behind the picture at each beep, and what was done meanwhile.
const WIDTH = 1_000;
const [LEFT, RIGHT, TOP] = [60, 20, 50];
const PANEL = 190;
const GAP = 34;
const LAG_MAX_MS = 100;
const COLOURS = { cat: '#2563eb', fox: '#d97706', pia: '#059669', nod: '#7c3aed' };
const LANES = ['loss', 'screen', 'layer', 'resume'];

/** `pairs` have a receiver, `beeps` and `clocks`, each `[at, lag]`; `goal` is the bound on lags. */
export function plot({ from, to, deeds, pairs, guests, goal }) {
  const x = (at) => LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const text = (left, top, words, colour = '#333', anchor = 'start') =>
    `<text x="${left}" y="${top}" fill="${colour}" font-family="sans-serif" font-size="12" text-anchor="${anchor}">${words}</text>`;
  const panel = (top, title, kind) => {
    const y = (lag) => top + PANEL / 2 - (Math.max(-LAG_MAX_MS, Math.min(LAG_MAX_MS, lag)) / LAG_MAX_MS) * (PANEL / 2);
    const lines = [-LAG_MAX_MS, -goal, 0, goal, LAG_MAX_MS].flatMap((lag) => [
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(lag)}" y2="${y(lag)}" stroke="${Math.abs(lag) === goal ? '#dc2626' : '#ddd'}" stroke-dasharray="${Math.abs(lag) === goal ? '5 4' : 'none'}"/>`,
      text(LEFT - 6, y(lag) + 4, `${lag} ms`, '#333', 'end'),
    ]);
    const dots = pairs.map(({ receiver, [kind]: series }) => {
      const inside = series.filter(([at]) => at >= from && at <= to);
      const path = inside.map(([at, lag]) => `M${x(at).toFixed(1)} ${y(lag).toFixed(1)}h0`).join('');
      return `<path d="${path}" stroke="${COLOURS[receiver]}" stroke-width="3" stroke-linecap="round" opacity="0.55"/>`;
    });
    return [text(LEFT, top - 8, title), ...lines, ...dots];
  };
  const second = TOP + PANEL + GAP;
  const lanesTop = second + PANEL + GAP;
  const lanes = LANES.flatMap((what, index) => {
    const y = lanesTop + index * 18;
    return [text(LEFT - 6, y + 10, what, '#333', 'end'), ...deeds.filter((deed) => deed.what === what).map((deed) => mark(deed, y))];
  });
  function mark({ at, what, how: [who, ...rest] }, y) {
    const on = what === 'loss' ? rest[0] > 0 : rest[0] === true;
    if (what === 'resume') return `<circle cx="${x(at)}" cy="${y + 6}" r="4" fill="${COLOURS[who]}"/>`;
    if (what === 'layer') return `<path d="M${x(at)} ${y + 1}v10" stroke="${COLOURS[who]}" stroke-width="${rest[1] > 0 ? 3 : 1}"/>`;
    if (!on) return '';
    const end = deeds.find((deed) => deed.what === what && deed.at > at && deed.how[0] === who)?.at ?? to;
    return `<rect x="${x(at)}" y="${y + 1}" width="${x(end) - x(at)}" height="10" fill="${COLOURS[who]}" opacity="0.6"/>`;
  }
  const bottom = lanesTop + LANES.length * 18;
  const minutes = Array.from({ length: Math.floor((to - from) / 60_000) + 1 }, (_, minute) =>
    text(x(from + minute * 60_000), bottom + 16, `${minute} min`, '#333', 'middle'),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 26}">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...guests.map(({ name, client }, index) => text(LEFT + 150 * index, 18, `${name}: ${client}`, COLOURS[name])),
    ...panel(TOP, 'sound behind picture at each beep, by who hears and sees it', 'beeps'),
    ...panel(second, 'the same by the browsers’ own account (estimatedPlayoutTimestamp)', 'clocks'),
    ...lanes,
    ...minutes,
    '</svg>\n',
  ].join('\n');
}
