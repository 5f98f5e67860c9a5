//! Nodes that answer and do not forward media as they should.

use origo_cascade_core::link::Datagram;

use super::super::{World, wire};
use crate::scenario::Gray;

impl World<'_> {
    /// How much later than it should a datagram leaves a node, ns; `None` when it does not.
    pub(in super::super) fn lateness(&self, from: usize, to: usize, datagram: &Datagram) -> Option<u64> {
        let grays = &self.faults.nodes[from].grays;
        if grays.is_empty() || wire::look(datagram).is_none() {
            return Some(0);
        }
        let mut late = 0;
        for gray in grays.values() {
            match gray {
                Gray::Drops => return None,
                Gray::Late(by) => late += by.as_nanos() as u64,
                Gray::Towards(nodes) if nodes.contains(&to) => return None,
                Gray::Towards(_) => {}
            }
        }
        Some(late)
    }
}
