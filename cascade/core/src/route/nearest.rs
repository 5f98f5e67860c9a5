//! The nearest node with room left: distance plus a price for load; full nodes after all others, draining ones last.

use origo_auth::NodeId;

use super::{Place, Policy, Ranked};
use crate::Node;

/// Ranks by great-circle distance, where load counts as extra kilometres.
#[derive(Clone, Copy, Debug)]
pub struct Nearest {
    /// How many kilometres farther a fully loaded node counts. The price grows with the square of the load, so that a
    /// half empty node keeps its neighbours and a nearly full one sends newcomers on.
    pub full_load_km: f64,
}

impl Default for Nearest {
    /// 2000 km, about 20 ms of round trip: what one gives up to leave a node that is nearly full.
    fn default() -> Self {
        Self { full_load_km: 2000.0 }
    }
}

impl Policy for Nearest {
    fn rank(&self, caller: Option<Place>, answering: NodeId, nodes: &[Node]) -> Vec<Ranked> {
        // Without a place the caller is taken to be near the node it found by itself.
        let answering_place = nodes.iter().find(|node| node.id == answering).map(place_of);
        let from = caller.or(answering_place);
        let mut sorted: Vec<&Node> = nodes.iter().collect();
        sorted.sort_by(|a, b| {
            let key = |node: &Node| (node.draining, !node.overload.is_none(), caller.is_some() || node.id != answering);
            key(a).cmp(&key(b)).then(self.cost_km(from, a).total_cmp(&self.cost_km(from, b))).then(a.id.cmp(&b.id))
        });
        let nearest = caller.and_then(|caller| {
            nodes.iter().min_by(|a, b| place_of(a).distance_km(caller).total_cmp(&place_of(b).distance_km(caller)))
        });
        let nearest = nearest.map(|node| node.id);
        sorted
            .into_iter()
            .map(|node| {
                let distance_km = caller.map(|caller| place_of(node).distance_km(caller));
                let why = why(node, distance_km, node.id == answering, nearest == Some(node.id));
                Ranked { node: node.clone(), distance_km, why }
            })
            .collect()
    }
}

impl Nearest {
    fn cost_km(&self, from: Option<Place>, node: &Node) -> f64 {
        let distance = from.map_or(0.0, |from| place_of(node).distance_km(from));
        distance + self.full_load_km * node.load * node.load
    }
}

fn place_of(node: &Node) -> Place {
    Place { latitude: node.latitude, longitude: node.longitude }
}

/// Load from which it is named as a reason, percent.
const LOAD_WORTH_A_WORD: f64 = 50.0;

fn why(node: &Node, distance_km: Option<f64>, is_answering: bool, is_nearest: bool) -> String {
    let mut why = match distance_km {
        Some(km) if is_nearest => format!("{km:.0} km away, the nearest"),
        Some(km) => format!("{km:.0} km away"),
        None if is_answering => "answering node: your address has no known place".to_owned(),
        None => "another node: your address has no known place".to_owned(),
    };
    let load = node.load * 100.0;
    if load >= LOAD_WORTH_A_WORD {
        why.push_str(&format!(", {load:.0} % busy"));
    }
    if !node.overload.is_none() {
        why.push_str(", full: it takes no new sessions");
    }
    if node.draining {
        why.push_str(", draining: it takes no new sessions");
    }
    why
}

#[cfg(test)]
mod tests {
    use super::super::rank;
    use super::*;
    use crate::NodeAddress;

    fn node(byte: u8, region: &str, latitude: f64, longitude: f64) -> Node {
        Node {
            id: NodeId([byte; 16]),
            region: region.to_owned(),
            country: String::new(),
            continent: String::new(),
            latitude,
            longitude,
            url: format!("ws://{region}"),
            address: NodeAddress { quic: ([127, 0, 0, 1], 7881).into() },
            load: 0.0,
            draining: false,
            overload: Default::default(),
        }
    }

    fn three() -> Vec<Node> {
        vec![node(1, "frankfurt", 50.11, 8.68), node(2, "new-york", 40.71, -74.01), node(3, "singapore", 1.35, 103.82)]
    }

    fn regions(ranked: &[Ranked]) -> Vec<&str> {
        ranked.iter().map(|ranked| ranked.node.region.as_str()).collect()
    }

    const PARIS: Place = Place { latitude: 48.86, longitude: 2.35 };

    #[test]
    fn the_distance_from_paris_to_new_york_is_right_within_half_a_percent() {
        let km = PARIS.distance_km(Place { latitude: 40.71, longitude: -74.01 });
        assert!((km - 5837.0).abs() < 30.0, "{km}");
    }

    #[test]
    fn the_nearest_node_comes_first_and_says_so() {
        let ranked = rank(Some(PARIS), NodeId([3; 16]), &three());
        assert_eq!(regions(&ranked), ["frankfurt", "new-york", "singapore"]);
        assert_eq!(ranked[0].why, "478 km away, the nearest");
        assert!(ranked[0].distance_km.is_some_and(|km| (km - 478.0).abs() < 2.0));
    }

    #[test]
    fn a_nearly_full_node_gives_way_to_one_a_little_farther() {
        let mut nodes = three();
        nodes.push(node(4, "london", 51.51, -0.13));
        nodes[3].load = 0.95;
        let ranked = rank(Some(PARIS), NodeId([1; 16]), &nodes);
        assert_eq!(ranked[0].node.region, "frankfurt");
        assert_eq!(ranked[1].why, "343 km away, the nearest, 95 % busy");
    }

    #[test]
    fn a_draining_node_comes_last_even_when_it_is_the_nearest() {
        let mut nodes = three();
        nodes[0].draining = true;
        assert_eq!(regions(&rank(Some(PARIS), NodeId([1; 16]), &nodes)), ["new-york", "singapore", "frankfurt"]);
    }

    #[test]
    fn a_full_node_comes_after_all_that_have_room_and_before_one_that_drains() {
        let mut nodes = three();
        nodes[0].overload = crate::Overload { level: crate::Level::Full, why: "cpu 91 %".to_owned() };
        nodes[1].draining = true;
        let ranked = rank(Some(PARIS), NodeId([1; 16]), &nodes);
        assert_eq!(regions(&ranked), ["singapore", "frankfurt", "new-york"]);
        assert_eq!(ranked[1].why, "478 km away, the nearest, full: it takes no new sessions");
    }

    #[test]
    fn without_a_place_the_answering_node_comes_first_and_then_what_is_near_it() {
        let ranked = rank(None, NodeId([2; 16]), &three());
        assert_eq!(regions(&ranked), ["new-york", "frankfurt", "singapore"]);
        assert_eq!(ranked[0].why, "answering node: your address has no known place");
        assert_eq!(ranked[0].distance_km, None);
    }

    #[test]
    fn a_node_with_a_place_that_is_no_number_harms_nobody() {
        let mut nodes = three();
        nodes[1].latitude = f64::NAN;
        assert_eq!(rank(Some(PARIS), NodeId([1; 16]), &nodes).len(), 3);
        assert!(rank(None, NodeId([9; 16]), &[]).is_empty());
    }
}
