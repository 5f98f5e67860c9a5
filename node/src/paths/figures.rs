//! A path as callers read it: each link with its figures, the whole, and the link that hurts most.

use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::route::{Hop, Map, hurts};
use serde::Serialize;

use crate::config::region;

/// One link of a path, in the direction of its media.
#[derive(Debug, PartialEq, Serialize)]
pub struct Link {
    from: NodeId,
    to: NodeId,
    /// None when the node is gone meanwhile.
    from_region: Option<String>,
    to_region: Option<String>,
    /// Round trip.
    rtt_ms: Option<f64>,
    /// Half of it, and what waits on the way.
    delay_ms: Option<f64>,
    jitter_ms: Option<f64>,
    queue_ms: Option<f64>,
    /// Before repair.
    loss_percent: Option<f64>,
    /// After repair.
    lost_percent: Option<f64>,
}

/// The link that hurts most.
#[derive(Debug, PartialEq, Serialize)]
pub struct Hurts {
    /// Which link, counted from the origin.
    hop: usize,
    /// For people.
    why: String,
}

/// A path with its figures.
#[derive(Debug, PartialEq, Serialize)]
pub struct Figures {
    /// All links together; null when one of them is not known.
    pub delay_ms: Option<f64>,
    /// From the origin on.
    pub hops: Vec<Link>,
    /// Null when all is well.
    pub hurts: Option<Hurts>,
}

impl Figures {
    /// Of a path, from the origin's node to the last.
    pub fn of(path: &[NodeId], map: &Map) -> Self {
        let pairs = || path.windows(2).map(|pair| (pair[0], pair[1]));
        let hops: Vec<Option<Hop>> = pairs().map(|(from, to)| map.hop(from, to)).collect();
        let links = pairs().zip(&hops).map(|((from, to), hop)| Link::of(from, to, hop.as_ref(), map)).collect();
        let delay: Option<Duration> = hops.iter().map(|hop| hop.map(|hop| hop.delay)).sum();
        let known: Vec<(usize, Hop)> =
            hops.iter().enumerate().filter_map(|(index, hop)| Some((index, (*hop)?))).collect();
        let hops: Vec<Hop> = known.iter().map(|(_, hop)| *hop).collect();
        let name = |node| map.node(node).map_or_else(|| "?".to_owned(), |node| region::title(&node.region));
        let hurts = hurts(&hops, name).map(|(index, why)| Hurts { hop: known[index].0, why });
        Self { delay_ms: delay.map(ms), hops: links, hurts }
    }
}

impl Link {
    /// What only measuring tells is null where only the distance is known.
    fn of(from: NodeId, to: NodeId, hop: Option<&Hop>, map: &Map) -> Self {
        let region = |node| map.node(node).map(|node| node.region.clone());
        let measured = hop.filter(|hop| hop.is_measured);
        let percent = |share: f32| (f64::from(share) * 1e4).round() / 1e2;
        Self {
            from,
            to,
            from_region: region(from),
            to_region: region(to),
            rtt_ms: hop.map(|hop| ms(hop.rtt)),
            delay_ms: hop.map(|hop| ms(hop.delay)),
            jitter_ms: measured.map(|hop| ms(hop.jitter)),
            queue_ms: measured.map(|hop| ms(hop.queue)),
            loss_percent: measured.map(|hop| percent(hop.loss)),
            lost_percent: measured.map(|hop| percent(hop.lost)),
        }
    }
}

/// Milliseconds, to a hundredth.
fn ms(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e5).round() / 1e2
}
