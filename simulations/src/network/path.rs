//! One direction of a link: when what is sent arrives, if it does.

use rand::Rng;
use rand::rngs::SmallRng;

use crate::dice::dice;
use crate::scenario::{Line, Loss, Row};

/// Jitter that keeps the order is drawn this often and drifts in between, as queues on the way do, ns.
const JITTER_DRAWN_EVERY: u64 = 20_000_000;
/// No draw is more than this many times the mean.
const JITTER_MAX: f64 = 8.0;
/// Payload of a packet of a stream.
const STREAM_PACKET_BYTES: usize = 1200;
/// A packet that acknowledges and carries nothing else, IP and UDP included: measured on real nodes.
const ACK_BYTES: u64 = 65;
/// What acknowledging adds to a packet that goes anyhow.
const ACK_FRAME_BYTES: u64 = 7;
/// An acknowledgement waits for a packet that goes anyhow, but not for longer than this, ns, nor for more packets than that.
const ACK_WITHIN: u64 = 5_000_000;
const ACK_AFTER: u32 = 10;

/// See the module.
#[derive(Debug)]
pub struct Path {
    /// Apart, for a datagram needs little of it, and thousands of paths are to stay in the processor's cache.
    line: Box<Line>,
    /// What a datagram needs, with times in ns.
    delay: u64,
    jitter: f64,
    reorder: bool,
    loss: Loss,
    rate_bps: Option<u64>,
    trace_row: usize,
    dice: SmallRng,
    /// In the bad state of a loss that comes in bursts.
    bad: bool,
    /// Until when the bytes that were sent keep the rate busy.
    busy_until: u64,
    last_arrival: u64,
    /// Jitter that keeps the order: the values between which it drifts, and when the later one holds.
    drift: (f64, f64, u64),
    /// So many faults let nothing through.
    cuts: u32,
    /// Packets of the other direction that are to be acknowledged on this one, and until when.
    unacknowledged: u32,
    ack_due: u64,
    /// What crossed it.
    pub tally: Tally,
}

/// What crossed a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams.
    pub packets: u64,
    /// Their bytes, QUIC, UDP and IP included, and those of streams.
    pub bytes: u64,
    /// Lost at random.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub dropped: u64,
}

impl Path {
    /// A path as a scenario describes it.
    pub fn new(line: Line, seed: u64, name: &str) -> Self {
        let mut path = Self {
            line: Box::new(line),
            delay: 0,
            jitter: 0.0,
            reorder: false,
            loss: Loss::Random(0.0),
            rate_bps: None,
            trace_row: 0,
            dice: dice(seed, name),
            bad: false,
            busy_until: 0,
            last_arrival: 0,
            drift: (0.0, 0.0, 0),
            cuts: 0,
            unacknowledged: 0,
            ack_due: 0,
            tally: Tally::default(),
        };
        path.learn();
        path
    }

    /// Takes from the line what a datagram needs.
    fn learn(&mut self) {
        self.delay = self.line.delay.as_nanos() as u64;
        self.jitter = self.line.jitter.as_nanos() as u64 as f64;
        (self.reorder, self.loss, self.rate_bps) = (self.line.reorder, self.line.loss, self.line.rate_bps);
    }

    /// As it is now.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Changes it; a trace goes on where it was.
    pub fn change(&mut self, change: impl Fn(&mut Line)) {
        change(&mut self.line);
        self.learn();
    }

    /// One more fault lets nothing through, or one fewer.
    pub fn cut(&mut self, is_cut: bool) {
        self.cuts = self.cuts.saturating_add_signed(if is_cut { 1 } else { -1 });
    }

    /// Whether something comes through.
    pub fn is_open(&self) -> bool {
        self.cuts == 0 && self.line.loss.mean() < 1.0
    }

    /// One way without jitter and queues, ns.
    pub fn delay(&self) -> u64 {
        self.delay
    }

    /// What stands in the queue, ns.
    pub fn queue(&self, now: u64) -> u64 {
        self.busy_until.saturating_sub(now)
    }

    /// Applies the rows of the trace that have come; whether there were any.
    pub fn follow_trace(&mut self, now: u64) -> bool {
        let mut changed = false;
        while let Some(row) = self.due_row(now) {
            self.trace_row += 1;
            self.line.delay = row.delay.unwrap_or(self.line.delay);
            self.line.jitter = row.jitter.unwrap_or(self.line.jitter);
            self.line.loss = row.loss.map_or(self.line.loss, Loss::Random);
            self.line.rate_bps = row.rate_bps.or(self.line.rate_bps);
            changed = true;
        }
        if changed {
            self.learn();
        }
        changed
    }

    fn due_row(&self, now: u64) -> Option<Row> {
        let row = self.line.trace.as_ref()?.rows.get(self.trace_row)?;
        (row.at.as_nanos() as u64 <= now).then(|| row.clone())
    }

    /// A datagram of the other direction has come, which is acknowledged on this one. Acknowledgements count in bytes and
    /// take their share of the rate; what one of them would change at its receiver is not modelled.
    pub fn owe_ack(&mut self, now: u64) {
        self.pay_acks(now);
        if self.unacknowledged == 0 {
            self.ack_due = now + ACK_WITHIN;
        }
        self.unacknowledged += 1;
        if self.unacknowledged > ACK_AFTER {
            self.ack_due = now;
            self.pay_acks(now);
        }
    }

    /// Sends an acknowledgement that waited in vain for a packet to go with.
    fn pay_acks(&mut self, now: u64) {
        if self.unacknowledged > 0 && self.ack_due <= now {
            self.unacknowledged = 0;
            self.tally.bytes += ACK_BYTES;
            // One that finds the queue full is dropped.
            let _ = self.depart(self.ack_due, ACK_BYTES as usize, true);
        }
    }

    /// Sends a datagram of so many bytes, everything included: when it arrives, `None` if it is lost.
    pub fn send(&mut self, now: u64, bytes: usize) -> Option<u64> {
        self.pay_acks(now);
        if std::mem::take(&mut self.unacknowledged) > 0 {
            self.tally.bytes += ACK_FRAME_BYTES;
        }
        self.tally.packets += 1;
        self.tally.bytes += bytes as u64;
        let Some(departs) = self.depart(now, bytes, true) else {
            self.tally.dropped += 1;
            return None;
        };
        if self.loses() {
            self.tally.lost += 1;
            return None;
        }
        let mut arrives = departs + self.delay() + self.jitter(now);
        if !self.reorder {
            arrives = arrives.max(self.last_arrival);
            self.last_arrival = arrives;
        }
        Some(arrives)
    }

    /// Sends a message of so many bytes on a stream: when all of it has arrived, `None` if a packet of it is lost.
    pub fn stream(&mut self, now: u64, bytes: usize) -> Option<u64> {
        let packets = bytes.div_ceil(STREAM_PACKET_BYTES).max(1);
        let bytes = bytes + packets * super::OVERHEAD_BYTES;
        self.tally.bytes += bytes as u64;
        let departs = self.depart(now, bytes, false).unwrap_or(now);
        let lost = (0..packets).filter(|_| self.loses()).count();
        (lost == 0).then(|| departs + self.delay() + self.jitter(now))
    }

    /// When the last byte leaves the queue; `None` when it would wait too long.
    fn depart(&mut self, now: u64, bytes: usize, may_drop: bool) -> Option<u64> {
        let Some(rate) = self.rate_bps else { return Some(now) };
        if may_drop && self.queue(now) > self.line.queue.as_nanos() as u64 {
            return None;
        }
        let takes = (bytes as u64 * 8).saturating_mul(1_000_000_000) / rate;
        self.busy_until = self.busy_until.max(now) + takes;
        Some(self.busy_until)
    }

    fn loses(&mut self) -> bool {
        if self.cuts > 0 {
            return true;
        }
        match self.loss {
            Loss::Random(share) => share > 0.0 && self.dice.random::<f64>() < share,
            Loss::Gilbert { good, bad, p, r } => {
                let turns = self.dice.random::<f64>() < if self.bad { r } else { p };
                self.bad ^= turns;
                self.dice.random::<f64>() < if self.bad { bad } else { good }
            }
        }
    }

    fn jitter(&mut self, now: u64) -> u64 {
        let mean = self.jitter;
        if mean == 0.0 {
            return 0;
        }
        if self.reorder {
            return self.draw(mean) as u64;
        }
        let (mut from, mut to, mut until) = self.drift;
        if until <= now {
            // After a pause it goes on from where it was.
            (from, to, until) = (to, self.draw(mean), now + JITTER_DRAWN_EVERY);
            self.drift = (from, to, until);
        }
        let left = (until - now) as f64 / JITTER_DRAWN_EVERY as f64;
        (to + (from - to) * left) as u64
    }

    fn draw(&mut self, mean: f64) -> f64 {
        let drawn: f64 = self.dice.random();
        (-(1.0 - drawn).ln()).min(JITTER_MAX) * mean
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: u64 = 1_000_000;

    fn line() -> Line {
        Line { delay: Duration::from_millis(40), ..Line::default() }
    }

    #[test]
    fn a_rate_spreads_a_burst_and_drops_what_would_wait_too_long() {
        let line = Line { rate_bps: Some(8_000_000), queue: Duration::from_millis(10), ..line() };
        let mut path = Path::new(line, 1, "a to b");
        // 1000 bytes take 1 ms.
        let arrivals: Vec<Option<u64>> = (0..15).map(|_| path.send(0, 1000)).collect();
        assert_eq!(arrivals[..3], [Some(41 * MS), Some(42 * MS), Some(43 * MS)]);
        assert_eq!(arrivals.iter().flatten().count(), 11, "ten in the queue and one on its way");
        assert_eq!(path.tally.dropped, 4);
        assert_eq!(path.queue(5 * MS), 6 * MS);
    }

    #[test]
    fn an_acknowledgement_goes_with_a_packet_or_alone_when_none_goes_in_time() {
        let mut path = Path::new(line(), 1, "a to b");
        path.owe_ack(0);
        path.send(3 * MS, 1000);
        assert_eq!(path.tally.bytes, 1000 + ACK_FRAME_BYTES);
        path.owe_ack(10 * MS);
        path.owe_ack(12 * MS);
        path.send(16 * MS, 1000);
        assert_eq!(path.tally.bytes, 2000 + ACK_FRAME_BYTES + ACK_BYTES);
        (0..22).for_each(|_| path.owe_ack(20 * MS));
        assert_eq!(path.tally.bytes, 2000 + ACK_FRAME_BYTES + 3 * ACK_BYTES);
        assert_eq!(path.tally.packets, 2, "they are no packets of the link");
    }

    #[test]
    fn bursts_lose_as_much_as_said_and_several_in_a_row() {
        let (mean, burst): (f64, f64) = (0.02, 5.0);
        let loss = Loss::Gilbert { good: 0.0, bad: 1.0, p: mean / (burst * (1.0 - mean)), r: 1.0 / burst };
        assert!((loss.mean() - mean).abs() < 1e-9);
        let mut path = Path::new(Line { loss, ..line() }, 1, "a to b");
        let lost: Vec<bool> = (0..400_000).map(|at| path.send(at * MS, 1000).is_none()).collect();
        let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
        let bursts = lost.windows(2).filter(|pair| pair[1] && !pair[0]).count() as f64;
        assert!((share - mean).abs() < 0.003, "{share}");
        assert!((share * lost.len() as f64 / bursts - burst).abs() < 0.4, "{bursts} bursts");
    }

    #[test]
    fn jitter_keeps_the_order_unless_it_may_not() {
        let jittered = |reorder| {
            let mut path = Path::new(Line { jitter: Duration::from_millis(3), reorder, ..line() }, 1, "a to b");
            (0..20_000).filter_map(|at| path.send(at * MS / 4, 1000).map(|end| end - at * MS / 4)).collect::<Vec<_>>()
        };
        let in_order = |delays: &[u64]| {
            delays.iter().enumerate().map(|(at, delay)| at as u64 * MS / 4 + delay).collect::<Vec<_>>().is_sorted()
        };
        let (kept, mixed) = (jittered(false), jittered(true));
        assert!(in_order(&kept) && !in_order(&mixed));
        let mean = |delays: &[u64]| delays.iter().sum::<u64>() as f64 / delays.len() as f64 / MS as f64 - 40.0;
        assert!((mean(&mixed) - 3.0).abs() < 0.15, "{}", mean(&mixed));
        assert!((mean(&kept) - 3.0).abs() < 0.7, "{}", mean(&kept));
    }
}
