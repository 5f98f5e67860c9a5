//! Who feeds a node when its parent dies: somebody whose way from the origin shares no relay with the parent's.

use super::Parameters;
use super::ground::ORIGIN;
use super::growth::Growth;

/// The backup of each vertex.
pub fn find(tree: &Growth<'_>, parameters: &Parameters) -> Vec<Option<usize>> {
    (0..tree.ground.vertices.len()).map(|vertex| backup_of(tree, parameters, vertex)).collect()
}

fn backup_of(tree: &Growth<'_>, parameters: &Parameters, vertex: usize) -> Option<usize> {
    if vertex == ORIGIN {
        return None;
    }
    let ground = &tree.ground;
    let parent = tree.place(vertex).parent;
    let relays: Vec<usize> = tree.up_from(parent).collect();
    let delay = |backup: usize| Some(tree.place(backup).delay + ground.hop(backup, vertex)?.delay);
    let is_apart = |backup: usize| {
        backup != parent
            && ground.vertices[backup].relays
            && tree.place(backup).depth < parameters.hops
            && tree.up_from(backup).all(|above| above != vertex && !relays.contains(&above))
    };
    let apart = (0..ground.vertices.len()).filter(|backup| !tree.is_unused(*backup) && is_apart(*backup));
    let apart: Vec<(f64, usize)> = apart.filter_map(|backup| Some((delay(backup)?, backup))).collect();
    let rank = |backup: usize| ground.vertices[backup].rank;
    let best = apart.iter().min_by(|a, b| a.0.total_cmp(&b.0).then(rank(a.1).cmp(&rank(b.1))))?;
    let old = apart.iter().find(|(_, backup)| ground.vertices[vertex].old_backup == Some(*backup));
    let kept = old.filter(|old| old.0 - best.0 <= parameters.gain_ms(best.0));
    Some(kept.unwrap_or(best).1)
}
