//! Every node of a room takes every layer straight from the origin, watched or not: what relays of other conference
//! servers do, and what trees are compared with.

use super::direct::straight;
use super::relay::{Plan, Problem, RelayPolicy};

/// Draws a star around the origin and fills it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mesh;

impl RelayPolicy for Mesh {
    fn name(&self) -> &'static str {
        "mesh"
    }

    fn plan(&self, problem: &Problem<'_>) -> Plan {
        straight(problem)
    }

    fn carries_unwatched(&self) -> bool {
        true
    }
}
