//! A layer that passes here: who sends it to us, who takes it, and which of its packets came.

use std::time::{Duration, Instant};

use super::counts::Tally;
use super::numbers::Numbers;
use super::recent::Recent;
use crate::TrackLayer;
use crate::link::Flow;

/// A layer without a source keeps its numbers for a while, so that a new parent goes on where the old one ended.
pub(super) const LINGERS: Duration = Duration::from_secs(10);
/// What an ended flow of a layer still brings is taken for a while when another took over: the last packets are on the
/// way, and some of them are being repaired.
pub(super) const DRAINS: Duration = Duration::from_secs(1);

/// See the module. What each packet needs comes first: there are thousands of layers, and the processor's cache holds few
/// of them until their next packet.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Layer {
    pub(super) numbers: Numbers,
    pub(super) recent: Recent,
    /// The worker that takes it, if somebody watches here.
    pub(super) local: Option<usize>,
    /// The stream that it is a part of, by number, while peers take parts of that.
    pub(super) stream: Option<usize>,
    /// Peers that take it from us as it is.
    pub(super) children: Vec<Child>,
    pub(super) id: TrackLayer,
    /// What this node's worker sends.
    pub(super) tally: Tally,
    /// Flows that bring it, by number among the incoming; the newest last.
    pub(super) sources: Vec<usize>,
    /// Flows that carry it as a part of its stream.
    pub(super) streamed: usize,
    /// Flows that carry it from this node's worker.
    pub(super) worked: usize,
    /// NTP time of the newest sender report, which two sources bring twice.
    pub(super) report: Option<u64>,
    /// Since when nobody sends it and nobody takes it.
    pub(super) idle: Option<Instant>,
}

impl Layer {
    pub(super) fn new(id: TrackLayer, stream: Option<usize>) -> Self {
        Self {
            id,
            local: None,
            sources: Vec::new(),
            children: Vec::new(),
            stream,
            streamed: 0,
            worked: 0,
            numbers: Numbers::default(),
            recent: Recent::default(),
            tally: Tally::default(),
            report: None,
            idle: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sources.is_empty() && self.children.is_empty() && self.streamed == 0 && self.worked == 0
    }
}

/// A peer that takes a layer from us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    /// By number among the links.
    pub(super) link: usize,
    /// The peer's number for the layer.
    pub(super) flow: Flow,
}

/// A flow that a peer sends: a line of the processor's cache.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Incoming {
    pub(super) link: usize,
    pub(super) flow: Flow,
    pub(super) layer: usize,
    /// Its first packet has come.
    pub(super) flows: bool,
    /// What comes, also of what came from another peer already.
    pub(super) tally: Tally,
    /// It was ended; what still comes until then counts.
    pub(super) ended: Option<Instant>,
}

const _: () = assert!(size_of::<Option<Incoming>>() == 64);

/// A flow that we send.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Where its packets come from.
    pub(super) feed: Feed,
}

/// Where the packets of a flow that we send come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// A worker of this node.
    Worker {
        /// Which.
        sink: usize,
        /// The layer by number.
        layer: usize,
    },
    /// Another node.
    Relay {
        /// The layer by number.
        layer: usize,
        /// It goes as a part of its stream.
        in_stream: bool,
    },
}
