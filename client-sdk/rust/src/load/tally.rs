//! What a crowd has seen: figures of those who have left, and the counts of comings and goings.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::description::Descriptions;
use crate::histogram::Histogram;
use crate::ledger::LayerCounts;
use crate::participant::Report;
use crate::reception::{Freezes, TrackReport};
use crate::{ConnectError, Totals};

/// A subscription without a packet for so long is silent, and one whose packets ended so long ago is stalled.
const SILENT_AFTER_US: u64 = 1_500_000;
/// Sentences of what went wrong that are kept; the rest is only counted.
const SENTENCES_MAX: usize = 20;

/// What the participants of one URL, or all of them, received.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    pub(super) counts: LayerCounts,
    pub(super) foreign: u64,
    pub(super) bytes: u64,
    pub(super) keyframes: u64,
    pub(super) freezes: Freezes,
    pub(super) delays: Histogram,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) present: usize,
    pub(super) joins: u64,
    pub(super) leaves: u64,
    pub(super) failed: u64,
    pub(super) dropped: u64,
    pub(super) sentences: Vec<String>,
    pub(super) publishers: usize,
    pub(super) subscribers: usize,
    pub(super) silent: u64,
    pub(super) stalled: u64,
    pub(super) join_times: Histogram,
    pub(super) first_packets: Histogram,
    pub(super) sent: u64,
    pub(super) descriptions: Descriptions,
    pub(super) subscriptions: u64,
    pub(super) by_url: Vec<Received>,
    /// Sums of those who have left.
    pub(super) gone: Totals,
}

/// Counts that all participants of a crowd write.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

impl Tally {
    pub(super) fn new(urls: usize) -> Self {
        Self(Mutex::new(Counts { by_url: vec![Received::default(); urls], ..Default::default() }))
    }

    /// The counts as they stand.
    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn joined(&self, publishes: bool, first_time: bool, took: Duration) {
        let mut counts = self.counts();
        counts.joins += 1;
        counts.present += 1;
        counts.publishers += usize::from(first_time && publishes);
        counts.subscribers += usize::from(first_time && !publishes);
        counts.join_times.add(took.as_micros() as u64);
    }

    pub(super) fn refused(&self, identity: &str, error: &ConnectError) {
        let mut counts = self.counts();
        counts.failed += 1;
        counts.say(format!("{identity} not joined: {error}"));
    }

    /// The server, or the network, ended a session.
    pub(super) fn dropped(&self, identity: &str, reason: &str) {
        let mut counts = self.counts();
        counts.dropped += 1;
        counts.say(format!("{identity} dropped: {reason}"));
    }

    /// A participant goes, with what it saw.
    pub(super) fn left(&self, url: usize, report: &Report) {
        let mut counts = self.counts();
        counts.present -= 1;
        counts.leaves += 1;
        let sent: u64 = report.sent.values().flatten().map(|&packets| u64::from(packets)).sum();
        counts.sent += sent;
        counts.gone.sent += sent;
        counts.descriptions = counts.descriptions + report.descriptions;
        counts.subscriptions += report.tracks.len() as u64;
        report.tracks.iter().for_each(|track| counts.add(url, track));
    }
}

impl Counts {
    fn say(&mut self, sentence: String) {
        if self.sentences.len() < SENTENCES_MAX {
            self.sentences.push(sentence);
        }
    }

    fn add(&mut self, url: usize, track: &TrackReport) {
        let total = track.total();
        let idle = track.idle_us.unwrap_or_default() > SILENT_AFTER_US;
        match track.first_packet_us {
            Some(after) => {
                self.first_packets.add(after);
                self.stalled += u64::from(idle);
            }
            None => self.silent += u64::from(idle),
        }
        let received = &mut self.by_url[url];
        received.counts = received.counts + total;
        received.foreign += track.foreign;
        received.bytes += track.bytes;
        received.keyframes += track.keyframes;
        received.freezes = received.freezes + track.freezes;
        received.delays.merge(&track.delay);
        self.gone = self.gone
            + Totals {
                sent: 0,
                received: track.packets(),
                lost: total.lost,
                repaired: total.repaired,
                bytes: track.bytes,
                freezes: track.freezes.count,
            };
    }
}
