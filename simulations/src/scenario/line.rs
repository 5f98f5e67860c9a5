//! What a link does to packets: delay, jitter, loss, rate, queue, a trace. `[every_link]`, `[[link]]` and changes.

use std::sync::Arc;
use std::time::Duration;

use super::reader::Section;
use super::trace::{self, Trace};
use super::tree::Value;

/// One direction of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// One way.
    pub delay: Duration,
    /// Mean of what is added to the delay at random.
    pub jitter: Duration,
    /// Packets overtake each other; else jitter keeps their order.
    pub reorder: bool,
    /// What is lost.
    pub loss: Loss,
    /// Bits per second; `None` for no bound.
    pub rate_bps: Option<u64>,
    /// Longest queue in front of the rate; what would wait longer is dropped.
    pub queue: Duration,
    /// What nodes are told that the link carries; `None` leaves them to find out.
    pub configured_bps: Option<u64>,
    /// Values over time, which take the place of those above.
    pub trace: Option<Arc<Trace>>,
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each with this probability, independently.
    Random(f64),
    /// In bursts (Gilbert, Elliott): two states with a loss of their own, and the probability per packet of going from
    /// one to the other.
    Gilbert {
        /// Loss in the good state, 0 to 1.
        good: f64,
        /// Loss in the bad state.
        bad: f64,
        /// From good to bad.
        p: f64,
        /// From bad to good.
        r: f64,
    },
}

impl Default for Line {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: false,
            loss: Loss::Random(0.0),
            rate_bps: None,
            queue: Duration::from_millis(50),
            configured_bps: None,
            trace: None,
        }
    }
}

impl Loss {
    /// Bursts of so many packets on average, each lost whole: that share of all.
    pub fn in_bursts(mean: f64, burst: f64) -> Self {
        let r = 1.0 / burst;
        Self::Gilbert { good: 0.0, bad: 1.0, p: (r * mean / (1.0 - mean).max(1e-9)).min(1.0), r }
    }

    /// The share lost in the long run.
    pub fn mean(self) -> f64 {
        match self {
            Self::Random(share) => share,
            Self::Gilbert { good, bad, p, r } => {
                if p + r > 0.0 {
                    (good * r + bad * p) / (p + r)
                } else {
                    good
                }
            }
        }
    }
}

/// What a file says of a link; the rest stays as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// One way.
    pub delay: Option<Duration>,
    /// On top of the delay that the link would have.
    pub extra_delay: Option<Duration>,
    /// As [`Line::jitter`].
    pub jitter: Option<Duration>,
    /// As [`Line::reorder`].
    pub reorder: Option<bool>,
    /// As [`Line::loss`].
    pub loss: Option<Loss>,
    /// As [`Line::rate_bps`].
    pub rate_bps: Option<Option<u64>>,
    /// As [`Line::queue`].
    pub queue: Option<Duration>,
    /// As [`Line::configured_bps`].
    pub configured_bps: Option<Option<u64>>,
    /// As [`Line::trace`].
    pub trace: Option<Arc<Trace>>,
}

impl Patch {
    /// Changes a line.
    pub fn apply(&self, line: &mut Line) {
        let set = |target: &mut Duration, value: Option<Duration>| *target = value.unwrap_or(*target);
        set(&mut line.delay, self.delay);
        line.delay += self.extra_delay.unwrap_or_default();
        set(&mut line.jitter, self.jitter);
        set(&mut line.queue, self.queue);
        line.reorder = self.reorder.unwrap_or(line.reorder);
        line.loss = self.loss.unwrap_or(line.loss);
        line.rate_bps = self.rate_bps.unwrap_or(line.rate_bps);
        line.configured_bps = self.configured_bps.unwrap_or(line.configured_bps);
        if self.trace.is_some() {
            line.trace.clone_from(&self.trace);
        }
    }
}

const LOSS: &str =
    "percent from 0 to 100, or { model = \"gilbert\", percent, burst } or { model = \"gilbert\", good, bad, p, r }";

/// Reads the keys of a link and leaves those that say which link to the caller.
pub(super) fn read(section: &Section<'_>) -> Patch {
    Patch {
        delay: section.duration("delay"),
        extra_delay: section.duration("extra_delay"),
        jitter: section.duration("jitter"),
        reorder: section.switch("reorder"),
        loss: read_loss(section),
        rate_bps: section.rate("rate"),
        queue: section.duration("queue"),
        configured_bps: section.rate("configured_rate"),
        trace: read_trace(section),
    }
}

fn read_loss(section: &Section<'_>) -> Option<Loss> {
    let is_table = section.item("loss").is_some_and(|item| matches!(item.value, Value::Table(_)));
    if !is_table {
        return section.get("loss", LOSS, |value| match value {
            Value::Number(percent) if (0.0..=100.0).contains(percent) => Some(Loss::Random(percent / 100.0)),
            _ => None,
        });
    }
    let table = section.table("loss")?;
    table.one_of("model", &[("gilbert", ())]);
    if !table.has("model") {
        table.refuse("model", "missing", "\"gilbert\"");
    }
    let percent = |key| table.number(key, 0.0, 100.0).map(|percent| percent / 100.0);
    let (mean, burst) = (percent("percent"), table.number("burst", 1.0, 10_000.0));
    let (good, bad) = (percent("good"), percent("bad"));
    let (p, r) = (table.number("p", 0.0, 1.0), table.number("r", 0.0, 1.0));
    let loss = match (mean, burst, p, r) {
        (Some(mean), burst, None, None) => Some(Loss::in_bursts(mean, burst.unwrap_or(5.0))),
        (None, None, Some(p), Some(r)) => {
            Some(Loss::Gilbert { good: good.unwrap_or(0.0), bad: bad.unwrap_or(1.0), p, r })
        }
        _ => {
            section.refuse("loss", "{ … }", LOSS);
            None
        }
    };
    table.finish();
    loss
}

fn read_trace(section: &Section<'_>) -> Option<Arc<Trace>> {
    let name = section.text("trace", trace::ACCEPTED)?;
    let path = section.reader.beside(&name);
    match trace::load(&path) {
        Ok(trace) => Some(Arc::new(trace)),
        Err(why) => {
            section.refuse("trace", format!("{name:?}: {why}"), trace::ACCEPTED);
            None
        }
    }
}
