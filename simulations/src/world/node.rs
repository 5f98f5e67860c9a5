//! A node: the real cascade and the real links, and when they want to be woken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use origo_auth::NodeId;
use origo_cascade_core::link::Flow;
use origo_cascade_core::links::Links;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Parameters, Prices, RelayPolicy, Tree, relay_policy};
use origo_cascade_core::{Cascade, NodeAddress};

use crate::dice::{hash, mix};
use crate::measures::Sampler;
use crate::scenario::{self, Policy};

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) told: origo_cascade_core::Node,
    pub(super) cascade: Cascade,
    pub(super) links: Links,
    pub(super) cascade_wakes: Wake,
    pub(super) links_wake: Wake,
    /// What the links said last of when that is, and the same in nanoseconds: mostly they say it again.
    pub(super) links_due: (Instant, u64),
    /// Layers that go out, by peer and its number.
    pub(super) serving: BTreeMap<(NodeId, Flow), u32>,
    /// Layers that come in, by peer and our number.
    pub(super) receiving: BTreeMap<(NodeId, Flow), u32>,
    /// What it told last of its links, and when.
    pub(super) told_links: Vec<(NodeId, LinkMetric)>,
    pub(super) told_at: u64,
    /// By receiving node.
    pub(super) sent: Vec<Sent>,
}

/// What went out to a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) datagrams: u64,
    /// Bytes of RTP packets, header and payload, and of the datagrams that carried them the first time.
    pub(super) rtp_bytes: u64,
    pub(super) payload_bytes: u64,
    /// The same of pictures alone, with datagrams that carried them again.
    pub(super) video_rtp_bytes: u64,
    pub(super) video_datagrams: u64,
    pub(super) video_datagram_bytes: u64,
    pub(super) copies_max: u64,
    pub(super) queue: Sampler,
}

/// When a core wants to be woken, and whether an event is on its way that will.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wake {
    pub(super) due: u64,
    pub(super) comes: u64,
}

impl Default for Wake {
    fn default() -> Self {
        Self { due: u64::MAX, comes: u64::MAX }
    }
}

impl Wake {
    /// The core wants to be woken then; says whether an event has to be put in.
    pub(super) fn set(&mut self, due: u64) -> bool {
        self.due = due;
        let earlier = due < self.comes;
        if earlier {
            self.comes = due;
        }
        earlier
    }

    /// An event has come: whether the core is to be woken; else when another event has to come.
    pub(super) fn come(&mut self, now: u64) -> Result<bool, u64> {
        if now < self.comes {
            // An earlier event has taken its place.
            return Ok(false);
        }
        self.comes = u64::MAX;
        if self.due <= now {
            return Ok(true);
        }
        self.comes = self.due;
        Err(self.due)
    }
}

impl Node {
    pub(super) fn new(start: Instant, node: &scenario::Node, policy: &Policy) -> Self {
        let id = id_of(&node.name);
        let told = origo_cascade_core::Node {
            id,
            region: node.region.name.clone(),
            country: node.region.country.clone(),
            continent: node.region.continent.clone(),
            latitude: node.region.latitude,
            longitude: node.region.longitude,
            url: String::new(),
            address: NodeAddress { quic: ([127, 0, 0, 1], 7881).into() },
            load: node.load,
            draining: false,
            overload: Default::default(),
        };
        Self {
            id,
            told,
            cascade: cascade(start, id, policy),
            links: Links::new(start),
            cascade_wakes: Wake::default(),
            links_wake: Wake::default(),
            links_due: (start, 0),
            serving: BTreeMap::new(),
            receiving: BTreeMap::new(),
            told_links: Vec::new(),
            told_at: 0,
            sent: Vec::new(),
        }
    }
}

fn cascade(start: Instant, id: NodeId, policy: &Policy) -> Cascade {
    let [region, continent, ocean] = policy.prices;
    let prices = Prices { region, continent, ocean, links: policy.link_prices.clone() };
    let tree = || {
        let Policy { alpha, beta, degree, hops, .. } = *policy;
        // Far nodes get what the default gives them of the stretch.
        let default = Parameters::default();
        let alpha_far = default.alpha_far.min(alpha);
        Arc::new(Tree::new(Parameters { alpha, alpha_far, beta, degree, hops, ..default }))
    };
    let relay: Arc<dyn RelayPolicy> =
        if policy.relay == "tree" { tree() } else { relay_policy(policy.relay).unwrap_or_else(|| tree()) };
    Cascade::with_policy(start, id, relay, prices)
}

/// A node's id hangs on its name alone, so that one more node leaves the others theirs.
pub(super) fn id_of(name: &str) -> NodeId {
    let high = mix(hash(name.as_bytes()));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&mix(high ^ 0x5bd1_e995).to_be_bytes());
    NodeId(bytes)
}
