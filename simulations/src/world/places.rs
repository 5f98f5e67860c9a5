//! Which node of the scenario has an id.

use origo_auth::NodeId;

/// Places of nodes by id. Looked into for each datagram, which a short sorted list answers sooner than a tree.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(NodeId, usize)>);

impl Places {
    pub(super) fn get(&self, id: &NodeId) -> Option<&usize> {
        let place = self.0.binary_search_by_key(id, |(id, _)| *id).ok()?;
        Some(&self.0[place].1)
    }
}

impl FromIterator<(NodeId, usize)> for Places {
    fn from_iter<I: IntoIterator<Item = (NodeId, usize)>>(places: I) -> Self {
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_unstable();
        Self(places)
    }
}
