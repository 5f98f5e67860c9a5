//! Where a room's media may go: nodes in certain countries, relays included.

use origo_auth::NodeId;

use super::relay::Problem;
use crate::Node;

/// Why media of a room with these countries may not touch a node; `None` when it may. An unknown node stands nowhere.
pub fn refusal(countries: &[String], node: Option<&Node>) -> Option<String> {
    if countries.is_empty() {
        return None;
    }
    let country = node.map_or("", |node| node.country.as_str());
    if countries.iter().any(|allowed| allowed.eq_ignore_ascii_case(country)) {
        return None;
    }
    let stands = if country.is_empty() { "where this node stands is not known" } else { "this node stands in " };
    Some(format!("this room's media stays in {}, and {stands}{country}", countries.join(", ")))
}

/// Why this member of a problem gets nothing: it stands in the wrong country, or the origin does.
pub(super) fn refused(problem: &Problem<'_>, node: NodeId) -> Option<String> {
    let of = |node| refusal(problem.countries, problem.map.node(node));
    let origin = || of(problem.origin).map(|why| format!("the publisher's node may not carry it: {why}"));
    of(node).or_else(origin)
}
