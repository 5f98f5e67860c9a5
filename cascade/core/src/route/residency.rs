//! Where a room's media may go: nodes in certain countries, relays included.

use origo_auth::{NodeId, RoomKey};

use super::relay::Problem;
use crate::Node;

/// In which countries rooms are to stay, by the names of rooms. A room's record is given them when the room is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residency(pub Vec<ResidencyRule>);

/// Rooms, and where they are to stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResidencyRule {
    /// The name of a room; `*` stands for any letters.
    pub rooms: String,
    /// Countries (ISO 3166-1 alpha-2).
    pub countries: Vec<String>,
}

impl Residency {
    /// The countries of a room by the first rule that names it; empty for all.
    pub fn countries_of(&self, room: &RoomKey) -> &[String] {
        self.countries_of_name(&room.name)
    }

    /// The same by the room's name alone: rules are the same for all projects.
    pub fn countries_of_name(&self, name: &str) -> &[String] {
        let rule = self.0.iter().find(|rule| is_like(rule.rooms.as_bytes(), name.as_bytes()));
        rule.map_or(&[], |rule| &rule.countries)
    }
}

/// Whether `name` is like `pattern`, whose `*` stands for any bytes, none too. Takes pattern times name steps at most.
fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < name.len() {
        if at < pattern.len() && pattern[at] == b'*' {
            star = Some((at, read));
            at += 1;
        } else if at < pattern.len() && pattern[at] == name[read] {
            (at, read) = (at + 1, read + 1);
        } else if let Some((star_at, taken)) = star {
            // The last star takes one more.
            star = Some((star_at, taken + 1));
            (at, read) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn like(pattern: &str, name: &str) -> bool {
        is_like(pattern.as_bytes(), name.as_bytes())
    }

    #[test]
    fn the_first_rule_that_names_a_room_says_where_it_stays() {
        let rule = |rooms: &str, country: &str| ResidencyRule { rooms: rooms.into(), countries: vec![country.into()] };
        let residency = Residency(vec![rule("clinic-*", "DE"), rule("*-staff", "AT")]);
        let countries = |name: &str| residency.countries_of(&RoomKey::new("default", name)).to_vec();
        assert_eq!(countries("clinic-7"), ["DE"]);
        assert_eq!(countries("clinic-staff"), ["DE"]);
        assert_eq!(countries("school-staff"), ["AT"]);
        assert!(countries("lobby").is_empty());
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        assert!(like("clinic-*", "clinic-") && like("*", "") && like("a*b*c", "aXbYbc") && like("a", "a"));
        assert!(!like("clinic-*", "clinic") && !like("a*b*c", "aXbYb") && !like("", "a") && !like("a", "A"));
    }

    proptest! {
        #[test]
        fn what_is_cut_out_of_a_name_a_star_puts_back(name in "[a*é]{0,12}", from in 0..12_usize, to in 0..12_usize) {
            let letters: Vec<char> = name.chars().collect();
            let (from, to) = (from.min(letters.len()), to.clamp(from, from.max(letters.len())).min(letters.len()));
            let pattern: String = letters[..from].iter().chain(&['*']).chain(&letters[to.max(from)..]).collect();
            prop_assert!(like(&pattern, &name), "{pattern} {name}");
        }
    }
}
