//! The demo's nodes together: started, waited for, watched, ended.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use origo_auth::Secret;
use rand::Rng;

use super::block::Block;
use super::child::Node;
use super::probe::{self, Health};
use super::report::ReadyNode;
use crate::cli::DemoArgs;
use crate::config::region::CITIES;

/// How often a node is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a node may take to end before it is killed; the demo promises 5 s in all.
const END_PATIENCE: Duration = Duration::from_secs(4);
/// Nodes that the others begin with. Two, so that each of them has another one to begin with.
const SEEDS: usize = 2;

/// What the demo's nodes share.
pub struct MeshKeys {
    /// API key.
    pub api_key: String,
    /// Its secret.
    pub api_secret: Secret,
    /// Makes them one mesh.
    pub mesh_secret: Secret,
}

impl MeshKeys {
    fn random() -> Self {
        let mut rng = rand::rng();
        let mut hex = |bytes: usize| hex::encode((0..bytes).map(|_| rng.random::<u8>()).collect::<Vec<_>>());
        let (id, secret, mesh) = (hex(6), hex(32), hex(32));
        Self { api_key: format!("API{id}"), api_secret: Secret::new(secret), mesh_secret: Secret::new(mesh) }
    }
}

/// All nodes of the demo.
pub struct Mesh {
    /// What they share.
    pub keys: MeshKeys,
    nodes: Vec<Node>,
}

impl Mesh {
    /// Starts a node on each block.
    pub fn start(args: &DemoArgs, folder: &Path, blocks: &[Block]) -> anyhow::Result<Self> {
        anyhow::ensure!(blocks.len() <= CITIES.len(), "there are {} regions to choose from", CITIES.len());
        let mut mesh = Self { keys: MeshKeys::random(), nodes: Vec::new() };
        for (city, &block) in CITIES.iter().zip(blocks) {
            let others = blocks.iter().take(SEEDS).filter(|&&seed| seed != block);
            let seeds: Vec<String> = others.map(|seed| format!("127.0.0.1:{}", seed.quic())).collect();
            mesh.nodes.push(Node::start(args, (city, block), &seeds.join(","), &mesh.keys, folder)?);
        }
        Ok(mesh)
    }

    /// Waits until every node serves and sees all others. A node that ends before that is an error with its last words.
    pub async fn ready(&mut self) -> anyhow::Result<Vec<ReadyNode>> {
        let count = self.nodes.len();
        let places: Vec<_> = self.nodes.iter().map(|node| (node.city, node.block, node.pid)).collect();
        let healths = join_all(places.iter().map(|(_, block, _)| healthy(block.http(), count)));
        let healths = tokio::select! {
            healths = healths => healths,
            (index, status) = first_end(&mut self.nodes) => {
                let node = &self.nodes[index];
                anyhow::bail!("the node in {} ended at its start ({status}):\n{}", node.city.name, node.last_words());
            }
        };
        let nodes = places.into_iter().zip(healths);
        Ok(nodes.map(|((city, block, pid), health)| ReadyNode { id: health.id, city, block, pid }).collect())
    }

    /// Says which nodes end, and goes on with the others: that is what a mesh is for. Ends when none is left.
    pub async fn watch(&mut self) -> anyhow::Result<()> {
        let mut ends: FuturesUnordered<_> = self.nodes.iter_mut().map(named_end).collect();
        while let Some((name, status)) = ends.next().await {
            eprintln!("origo: the node in {name} ended ({status})");
        }
        anyhow::bail!("all nodes have ended")
    }

    /// Ends all nodes.
    pub async fn end(&mut self) {
        join_all(self.nodes.iter_mut().map(|node| node.end(END_PATIENCE))).await;
    }
}

async fn healthy(port: u16, nodes: usize) -> Health {
    loop {
        if let Some(health) = probe::health(port).await
            && health.nodes >= nodes
        {
            return health;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn first_end(nodes: &mut [Node]) -> (usize, std::process::ExitStatus) {
    let ends = nodes.iter_mut().enumerate().map(|(index, node)| async move { (index, node.ended().await) });
    let mut ends: FuturesUnordered<_> = ends.collect();
    match ends.next().await {
        Some(end) => end,
        None => std::future::pending().await,
    }
}

async fn named_end(node: &mut Node) -> (&'static str, std::process::ExitStatus) {
    (node.city.name, node.ended().await)
}
