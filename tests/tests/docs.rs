//! The documents name what the code has: settings, metrics, and files that links lead to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every text that stands between `before` and `after`.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Names of settings in the node's table of keys.
fn settings() -> BTreeSet<String> {
    let table = read("node/src/config/key.rs");
    let (_, table) = table.split_once("pub const KEYS").expect("the table of settings is there");
    let calls = table.split("];").next().unwrap_or_default().replace("key(\n", "key(");
    between(&calls, "key(", ",")
        .chain(between(&calls, "secret(", ","))
        .map(|name| name.trim().trim_matches('"'))
        .map(str::to_owned)
        .collect()
}

/// Names of metrics that the node renders.
fn metrics() -> BTreeSet<String> {
    let source = read("node/src/metrics/page.rs");
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    between(source, "\"origo_", "\"").filter(|name| is_name(name)).map(|name| format!("origo_{name}")).collect()
}

fn markdown_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let skipped = name.starts_with('.') || ["target", "node_modules", "dist"].contains(&name.as_str());
            match path.is_dir() {
                true if !skipped => folders.push(path),
                false if name.ends_with(".md") => files.push(path),
                _ => {}
            }
        }
    }
    files
}

#[test]
fn every_setting_is_explained_and_stands_in_the_sample() {
    let settings = settings();
    assert!(settings.len() > 15 && settings.iter().all(|name| is_name(name)), "found {settings:?}");
    let (page, sample) = (read("docs/configuration.md"), read("deploy/samples/origo.toml"));
    for name in settings {
        assert!(page.contains(&format!("`{name}`")), "docs/configuration.md does not explain {name}");
        assert!(sample.contains(&format!("{name} = ")), "deploy/samples/origo.toml does not show {name}");
    }
}

#[test]
fn every_metric_is_explained_and_no_other_is() {
    let page = read("docs/metrics.md");
    let explained = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let explained: BTreeSet<String> = explained.filter(|name| name.starts_with("origo_")).map(str::to_owned).collect();
    assert_eq!(explained, metrics());
}

/// Every (what, reason) in which the parts of a node list what they drop, and those that they count one by one.
fn drops() -> BTreeSet<(String, String)> {
    let mut drops = BTreeSet::new();
    let pair = |text: &str| {
        let mut words = text.trim().trim_start_matches('"').splitn(3, '"');
        let (what, comma, rest) = (words.next()?, words.next()?, words.next()?);
        let reason = rest.split('"').next().filter(|_| comma.trim() == ",")?;
        Some((what.to_owned(), reason.to_owned()))
    };
    for list in [
        "cascade/core/src/cascade/counters.rs",
        "cascade/core/src/link/counters.rs",
        "cascade/core/src/links/counters.rs",
        "cascade/src/stats.rs",
    ] {
        let source = read(list);
        let (_, list) = source.split_once("(&'static str, &'static str, u64);").expect("a list of what is dropped");
        drops.extend(between(list, "(\"", "\n").filter_map(pair));
    }
    for source in ["node/core/src/media/command.rs", "node/core/src/media/ingest.rs", "node/src/worker/thread.rs"] {
        let source = read(source);
        drops.extend(between(&source, "count_dropped(\"", ")").filter_map(pair));
    }
    drops
}

#[test]
fn every_reason_for_which_nodes_and_workers_drop_something_is_explained() {
    let pages = [read("docs/metrics.md"), read("docs/livekit-compatibility.md")].concat();
    let explained = |what: &str, reason: &str| {
        let has = |row: &str, word: &str| row.contains(&format!("`{word}`"));
        pages.lines().any(|row| row.starts_with('|') && has(row, what) && has(row, reason))
    };
    let drops = drops();
    assert!(drops.len() > 50, "found {drops:?}");
    let unexplained: Vec<_> = drops.iter().filter(|(what, reason)| !explained(what, reason)).collect();
    assert!(unexplained.is_empty(), "docs/metrics.md does not explain {unexplained:?}");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let files = markdown_files();
    assert!(files.len() > 10);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("it was listed");
        let folder = file.parent().expect("a file has a folder");
        for target in between(&text, "](", ")") {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            assert!(folder.join(target).exists(), "{} links to {target}, which is not there", file.display());
        }
    }
}
