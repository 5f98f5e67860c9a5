//! Which crate may depend on which, and what a core may not depend on.

use crate::manifest::Manifest;

/// The arrows of `docs/ARCHITECTURE.md`: a crate and those of ours that it may name. `origo-tests` may name all.
const ARROWS: &[(&str, &[&str])] = &[
    ("origo-auth", &[]),
    ("origo-cascade-core", &["origo-auth"]),
    ("origo-node-core", &["origo-cascade-core", "origo-auth"]),
    ("origo-cascade", &["origo-cascade-core", "origo-auth"]),
    ("origo-node", &["origo-cascade", "origo-node-core", "origo-cascade-core", "origo-auth", "origo-directory"]),
    ("origo-directory", &["origo-auth"]),
    ("origo-client", &["origo-auth"]),
    ("origo-sim", &["origo-node-core", "origo-cascade-core", "origo-auth"]),
];

/// The pure crates: time, randomness and bytes come in as arguments.
pub const CORES: &[&str] = &["origo-auth", "origo-cascade-core", "origo-node-core"];

/// Crates that open sockets, run tasks, read files or keep process-wide state. `quinn-proto` and `str0m` are pure.
const IO_CRATES: &[&str] = &[
    "async-std",
    "axum",
    "chitchat",
    "futures-executor",
    "hyper",
    "hyper-util",
    "metrics",
    "metrics-exporter-prometheus",
    "mio",
    "nix",
    "object_store",
    "quinn",
    "quinn-udp",
    "redb",
    "reqwest",
    "rusqlite",
    "sled",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-rustls",
    "tokio-tungstenite",
    "tokio-util",
    "tonic",
    "tower-http",
    "tracing-subscriber",
    "tungstenite",
];

/// Everything that is wrong with these manifests, one sentence each.
pub fn faults(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().flat_map(|manifest| forbidden_arrows(manifest).into_iter().chain(io_in_core(manifest))).collect()
}

fn forbidden_arrows(manifest: &Manifest) -> Vec<String> {
    let name = manifest.package.as_str();
    if name == "origo-tests" {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(package, _)| *package == name) else {
        return vec![format!("{name} has no place in the architecture yet: draw its arrows first")];
    };
    let ours = manifest.dependencies.iter().filter(|dependency| dependency.starts_with("origo-"));
    ours.filter(|dependency| !allowed.contains(&dependency.as_str()))
        .map(|dependency| format!("{name} must not depend on {dependency}"))
        .collect()
}

fn io_in_core(manifest: &Manifest) -> Vec<String> {
    if !CORES.contains(&manifest.package.as_str()) {
        return Vec::new();
    }
    let io = manifest.dependencies.iter().filter(|dependency| IO_CRATES.contains(&dependency.as_str()));
    io.map(|dependency| format!("{} is a core and must not depend on {dependency}", manifest.package)).collect()
}
