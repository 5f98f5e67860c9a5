//! What the demo says once all nodes are ready: a table for people, or one line of JSON for programs.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::block::Block;
use super::mesh::MeshKeys;
use crate::config::region::City;

/// A node that serves.
pub struct ReadyNode {
    /// Its id in the mesh.
    pub id: String,
    /// Where it stands.
    pub city: &'static City,
    /// Its ports.
    pub block: Block,
    /// Its process.
    pub pid: u32,
}

/// What a program reads.
#[derive(Serialize)]
struct Line<'a> {
    web: &'a str,
    api_key: &'a str,
    api_secret: &'a str,
    nodes: Vec<NodeLine>,
}

#[derive(Serialize)]
struct NodeLine {
    id: String,
    region: &'static str,
    pid: u32,
    url: String,
    metrics: String,
}

impl ReadyNode {
    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.block.http())
    }

    fn metrics(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.block.metrics())
    }
}

/// Prints to stdout.
pub fn print(as_json: bool, keys: &MeshKeys, nodes: &[ReadyNode], folder: &Path) {
    let web = nodes.first().map(|node| format!("http://127.0.0.1:{}/", node.block.http())).unwrap_or_default();
    let text = if as_json { line(keys, nodes, &web) } else { table(keys, nodes, &web, folder) };
    // Whoever closed our stdout does not want to know; the mesh runs on.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn line(keys: &MeshKeys, nodes: &[ReadyNode], web: &str) -> String {
    let node = |node: &ReadyNode| NodeLine {
        id: node.id.clone(),
        region: node.city.region,
        pid: node.pid,
        url: node.url(),
        metrics: node.metrics(),
    };
    let nodes = nodes.iter().map(node).collect();
    let line = Line { web, api_key: &keys.api_key, api_secret: keys.api_secret.expose(), nodes };
    serde_json::to_string(&line).expect("texts and numbers are plain JSON")
}

fn table(keys: &MeshKeys, nodes: &[ReadyNode], web: &str, folder: &Path) -> String {
    let count = nodes.len();
    let mut lines = vec![format!("Origo runs {count} node{} on this machine:", if count == 1 { "" } else { "s" })];
    lines.push(String::new());
    lines.push(format!("  {:<18} {:<22} {:<32} {:>8}", "REGION", "URL", "METRICS", "PID"));
    for node in nodes {
        let (name, url, metrics, pid) = (node.city.name, node.url(), node.metrics(), node.pid);
        lines.push(format!("  {name:<18} {url:<22} {metrics:<32} {pid:>8}"));
    }
    lines.push(String::new());
    lines.push(format!("  API key     {}", keys.api_key));
    lines.push(format!("  API secret  {}", keys.api_secret.expose()));
    lines.push(format!("  Logs        {}/<region>/node.log", folder.display()));
    lines.push(String::new());
    lines.push(format!("Open {web} in two windows and choose two different nodes. Ctrl-C ends it."));
    lines.join("\n")
}
