//! What nodes measure of the links between them, and how gossip carries it.

use std::time::Duration;

use origo_auth::NodeId;

/// A link as one of its ends sees it. Loss and jitter are of what comes from the peer; queue and room of what goes to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkMetric {
    /// Smoothed round trip.
    pub rtt: Duration,
    /// Smoothed deviation of the one-way delay from the peer (RFC 3550, section 6.4.1, on reports).
    pub jitter: Duration,
    /// Share of the peer's packets that the path lost, before repair, 0 to 1, over the last seconds.
    pub loss: f32,
    /// Share that stayed lost after repair, 0 to 1.
    pub lost: f32,
    /// What stands in queues towards the peer: in this node's scheduler and on the path.
    pub queue: Duration,
    /// Bits per second that the estimator would let go to the peer beyond what goes now; `u64::MAX` when it never met a
    /// bound.
    pub free_bps: u64,
}

/// What a node tells of its links: at most this many peers, those with the most traffic first.
pub const LINKS_TOLD_MAX: usize = 32;

/// Packs what a node tells of its links into one gossip value: about 28 bytes a link, no two texts for equal metrics.
///
/// `peer rtt_us jitter_us loss_ppm lost_ppm queue_us free_kbps`, fields in hexadecimal joined by `,`, links by `;`.
pub fn pack(links: &[(NodeId, LinkMetric)]) -> String {
    let links = links.iter().take(LINKS_TOLD_MAX).map(|(peer, metric)| {
        let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
        let parts = |share: f32| (f64::from(share).clamp(0.0, 1.0) * 1e6).round() as u32;
        let free = if metric.free_bps == u64::MAX { String::new() } else { format!("{:x}", metric.free_bps / 1000) };
        let (rtt, jitter, queue) = (micros(metric.rtt), micros(metric.jitter), micros(metric.queue));
        format!("{peer},{rtt:x},{jitter:x},{:x},{:x},{queue:x},{free}", parts(metric.loss), parts(metric.lost))
    });
    links.collect::<Vec<_>>().join(";")
}

/// Reads what [`pack`] wrote; what cannot be read is left out, and no more than [`LINKS_TOLD_MAX`] links are taken.
pub fn unpack(packed: &str) -> Vec<(NodeId, LinkMetric)> {
    packed.split(';').take(LINKS_TOLD_MAX).filter_map(unpack_one).collect()
}

fn unpack_one(packed: &str) -> Option<(NodeId, LinkMetric)> {
    let mut fields = packed.split(',');
    let peer = fields.next()?.parse().ok()?;
    let mut number = || u64::from_str_radix(fields.next()?, 16).ok();
    let (rtt, jitter, loss, lost, queue) = (number()?, number()?, number()?, number()?, number()?);
    let share = |parts: u64| (parts.min(1_000_000) as f64 / 1e6) as f32;
    let micros = |micros: u64| Duration::from_micros(micros.min(u32::MAX.into()));
    let free = fields.next()?;
    let free_bps = if free.is_empty() { u64::MAX } else { u64::from_str_radix(free, 16).ok()?.saturating_mul(1000) };
    Some((
        peer,
        LinkMetric {
            rtt: micros(rtt),
            jitter: micros(jitter),
            loss: share(loss),
            lost: share(lost),
            queue: micros(queue),
            free_bps,
        },
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_packed_is_read_again_and_a_link_takes_few_bytes() {
        let metric = LinkMetric {
            rtt: Duration::from_micros(80_250),
            jitter: Duration::from_micros(700),
            loss: 0.012,
            lost: 0.0,
            queue: Duration::ZERO,
            free_bps: 12_000_000,
        };
        let links = [(NodeId([7; 16]), metric), (NodeId([9; 16]), LinkMetric { free_bps: u64::MAX, ..metric })];
        let packed = pack(&links);
        assert_eq!(unpack(&packed), links);
        assert!(packed.len() < 2 * 64, "{packed}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_without_harm(text in ".{0,300}") {
            prop_assert!(unpack(&text).len() <= LINKS_TOLD_MAX);
        }
    }
}
