//! What holds at every instant, whatever happens.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::TrackLayer;

use crate::world::World;

/// Nodes on the longest path: what `branch.rs` allows, and the node itself.
const PATH_NODES_MAX: usize = 9;

/// What two nodes do that choose each other at the same instant is seen within a round trip, and undone within another;
/// packets do not run in the circle meanwhile, since links drop what they have had.
const CIRCLE_STAYS: Duration = Duration::from_millis(500);

/// One copy of a layer per link, two parents at most and those only while one replaces the other, short paths, and no
/// circles that stay. Gives since when there is a circle.
pub fn check(world: &World) -> Option<Duration> {
    for ((from, to, layer), copies) in world.media.copies() {
        assert_eq!(copies, 1, "{layer:?} from {from} to {to} at {:?}", world.elapsed());
    }
    for ((node, layer), parents) in world.media.receivers() {
        assert!(parents <= 2, "{node} takes {layer:?} from {parents} nodes at {:?}", world.elapsed());
    }
    for node in world.living() {
        for branch in world.node(node).branches() {
            assert!(branch.path.len() <= PATH_NODES_MAX, "{:?}", branch.path);
            let distinct: BTreeSet<&NodeId> = branch.path.iter().collect();
            assert_eq!(distinct.len(), branch.path.len(), "no path passes a node twice");
        }
    }
    let circle = circle(world);
    let since = (!circle.is_empty()).then(|| world.circle_since.unwrap_or(world.elapsed()));
    assert!(since.is_none_or(|since| world.elapsed() - since < CIRCLE_STAYS), "since {since:?}: {circle:?}");
    since
}

/// What crosses links in circles, and on the way into them.
fn circle(world: &World) -> BTreeSet<(usize, usize, TrackLayer)> {
    let mut crossings = world.media.crossings();
    loop {
        let senders: BTreeSet<_> = crossings.iter().map(|(from, _, layer)| (*from, *layer)).collect();
        let before = crossings.len();
        // Who receives and does not send on is in no circle.
        crossings.retain(|(_, to, layer)| senders.contains(&(*to, *layer)));
        if crossings.len() == before {
            return crossings;
        }
    }
}
