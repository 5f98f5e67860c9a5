//! One direction of a bottleneck: delay, loss, rate and queue, jitter, outages, marks of congestion.

use rand::Rng;
use rand::rngs::SmallRng;
use serde::Serialize;

use crate::dice::dice;
use crate::network::IP_BYTES;

/// In a burst everything is lost, and one packet in five ends it: five packets on average.
const BURST_ENDS: f64 = 0.2;
/// A queue that marks does so above this, ns.
const MARKS_ABOVE: u64 = 2_000_000;

/// What a direction does to packets. Times in ms, rates in Mb/s (IP and UDP included), shares in percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Conditions {
    /// One way.
    pub delay_ms: f64,
    /// Lost at random.
    pub loss_percent: f64,
    /// In bursts of five.
    pub bursts: bool,
    /// None: unlimited.
    pub rate_mbps: Option<f64>,
    /// Longest wait for the rate; what would wait longer is dropped.
    pub queue_ms: f64,
    /// Evenly up to this.
    pub jitter_ms: f64,
    /// Whether jitter puts packets out of order.
    pub reorders: bool,
    /// Nothing comes through from (s) for so long (s).
    pub outage_s: Option<(f64, f64)>,
    /// From then on (s) another rate.
    pub later_mbps: Option<(f64, f64)>,
    /// Packets that may carry marks (ECN) are marked when the queue is long.
    pub marks: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Path {
    conditions: Conditions,
    dice: SmallRng,
    in_burst: bool,
    free_at: u64,
    last_arrival: u64,
    /// Packets that were sent into it.
    pub packets: u64,
    /// Lost at random or in an outage.
    pub lost: u64,
    /// Dropped by the queue.
    pub overflowed: u64,
    /// Marked.
    pub marked: u64,
}

impl Path {
    /// A direction; its name gives it dice of its own.
    pub fn new(conditions: Conditions, seed: u64, name: &str) -> Self {
        let dice = dice(seed, name);
        let (in_burst, free_at, last_arrival) = (false, 0, 0);
        Self { conditions, dice, in_burst, free_at, last_arrival, packets: 0, lost: 0, overflowed: 0, marked: 0 }
    }

    /// When a UDP payload of so many bytes arrives (ns since the start), and whether it is marked then.
    pub fn send(&mut self, now: u64, bytes: usize, may_mark: bool) -> Option<(u64, bool)> {
        self.packets += 1;
        if self.is_out(now) || self.is_lost() {
            self.lost += 1;
            return None;
        }
        let (mut at, mut marked) = (now, false);
        if let Some(rate) = self.rate(now) {
            let waits = self.free_at.saturating_sub(now);
            if waits > nanos(self.conditions.queue_ms) {
                self.overflowed += 1;
                return None;
            }
            marked = may_mark && self.conditions.marks && waits > MARKS_ABOVE;
            self.marked += u64::from(marked);
            at = now + waits + ((bytes + IP_BYTES) as f64 * 8e3 / rate) as u64;
            self.free_at = at;
        }
        at += nanos(self.conditions.delay_ms);
        if self.conditions.jitter_ms > 0.0 {
            at += nanos(self.conditions.jitter_ms * self.dice.random_range(0.0..1.0));
        }
        if !self.conditions.reorders {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        Some((at, marked))
    }

    fn rate(&self, now: u64) -> Option<f64> {
        let later = self.conditions.later_mbps.filter(|(from, _)| now as f64 / 1e9 >= *from);
        later.map(|(_, rate)| rate).or(self.conditions.rate_mbps)
    }

    fn is_out(&self, now: u64) -> bool {
        let now = now as f64 / 1e9;
        self.conditions.outage_s.is_some_and(|(from, span)| (from..from + span).contains(&now))
    }

    /// Two states, of Gilbert and Elliott.
    fn is_lost(&mut self) -> bool {
        let loss = self.conditions.loss_percent / 100.0;
        if loss == 0.0 {
            return false;
        }
        if !self.conditions.bursts {
            return self.dice.random_bool(loss);
        }
        let change = if self.in_burst { BURST_ENDS } else { BURST_ENDS * loss / (1.0 - loss) };
        if self.dice.random_bool(change) {
            self.in_burst = !self.in_burst;
        }
        self.in_burst
    }
}

/// Of milliseconds.
pub fn nanos(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spaces_packets_out_and_a_full_queue_drops_them() {
        let conditions =
            Conditions { delay_ms: 10.0, rate_mbps: Some(8.0), queue_ms: 5.0, marks: true, ..Conditions::default() };
        let mut path = Path::new(conditions, 1, "there");
        let sent: Vec<_> = (0..8).map(|_| path.send(0, 1000 - IP_BYTES, true)).collect();
        assert_eq!(sent[..4], [1, 2, 3, 4].map(|ms| Some((nanos(10.0 + f64::from(ms)), ms > 3))));
        assert_eq!((sent[6], path.overflowed, path.marked), (None, 2, 3));
    }

    #[test]
    fn loss_is_as_set_alone_and_in_bursts() {
        for bursts in [false, true] {
            let mut path = Path::new(Conditions { loss_percent: 2.0, bursts, ..Conditions::default() }, 1, "there");
            let runs: Vec<bool> = (0..200_000).map(|_| path.send(0, 100, false).is_none()).collect();
            let share = path.lost as f64 / 200_000.0;
            assert!((0.017..0.023).contains(&share), "{share}");
            let starts = runs.windows(2).filter(|two| !two[0] && two[1]).count() as f64;
            let length = path.lost as f64 / starts;
            assert!(if bursts { (4.5..5.5).contains(&length) } else { length < 1.1 }, "{length}");
        }
    }
}
