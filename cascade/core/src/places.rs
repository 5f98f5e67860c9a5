//! Numbers of nodes by id: found for each datagram in one look.

use origo_auth::NodeId;

/// The smallest index.
const INDEX_MIN: usize = 16;

/// A number for each of some nodes. Ids are hashes, so a part of one says where it lies in the index; a search in a sorted
/// list guesses wrong at every other step.
#[derive(Clone, Debug, Default)]
pub struct Places {
    ascending: Vec<(NodeId, usize)>,
    /// Whatever collides lies behind. A power of two, half of it free.
    index: Vec<Option<(NodeId, u32)>>,
}

impl Places {
    /// The number of a node.
    pub fn get(&self, id: &NodeId) -> Option<usize> {
        let mask = self.index.len().wrapping_sub(1);
        let mut at = home(id) & mask;
        loop {
            match self.index.get(at)? {
                Some((other, place)) if other == id => return Some(*place as usize),
                Some(_) => at = (at + 1) & mask,
                None => return None,
            }
        }
    }

    /// Gives a node that has none a number.
    pub fn insert(&mut self, id: NodeId, place: usize) {
        let before = self.ascending.partition_point(|(other, _)| *other < id);
        self.ascending.insert(before, (id, place));
        if self.index.len() < 2 * self.ascending.len() {
            self.index = vec![None; (2 * self.index.len()).max(INDEX_MIN)];
            (0..self.ascending.len()).for_each(|nth| self.list(self.ascending[nth]));
        } else {
            self.list((id, place));
        }
    }

    /// All nodes in the order of their ids.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.ascending.iter().map(|(id, _)| *id)
    }

    fn list(&mut self, (id, place): (NodeId, usize)) {
        let mask = self.index.len() - 1;
        let mut at = home(&id) & mask;
        while self.index[at].is_some() {
            at = (at + 1) & mask;
        }
        self.index[at] = Some((id, place as u32));
    }
}

impl FromIterator<(NodeId, usize)> for Places {
    fn from_iter<I: IntoIterator<Item = (NodeId, usize)>>(numbered: I) -> Self {
        let mut places = Self::default();
        numbered.into_iter().for_each(|(id, place)| places.insert(id, place));
        places
    }
}

fn home(id: &NodeId) -> usize {
    usize::from_le_bytes(std::array::from_fn(|byte| id.0[byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_found_by_their_ids_also_where_many_collide() {
        let id = |number: u8| NodeId(std::array::from_fn(|byte| if byte < 8 { number % 3 } else { number }));
        let places: Places = (0..100).map(|number| (id(number), usize::from(number) * 7)).collect();
        for number in 0..100 {
            assert_eq!(places.get(&id(number)), Some(usize::from(number) * 7));
        }
        assert_eq!((places.get(&id(100)), Places::default().get(&id(1))), (None, None));
        let ids: Vec<NodeId> = places.ids().collect();
        assert!(ids.len() == 100 && ids.is_sorted());
    }
}
