//! Measured round trips between regions, as a map that policies draw on.

use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Map, Prices};
use origo_cascade_core::{Node, NodeAddress};

/// 54 regions of Azure, 95th percentile of the round trip; see `simulations/data/README.md`.
const AZURE: &str = include_str!("../../../../simulations/data/rtt_matrix.csv");

/// Regions with a node each.
pub struct Matrix {
    pub nodes: Vec<Node>,
    /// Round trips, averaged over both directions, milliseconds.
    pub rtt_ms: Vec<Vec<f64>>,
}

impl Matrix {
    pub fn azure() -> Self {
        let rows: Vec<Vec<&str>> = AZURE.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let number = |row: usize, column: usize| rows[row][column].parse::<f64>().expect("a number");
        let nodes = (0..rows.len()).map(|row| Node {
            id: NodeId([row as u8 + 1; 16]),
            region: rows[row][0].to_owned(),
            country: rows[row][2].to_owned(),
            continent: rows[row][3].to_owned(),
            latitude: number(row, 4),
            longitude: number(row, 5),
            url: String::new(),
            address: NodeAddress { quic: ([127, 0, 0, 1], 7881).into() },
            load: 0.0,
            draining: false,
            overload: Default::default(),
        });
        let rtt = |a: usize, b: usize| (number(a, 6 + b) + number(b, 6 + a)) / 2.0;
        let rtt_ms = (0..rows.len()).map(|a| (0..rows.len()).map(|b| rtt(a, b)).collect()).collect();
        Self { nodes: nodes.collect(), rtt_ms }
    }

    /// The map of some of the regions, each round trip stretched by what `noise` gives.
    pub fn map(&self, regions: &[usize], mut noise: impl FnMut() -> f64) -> Map {
        let mut map = Map::new(Prices::default());
        let nodes: Vec<Node> = regions.iter().map(|region| self.nodes[*region].clone()).collect();
        map.set_nodes(&nodes);
        for a in regions {
            let metric = |b: &usize, noise: f64| LinkMetric {
                rtt: Duration::from_secs_f64(self.rtt_ms[*a][*b] * noise / 1e3),
                free_bps: u64::MAX,
                ..LinkMetric::default()
            };
            let others = regions.iter().filter(|b| *b != a);
            let links: Vec<_> = others.map(|b| (self.nodes[*b].id, metric(b, noise()))).collect();
            map.set_metrics(self.nodes[*a].id, &links);
        }
        map
    }
}
