//! `[policy]`: how trees are drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Section;
use super::topology::Topology;

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
    /// Links with a price of their own, by (from, to) region.
    pub link_prices: BTreeMap<(String, String), f64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            relay: "tree",
            alpha: 1.1,
            beta: Duration::from_millis(3),
            degree: 8,
            hops: 3,
            prices: [0.0, 1.0, 4.0],
            link_prices: BTreeMap::new(),
        }
    }
}

const RELAYS: [(&str, &str); 4] = [("tree", "tree"), ("direct", "direct"), ("star", "star"), ("mesh", "mesh")];

/// Highest price of a bit.
const PRICE_MAX: f64 = 1e6;

pub(super) fn read(root: &Section<'_>, topology: &Topology) -> Policy {
    let default = Policy::default();
    let Some(section) = root.table("policy") else { return default };
    let (prices, link_prices) = section
        .table("prices")
        .map_or((default.prices, BTreeMap::new()), |prices| read_prices(prices, default.prices, topology));
    let policy = Policy {
        relay: section.one_of("relay", &RELAYS).unwrap_or(default.relay),
        alpha: section.number("alpha", 1.0, 10.0).unwrap_or(default.alpha),
        beta: section.duration("beta").unwrap_or(default.beta),
        degree: section.whole("degree", 1, 64).map_or(default.degree, |degree| degree as usize),
        hops: section.whole("hops", 1, 8).map_or(default.hops, |hops| hops as usize),
        prices,
        link_prices,
    };
    section.finish();
    policy
}

fn read_prices(
    section: Section<'_>,
    [region, continent, ocean]: [f64; 3],
    topology: &Topology,
) -> ([f64; 3], BTreeMap<(String, String), f64>) {
    let read = |key, otherwise| section.number(key, 0.0, PRICE_MAX).unwrap_or(otherwise);
    let prices = [read("region", region), read("continent", continent), read("ocean", ocean)];
    let mut links = BTreeMap::new();
    for table in section.tables("links") {
        let end = |key| {
            let found = table.text(key, &topology.names()).map_or(Vec::new(), |name| topology.find(&name));
            if found.is_empty() {
                table.refuse(key, "a link to nowhere", topology.names());
            }
            found.into_iter().map(|node| topology.nodes[node].region.name.clone()).collect::<Vec<_>>()
        };
        let (from, to, both) = (end("from"), end("to"), table.switch("both").unwrap_or(false));
        let price = table.number("price", 0.0, PRICE_MAX);
        if price.is_none() && !table.has("price") {
            table.refuse("price", "missing", format!("a number from 0 to {PRICE_MAX}"));
        }
        table.finish();
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to) {
            links.insert((from.clone(), to.clone()), price.unwrap_or(0.0));
            if both {
                links.insert((to.clone(), from.clone()), price.unwrap_or(0.0));
            }
        }
    }
    section.finish();
    (prices, links)
}
