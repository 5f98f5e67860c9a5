//! `[policy]`: how trees are drawn.

use std::time::Duration;

use super::reader::Section;

/// How trees are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `tree`, `direct`, `star` or `mesh`.
    pub relay: &'static str,
    /// A way may be this much longer than the best.
    pub alpha: f64,
    /// And this much on top.
    pub beta: Duration,
    /// Children of one node at most.
    pub degree: usize,
    /// Links of one path at most.
    pub hops: usize,
    /// Price of a bit within a region, a continent, and over an ocean.
    pub prices: [f64; 3],
}

impl Default for Policy {
    fn default() -> Self {
        Self { relay: "tree", alpha: 1.1, beta: Duration::from_millis(3), degree: 8, hops: 3, prices: [0.0, 1.0, 4.0] }
    }
}

const RELAYS: [(&str, &str); 4] = [("tree", "tree"), ("direct", "direct"), ("star", "star"), ("mesh", "mesh")];

pub(super) fn read(root: &Section<'_>) -> Policy {
    let default = Policy::default();
    let Some(section) = root.table("policy") else { return default };
    let prices = section.table("prices").map_or(default.prices, |prices| {
        let read = |key, otherwise| prices.number(key, 0.0, 1e6).unwrap_or(otherwise);
        let [region, continent, ocean] = default.prices;
        let read = [read("region", region), read("continent", continent), read("ocean", ocean)];
        prices.finish();
        read
    });
    let policy = Policy {
        relay: section.one_of("relay", &RELAYS).unwrap_or(default.relay),
        alpha: section.number("alpha", 1.0, 10.0).unwrap_or(default.alpha),
        beta: section.duration("beta").unwrap_or(default.beta),
        degree: section.whole("degree", 1, 64).map_or(default.degree, |degree| degree as usize),
        hops: section.whole("hops", 1, 8).map_or(default.hops, |hops| hops as usize),
        prices,
    };
    section.finish();
    policy
}
