//! What a drain is told and tells, as JSON between the command and the node.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::order::Orders;
use crate::rooms::RoomsStats;

/// `POST /v1/drain`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Seconds from now until the node ends.
    pub deadline_s: u64,
}

/// How things stand: the answer to every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The node moves its people elsewhere, and ends.
    pub draining: bool,
    /// It did so before this request.
    pub was_draining: bool,
    /// Seconds until it ends at the latest; none when it does not drain.
    pub deadline_s: Option<u64>,
    /// What is left on it.
    pub left: Left,
}

/// What is on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Participants.
    pub people: u64,
    /// Of these the clients of WHIP and WHEP, which cannot be told to go on elsewhere.
    #[serde(default)]
    pub over_http: u64,
    /// Rooms with participants here.
    pub rooms: u64,
    /// Events that applications have not been told of.
    pub webhooks: u64,
}

impl Left {
    /// What is there by these counts.
    pub fn of(rooms: &RoomsStats, webhooks: u64) -> Self {
        Self { people: rooms.participants, over_http: rooms.over_http, rooms: rooms.rooms, webhooks }
    }

    /// Whether the node can end without anybody missing anything.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |number: u64, one: &str, more: &str| format!("{number} {}", if number == 1 { one } else { more });
        let (people, rooms) = (count(self.people, "person", "people"), count(self.rooms, "room", "rooms"));
        let over_http = match self.over_http {
            0 => String::new(),
            number => format!(" ({number} by WHIP or WHEP)"),
        };
        write!(f, "{people}{over_http}, {rooms} and {}", count(self.webhooks, "webhook", "webhooks"))
    }
}

impl State {
    /// As the orders stand.
    pub fn of(orders: &Orders, was_draining: bool, left: Left, now: Instant) -> Self {
        let order = orders.current();
        let seconds = |deadline: Instant| deadline.saturating_duration_since(now).as_secs_f64().ceil() as u64;
        let deadline_s = order.map(|order| seconds(order.deadline));
        Self { draining: order.is_some(), was_draining, deadline_s, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_in_words() {
        assert_eq!(Left::default().to_string(), "0 people, 0 rooms and 0 webhooks");
        let left = Left { people: 1, rooms: 1, webhooks: 2, ..Left::default() };
        assert_eq!(left.to_string(), "1 person, 1 room and 2 webhooks");
        let left = Left { people: 3, over_http: 2, ..left };
        assert_eq!(left.to_string(), "3 people (2 by WHIP or WHEP), 1 room and 2 webhooks");
    }
}
