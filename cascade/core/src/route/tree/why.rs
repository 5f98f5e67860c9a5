//! Says in words why a node hangs where it hangs.

use super::ground::{Ground, ORIGIN};
use super::growth::{Growth, Reason};

/// Differences below this are none, milliseconds.
const SAME_MS: f64 = 0.05;

/// The sentence for one vertex.
pub fn sentence(tree: &Growth<'_>, vertex: usize) -> String {
    let place = tree.place(vertex);
    let text = match (place.reason, place.parent) {
        (Reason::Unknown, _) => {
            return "straight from the publisher's node, until gossip tells where this one is".to_owned();
        }
        (Reason::Full, _) => return "straight from the publisher's node: all others have enough to do".to_owned(),
        (_, ORIGIN) => "straight from the publisher's node".to_owned(),
        (_, parent) => relayed(tree, vertex, parent),
    };
    let of = |vertex: usize| &tree.ground.vertices[vertex];
    match place.reason {
        // Within a region the ingress decides, however near others are.
        _ if place.parent != ORIGIN && of(place.parent).region == of(vertex).region => text,
        Reason::Kept => format!("{text}; a move would gain too little"),
        Reason::MakesRoom => format!("{text}; it makes room for others"),
        Reason::Fastest => format!("{text}; the nearer nodes have no room"),
        _ => text,
    }
}

fn relayed(tree: &Growth<'_>, vertex: usize, parent: usize) -> String {
    let ground = &tree.ground;
    let straight = ground.hop(ORIGIN, vertex);
    let longer = straight.map_or(0.0, |hop| tree.place(vertex).delay - hop.delay);
    let delay = match longer {
        _ if longer.abs() < SAME_MS => "as fast as straight".to_owned(),
        _ if longer < 0.0 => format!("{:.1} ms faster than straight", -longer),
        _ => format!("{longer:.1} ms longer than straight"),
    };
    format!("{delay}{}", saving(ground, tree, vertex, parent))
}

fn saving(ground: &Ground<'_>, tree: &Growth<'_>, vertex: usize, parent: usize) -> String {
    let region = &ground.vertices[vertex].region;
    if ground.vertices[parent].region == *region {
        return format!(", {region} takes one copy for all its nodes");
    }
    let straight = ground.hop(ORIGIN, vertex).map_or(0.0, |hop| hop.price);
    let (price, ocean) = (tree.edge_price(vertex), ground.problem.map.prices().ocean);
    match straight {
        _ if price >= straight => String::new(),
        _ if straight >= ocean => ", saves an ocean crossing".to_owned(),
        _ => ", saves a dearer link".to_owned(),
    }
}
