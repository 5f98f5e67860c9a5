//! Trees as DOT for Graphviz, as GeoJSON for maps, and as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::outcome::{Outcome, TreeOutcome};

/// One directed graph a tree.
pub fn dot(trees: &[TreeOutcome]) -> String {
    let mut out = String::new();
    for tree in trees {
        let _ = writeln!(out, "digraph {} {{", quoted(&format!("{} from {}", tree.room, tree.origin)));
        let _ =
            writeln!(out, "  rankdir=LR; node [shape=box, style=rounded];\n  {} [style=bold];", quoted(&tree.origin));
        for (parent, child, layers, why) in &tree.edges {
            let (parent, child, why) = (quoted(parent), quoted(child), quoted(why));
            let _ = writeln!(out, "  {parent} -> {child} [label={layers}, tooltip={why}];");
        }
        out.push_str("}\n");
    }
    out
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

/// Nodes as points and edges as lines.
pub fn geojson(outcome: &Outcome) -> String {
    let places: BTreeMap<&str, [f64; 2]> =
        outcome.nodes.iter().map(|node| (node.name.as_str(), [node.longitude, node.latitude])).collect();
    let mut features: Vec<Value> = Vec::new();
    for node in &outcome.nodes {
        features.push(json!({
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [node.longitude, node.latitude]},
            "properties": {"node": node.name, "region": node.region, "bytes_out": node.bytes_out},
        }));
    }
    for tree in &outcome.trees {
        for (parent, child, layers, why) in &tree.edges {
            let (Some(from), Some(to)) = (places.get(parent.as_str()), places.get(child.as_str())) else { continue };
            let properties = json!({
                "room": tree.room, "origin": tree.origin, "parent": parent, "child": child,
                "layers": layers, "why": why,
            });
            features.push(json!({
                "type": "Feature",
                "geometry": {"type": "LineString", "coordinates": [from, to]},
                "properties": properties,
            }));
        }
    }
    json!({"type": "FeatureCollection", "features": features}).to_string() + "\n"
}

/// A tree as indented text: who feeds whom, with how many layers, and why.
pub fn text(tree: &TreeOutcome) -> String {
    let mut children: BTreeMap<&str, Vec<(&str, u64, &str)>> = BTreeMap::new();
    for (parent, child, layers, why) in &tree.edges {
        children.entry(parent).or_default().push((child, *layers, why));
    }
    let mut out = format!("{}\n", tree.origin);
    // Whoever is drawn is taken out of the table, so that a loop (a fault, but one to be shown) comes to an end.
    draw(&mut children, &tree.origin, "", &mut out);
    for (parent, below) in children {
        for (child, layers, why) in below {
            let _ = writeln!(out, "apart from the origin: {parent} -> {child}  {}{}", count(layers), reason(why));
        }
    }
    out
}

fn draw(children: &mut BTreeMap<&str, Vec<(&str, u64, &str)>>, parent: &str, indent: &str, out: &mut String) {
    let below = children.remove(parent).unwrap_or_default();
    for (at, (child, layers, why)) in below.iter().enumerate() {
        let last = at + 1 == below.len();
        let (branch, stem) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let _ = writeln!(out, "{indent}{branch}{child}  {}{}", count(*layers), reason(why));
        draw(children, child, &format!("{indent}{stem}"), out);
    }
}

fn count(layers: u64) -> String {
    format!("{layers} {}", if layers == 1 { "layer" } else { "layers" })
}

fn reason(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(", {why}") }
}
