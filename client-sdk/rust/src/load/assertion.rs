//! What a run must have achieved: `figure op number`, such as `delivered>=99.5`.

use std::fmt;

use serde::Serialize;

use crate::load::Summary;

/// A figure that can be asserted.
#[derive(Clone, Copy)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Its value; `None` when the run did not measure it.
    value: fn(&Summary) -> Option<f64>,
}

/// All figures, in the order in which they are explained.
pub const FIGURES: &[Figure] = &[
    figure("delivered", "packets that came, percent of those that should have", |s| Some(s.delivered_percent)),
    figure("received", "packets that came", |s| Some(s.received.unique as f64)),
    figure("sent", "packets that publishers made, all layers", |s| Some(s.sent as f64)),
    figure("lost", "packets that did not come", |s| Some(s.received.lost as f64)),
    figure("repaired", "packets that came because they were asked for again", |s| Some(s.received.repaired as f64)),
    figure("duplicates", "packets that came twice", |s| Some(s.received.duplicates as f64)),
    figure("reordered", "packets that came after a newer one", |s| Some(s.received.reordered as f64)),
    figure("received_kbps", "payload received by all, kbit/s", |s| {
        Some(s.received_bytes as f64 * 8.0 / s.seconds.max(0.001) / 1000.0)
    }),
    figure("delay_p50_ms", "from making a packet to receiving it: median", |s| Some(s.delay_ms.p50)),
    figure("delay_p95_ms", "the same, 95 of 100", |s| Some(s.delay_ms.p95)),
    figure("delay_p99_ms", "the same, 99 of 100", |s| Some(s.delay_ms.p99)),
    figure("delay_max_ms", "the same, longest", |s| Some(s.delay_ms.max)),
    figure("join_p50_ms", "from the call of connect to connected: median", |s| Some(s.join_ms.p50)),
    figure("join_p95_ms", "the same, 95 of 100", |s| Some(s.join_ms.p95)),
    figure("join_p99_ms", "the same, 99 of 100", |s| Some(s.join_ms.p99)),
    figure("join_max_ms", "the same, longest", |s| Some(s.join_ms.max)),
    figure("first_packet_p95_ms", "from subscribed to the first packet: 95 of 100", |s| Some(s.first_packet_ms.p95)),
    figure("first_packet_max_ms", "the same, longest", |s| Some(s.first_packet_ms.max)),
    figure("freezes", "times that a picture stood still for more than 200 ms", |s| Some(s.freezes as f64)),
    figure("freeze_max_ms", "the longest of them", |s| Some(s.freeze_max_ms)),
    figure("freeze_total_ms", "all of them together", |s| Some(s.freeze_total_ms)),
    figure("joins", "joins that worked", |s| Some(s.joins as f64)),
    figure("failed_joins", "joins that did not", |s| Some(s.failed_joins as f64)),
    figure("dropped", "sessions that the server or the network ended", |s| Some(s.dropped as f64)),
    figure("silent", "subscriptions without a packet", |s| Some(s.silent as f64)),
    figure("stalled", "subscriptions whose packets ended before the run did", |s| Some(s.stalled as f64)),
    figure("subscriptions", "tracks that sections carried, one after the other", |s| Some(s.subscriptions as f64)),
    figure("descriptions", "descriptions that the server made (SDP)", |s| Some(s.descriptions.count as f64)),
    figure("description_bytes", "bytes of all of them", |s| Some(s.descriptions.bytes as f64)),
    figure("description_max_bytes", "the longest", |s| Some(s.descriptions.longest as f64)),
    figure("cpu_us_per_packet", "processor time of origo-load a packet received", |s| Some(s.cost.own_us_per_packet)),
    figure("server_us_per_packet", "the same of the server (--server-pid)", |s| s.cost.server_us_per_packet),
    figure("server_packets_per_cpu_second", "packets received for each CPU second of the server (--server-pid)", |s| {
        s.cost.server_packets_per_second
    }),
];

const fn figure(name: &'static str, meaning: &'static str, value: fn(&Summary) -> Option<f64>) -> Figure {
    Figure { name, meaning, value }
}

/// A sign and what it means.
type Operator = (&'static str, fn(f64, f64) -> bool);

/// Two characters before one.
const OPERATORS: [Operator; 6] = [
    (">=", |a, b| a >= b),
    ("<=", |a, b| a <= b),
    ("==", |a, b| a == b),
    ("!=", |a, b| a != b),
    (">", |a, b| a > b),
    ("<", |a, b| a < b),
];

/// One parsed assertion.
#[derive(Clone, Copy)]
pub struct Assertion {
    figure: Figure,
    operator: Operator,
    bound: f64,
}

/// Why a text is no assertion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// There is no operator in it.
    #[error("{0:?} has no operator; accepted are >=, <=, ==, !=, > and <")]
    Operator(String),
    /// No figure has that name.
    #[error("{0:?} is no figure; accepted are {names}", names = names())]
    Figure(String),
    /// What follows the operator is no number.
    #[error("{0:?} is no number to compare {1} with")]
    Number(String, &'static str),
}

fn names() -> String {
    FIGURES.iter().map(|figure| figure.name).collect::<Vec<_>>().join(", ")
}

/// What became of an assertion.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// As it was asked.
    pub assertion: String,
    /// What the run measured.
    pub value: Option<f64>,
    /// Whether it held.
    pub held: bool,
}

impl Assertion {
    /// Reads `figure op number`; spaces do not matter.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        let at = |(sign, _): &(&str, _)| text.find(sign);
        let found = OPERATORS.iter().filter_map(|operator| Some((at(operator)?, operator)));
        // The first in the text, and at one place the longer one, which stands first in the table.
        let (at, operator) =
            found.min_by_key(|(at, _)| *at).ok_or_else(|| AssertionError::Operator(text.to_owned()))?;
        let (name, number) = (text[..at].trim(), text[at + operator.0.len()..].trim());
        let figure = FIGURES.iter().find(|figure| figure.name == name);
        let figure = figure.ok_or_else(|| AssertionError::Figure(name.to_owned()))?;
        let bound: Option<f64> = number.parse().ok().filter(|bound: &f64| bound.is_finite());
        let bound = bound.ok_or_else(|| AssertionError::Number(number.to_owned(), figure.name))?;
        Ok(Self { figure: *figure, operator: *operator, bound })
    }

    /// Compares it with a run. What was not measured does not hold.
    pub fn judge(&self, summary: &Summary) -> Verdict {
        let value = (self.figure.value)(summary);
        let held = value.is_some_and(|value| (self.operator.1)(value, self.bound));
        Verdict { assertion: format!("{}{}{}", self.figure.name, self.operator.0, self.bound), value, held }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.held { "holds" } else { "FAILED" };
        match self.value {
            Some(value) => write!(f, "{} {verdict}: it is {value:.3}", self.assertion),
            None => write!(f, "{} {verdict}: it was not measured", self.assertion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_read_with_and_without_spaces() {
        for text in ["delivered>=99.5", " delivered >= 99.5 "] {
            let assertion = Assertion::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((assertion.figure.name, assertion.operator.0, assertion.bound), ("delivered", ">=", 99.5));
        }
        assert_eq!(Assertion::parse("lost<5").map(|assertion| assertion.operator.0).ok(), Some("<"));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_accepted() {
        let error = |text| Assertion::parse(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error("delivery>=9").contains("\"delivery\" is no figure; accepted are delivered, "));
        assert!(error("delivered").contains("has no operator; accepted are >=, <="));
        assert!(error("lost<=many").contains("\"many\" is no number to compare lost with"));
        assert!(error("lost<=inf").contains("no number"));
    }

    #[test]
    fn names_of_figures_are_unique() {
        let names: std::collections::BTreeSet<_> = FIGURES.iter().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len());
    }
}
