//! What this node tells the cluster of its links: told again when it has changed, and not too often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use origo_auth::NodeId;
use origo_cascade_core::metric::{LINKS_TOLD_MAX, LinkMetric};

/// At most so often: all of it crosses the whole cluster.
const EVERY: Duration = Duration::from_secs(5);
/// A smaller change is noise.
const SPAN_STEP: Duration = Duration::from_millis(2);
/// The same of shares.
const SHARE_STEP: f32 = 0.001;
/// The same of anything, in proportion.
const STEP: f64 = 0.1;

/// What was told last.
#[derive(Debug, Default)]
pub(crate) struct Told {
    links: BTreeMap<NodeId, LinkMetric>,
    at: Option<Instant>,
}

impl Told {
    /// What to tell now, if anything: the links with the most bytes of `traffic`.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        mut measured: Vec<(NodeId, LinkMetric)>,
        traffic: &BTreeMap<NodeId, u64>,
    ) -> Option<Vec<(NodeId, LinkMetric)>> {
        if self.at.is_some_and(|at| now - at < EVERY) {
            return None;
        }
        measured.sort_by_key(|(peer, _)| (std::cmp::Reverse(traffic.get(peer).copied()), *peer));
        measured.truncate(LINKS_TOLD_MAX);
        let links: BTreeMap<NodeId, LinkMetric> = measured.iter().copied().collect();
        let is_same = |(peer, metric): (&NodeId, &LinkMetric)| {
            self.links.get(peer).is_some_and(|told| !has_changed(told, metric))
        };
        if links.len() == self.links.len() && links.iter().all(is_same) {
            return None;
        }
        (self.links, self.at) = (links, Some(now));
        Some(measured)
    }
}

fn has_changed(told: &LinkMetric, now: &LinkMetric) -> bool {
    let span = |told: Duration, now: Duration| now.abs_diff(told) > SPAN_STEP.max(told.mul_f64(STEP));
    let share = |told: f32, now: f32| (now - told).abs() > SHARE_STEP.max(told * STEP as f32);
    let free = now.free_bps.abs_diff(told.free_bps) as f64 > told.free_bps as f64 * STEP;
    span(told.rtt, now.rtt)
        || span(told.jitter, now.jitter)
        || span(told.queue, now.queue)
        || share(told.loss, now.loss)
        || share(told.lost, now.lost)
        || free
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn metric(rtt: Duration) -> LinkMetric {
        LinkMetric { rtt, free_bps: u64::MAX, ..LinkMetric::default() }
    }

    #[test]
    fn links_are_told_when_they_change_by_more_than_noise_and_at_most_every_five_seconds() {
        let (start, mut told, none) = (Instant::now(), Told::default(), BTreeMap::new());
        let mut next =
            |after: Duration, metric| told.next(start + after, vec![(NodeId([1; 16]), metric)], &none).is_some();
        assert!(next(Duration::ZERO, metric(80 * MS)));
        assert!(!next(1000 * MS, metric(200 * MS)), "too soon");
        assert!(next(5000 * MS, metric(200 * MS)));
        assert!(!next(10_000 * MS, metric(219 * MS)), "less than a tenth");
        assert!(next(10_000 * MS, metric(221 * MS)));
        assert!(next(15_000 * MS, metric(10 * MS)));
        assert!(!next(20_000 * MS, metric(12 * MS)), "two milliseconds");
        assert!(next(20_000 * MS, LinkMetric { loss: 0.002, ..metric(12 * MS) }));
        assert!(!next(25_000 * MS, LinkMetric { loss: 0.0025, ..metric(12 * MS) }));
        assert!(next(25_000 * MS, LinkMetric { loss: 0.002, free_bps: 1_000_000, ..metric(12 * MS) }));
    }

    #[test]
    fn the_busiest_links_are_told_when_there_are_too_many() {
        let peers: Vec<NodeId> = (0..40).map(|number| NodeId([number; 16])).collect();
        let traffic = peers.iter().enumerate().map(|(place, peer)| (*peer, place as u64)).collect();
        let measured = peers.iter().map(|peer| (*peer, metric(MS))).collect();
        let told = Told::default().next(Instant::now(), measured, &traffic).unwrap();
        assert_eq!((told.len(), told[0].0, told[31].0), (32, peers[39], peers[8]));
    }
}
