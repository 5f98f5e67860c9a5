//! A map of the world with the nodes, the trees between them, and how much the links carry.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::figure::{bytes, figure, rate};
use super::page::escape;
use crate::outcome::{NodeOutcome, Outcome};

/// Coasts as an SVG path in degrees, x to the east and y to the south; see `data/README.md`.
const LAND: &str = include_str!("../../data/land.path");

/// Names are written while there are this few nodes; beyond, they only overlap.
const NAMES_MAX: usize = 40;
/// Trees that can be looked at alone.
const TREES_MAX: usize = 60;
/// Steps of load, each twice the one before.
const LOADS: usize = 5;
/// Width of the whole world, in degrees; sizes of what is drawn are told for it and scaled with the view.
const WORLD: f64 = 360.0;

/// The part of the world that is shown, in degrees with y to the south.
struct View {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl View {
    /// The smallest view of a fixed shape with all nodes and room around them.
    fn around(nodes: &[NodeOutcome]) -> Self {
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (west, east) = ends(&mut nodes.iter().map(|node| node.longitude));
        let (north, south) = ends(&mut nodes.iter().map(|node| -node.latitude));
        let width = ((east - west) + 36.0).max(((south - north) + 26.0) * 2.4).max(70.0);
        if width >= 250.0 || nodes.is_empty() {
            return Self { x: -180.0, y: -82.0, width: WORLD, height: 142.0 };
        }
        let height = width / 2.4;
        let x = ((west + east - width) / 2.0).clamp(-180.0, 180.0 - width);
        let y = ((north + south - height) / 2.0).clamp(-86.0, 62.0 - height);
        Self { x, y, width, height }
    }
}

/// What a pair of nodes carries.
#[derive(Default)]
struct Carried {
    /// Layers, summed over trees.
    layers: u64,
    /// By tree: its number and its layers.
    trees: Vec<(usize, u64)>,
}

/// The map with its legend, and a choice of trees when there are several.
pub fn map(outcome: &Outcome) -> String {
    let most = busiest(outcome);
    format!("{}{}{}", choice(outcome), picture(outcome), legend(most))
}

/// The map alone.
pub fn picture(outcome: &Outcome) -> String {
    let most = busiest(outcome);
    let view = View::around(&outcome.nodes);
    let unit = view.width / WORLD;
    let places: BTreeMap<&str, &NodeOutcome> = outcome.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    let (loads, carried) = (loads(outcome), carried(outcome));

    let mut svg = format!(
        "<svg class=map viewBox=\"{:.1} {:.1} {:.1} {:.1}\" role=img aria-label=\"map of nodes and trees\" style=\"--u:{unit:.4}\">",
        view.x, view.y, view.width, view.height
    );
    svg += &graticule();
    let _ = write!(svg, "<path class=land d=\"{}\"/>", LAND.trim_end().replace('\n', ""));
    // Reports cross every link; those alone are not worth a line.
    let asides = outcome.links.iter().filter(|link| link.payload_bytes > 0).map(|link| (&link.from[..], &link.to[..]));
    for (from, to) in asides.filter(|pair| !carried.contains_key(pair)) {
        let load = loads.get(&(from, to)).copied().unwrap_or(0.0);
        let (Some(a), Some(b)) = (places.get(from), places.get(to)) else { continue };
        let title = escape(&format!("{from} → {to}: {}, no tree's edge at the end", rate(load)));
        let _ = write!(svg, "<g class=aside>{}<title>{title}</title></g>", curve(a, b, unit, 0.6));
    }
    for ((from, to), what) in &carried {
        let (Some(a), Some(b)) = (places.get(from), places.get(to)) else { continue };
        svg += &edge((a, b), what, loads.get(&(*from, *to)).copied().unwrap_or(0.0), most, unit);
    }
    for node in &outcome.nodes {
        svg += &dot(node, outcome, unit);
    }
    if outcome.nodes.len() <= NAMES_MAX {
        svg += &names(&outcome.nodes, unit);
    }
    format!("<figure>{svg}</svg></figure>")
}

/// Bits per second by (from, to), over the whole run.
fn loads(outcome: &Outcome) -> BTreeMap<(&str, &str), f64> {
    let seconds = outcome.duration_s.max(1e-9);
    let links = outcome.links.iter();
    links.map(|link| ((link.from.as_str(), link.to.as_str()), link.bytes as f64 * 8.0 / seconds)).collect()
}

/// The highest load of an edge.
fn busiest(outcome: &Outcome) -> f64 {
    let (loads, carried) = (loads(outcome), carried(outcome));
    carried.keys().filter_map(|pair| loads.get(pair)).fold(0.0, |most: f64, load| most.max(*load))
}

fn carried(outcome: &Outcome) -> BTreeMap<(&str, &str), Carried> {
    let mut carried: BTreeMap<(&str, &str), Carried> = BTreeMap::new();
    for (at, tree) in outcome.trees.iter().enumerate() {
        for (parent, child, layers, _) in &tree.edges {
            let pair = carried.entry((parent, child)).or_default();
            pair.layers += layers;
            pair.trees.push((at, *layers));
        }
    }
    carried
}

fn graticule() -> String {
    let mut path = String::new();
    for longitude in (-180..=180).step_by(30) {
        let _ = write!(path, "M{longitude} -85V85");
    }
    for latitude in (-60..=60).step_by(30) {
        let _ = write!(path, "M-180 {latitude}H180");
    }
    format!("<path class=graticule d=\"{path}\"/>")
}

fn edge((a, b): (&NodeOutcome, &NodeOutcome), what: &Carried, load: f64, most: f64, unit: f64) -> String {
    let step = step(load, most);
    let width = 0.7 + 0.35 * step as f64;
    let trees: String = what.trees.iter().filter(|(at, _)| *at < TREES_MAX).map(|(at, _)| format!(" t{at}")).collect();
    let few = what.trees.len();
    let title = format!(
        "{} → {}: {} layers of {} {}, {}",
        a.name,
        b.name,
        figure(what.layers as f64),
        few,
        if few == 1 { "tree" } else { "trees" },
        rate(load)
    );
    let (curve, head) = (curve(a, b, unit, width), head(a, b, unit, width));
    format!("<g class=\"edge l{step}{trees}\">{curve}{head}<title>{}</title></g>", escape(&title))
}

fn step(load: f64, most: f64) -> usize {
    if load <= 0.0 || most <= 0.0 {
        return 0;
    }
    (LOADS as f64 - 1.0 + (load / most).log2().ceil()).clamp(0.0, LOADS as f64 - 1.0) as usize
}

/// Where a node is drawn seen from another one: to the east or west of the world where that is nearer.
fn near(from: &NodeOutcome, to: &NodeOutcome) -> f64 {
    let turns = ((from.longitude - to.longitude) / WORLD).round();
    to.longitude + WORLD * turns
}

/// Start, bend and end of an edge. Edges bend to their right, so that both directions of a pair are seen.
fn bend(a: &NodeOutcome, b: &NodeOutcome) -> [(f64, f64); 3] {
    let (from, to) = ((a.longitude, -a.latitude), (near(a, b), -b.latitude));
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let middle = ((from.0 + to.0) / 2.0 + 0.14 * dy, (from.1 + to.1) / 2.0 - 0.14 * dx);
    [from, middle, to]
}

fn curve(a: &NodeOutcome, b: &NodeOutcome, unit: f64, width: f64) -> String {
    let [from, bend, to] = bend(a, b);
    let width = width * unit;
    let draw = |shift: f64| {
        format!(
            "<path stroke-width={width:.3} d=\"M{:.2} {:.2}Q{:.2} {:.2} {:.2} {:.2}\"/>",
            from.0 + shift,
            from.1,
            bend.0 + shift,
            bend.1,
            to.0 + shift,
            to.1
        )
    };
    // What leaves the map on one side comes back on the other one.
    let back = if to.0 > 180.0 {
        draw(-WORLD)
    } else if to.0 < -180.0 {
        draw(WORLD)
    } else {
        String::new()
    };
    draw(0.0) + &back
}

/// The arrow's head, at two thirds of the way, where few edges meet.
fn head(a: &NodeOutcome, b: &NodeOutcome, unit: f64, width: f64) -> String {
    let [from, bend, to] = bend(a, b);
    let t = 0.64;
    let at = |p: f64, q: f64, r: f64| (1.0 - t) * (1.0 - t) * p + 2.0 * t * (1.0 - t) * q + t * t * r;
    let (x, y) = (at(from.0, bend.0, to.0), at(from.1, bend.1, to.1));
    let slope = |p: f64, q: f64, r: f64| (1.0 - t) * (q - p) + t * (r - q);
    let (dx, dy) = (slope(from.0, bend.0, to.0), slope(from.1, bend.1, to.1));
    let length = dx.hypot(dy);
    if length < 2.0 * unit {
        return String::new();
    }
    let size = (1.3 + 0.7 * width) * unit;
    let (dx, dy) = (dx / length * size, dy / length * size);
    let x = if x > 180.0 {
        x - WORLD
    } else if x < -180.0 {
        x + WORLD
    } else {
        x
    };
    format!(
        "<path class=head d=\"M{:.2} {:.2}L{:.2} {:.2}L{:.2} {:.2}Z\"/>",
        x + dx,
        y + dy,
        x - 0.7 * dx + 0.7 * dy,
        y - 0.7 * dy - 0.7 * dx,
        x - 0.7 * dx - 0.7 * dy,
        y - 0.7 * dy + 0.7 * dx
    )
}

fn dot(node: &NodeOutcome, outcome: &Outcome, unit: f64) -> String {
    let most = outcome.nodes.iter().map(|node| node.bytes_out).max().unwrap_or(0).max(1);
    let radius = (1.3 + 1.9 * (node.bytes_out as f64 / most as f64).sqrt()) * unit;
    let title =
        escape(&format!("{} ({}): sent {} to other nodes", node.name, node.region, bytes(node.bytes_out as f64)));
    let origin = outcome.trees.iter().any(|tree| tree.origin == node.name);
    let class = if origin { "node origin" } else { "node" };
    let (x, y) = (node.longitude, -node.latitude);
    format!("<circle class=\"{class}\" cx={x:.2} cy={y:.2} r={radius:.2}><title>{title}</title></circle>")
}

/// Names beside the dots, each where it touches the fewest names before it.
fn names(nodes: &[NodeOutcome], unit: f64) -> String {
    let (size, gap) = (3.4 * unit, 3.6 * unit);
    let mut taken: Vec<[f64; 4]> = nodes.iter().map(|node| square(node, 1.6 * unit)).collect();
    let mut out = String::new();
    for node in nodes {
        let (x, y) = (node.longitude, -node.latitude);
        let width = node.name.chars().count() as f64 * size * 0.56;
        let choices = [
            (x + gap, y + size * 0.35, "start", [x + gap, y - size / 2.0, x + gap + width, y + size / 2.0]),
            (x - gap, y + size * 0.35, "end", [x - gap - width, y - size / 2.0, x - gap, y + size / 2.0]),
            (x, y - gap, "middle", [x - width / 2.0, y - gap - size, x + width / 2.0, y - gap]),
            (
                x,
                y + gap + size * 0.7,
                "middle",
                [x - width / 2.0, y + gap - size * 0.2, x + width / 2.0, y + gap + size],
            ),
        ];
        let hits = |own: &[f64; 4]| {
            let off = own[2] > 180.0 || own[0] < -180.0;
            taken.iter().filter(|other| overlap(own, other)).count() + if off { 10 } else { 0 }
        };
        let best = choices.iter().min_by_key(|choice| hits(&choice.3)).expect("there are four");
        if hits(&best.3) < 3 {
            taken.push(best.3);
            let name = escape(&node.name);
            let _ = write!(
                out,
                "<text class=name x={:.2} y={:.2} text-anchor={} font-size={size:.2}>{name}</text>",
                best.0, best.1, best.2
            );
        }
    }
    out
}

fn square(node: &NodeOutcome, half: f64) -> [f64; 4] {
    let (x, y) = (node.longitude, -node.latitude);
    [x - half, y - half, x + half, y + half]
}

fn overlap(a: &[f64; 4], b: &[f64; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

fn choice(outcome: &Outcome) -> String {
    if outcome.trees.len() < 2 {
        return String::new();
    }
    let mut out = String::from("<label class=choice>Tree <select id=tree><option value=\"\">all of them</option>");
    for (at, tree) in outcome.trees.iter().take(TREES_MAX).enumerate() {
        let name = escape(&format!("{} from {}", tree.room, tree.origin));
        let _ = write!(out, "<option value=t{at}>{name}</option>");
    }
    out + "</select></label>"
}

fn legend(most: f64) -> String {
    if most <= 0.0 {
        return String::new();
    }
    let mut out = String::from("<p class=legend>Load of the link");
    for step in 0..LOADS {
        let upper = most / 2f64.powi((LOADS - 1 - step) as i32);
        let _ = write!(out, "<span class=\"swatch l{step}\">up to {}</span>", rate(upper));
    }
    out + "<span class=\"swatch from\">origin of a tree</span></p>"
}
