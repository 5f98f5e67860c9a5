//! The architecture as a test: it reads manifests and sources, and fails when an arrow is added that is not drawn.

mod arrows;
mod manifest;
mod source;

use std::path::{Path, PathBuf};

use manifest::{Manifest, read_workspace};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

fn workspace() -> Vec<Manifest> {
    read_workspace(&root()).expect("the workspace's manifests can be read")
}

fn cores() -> Vec<Manifest> {
    workspace().into_iter().filter(|manifest| arrows::CORES.contains(&manifest.package.as_str())).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is wrong with a made-up crate.
fn faults_of(manifest: &str) -> Vec<String> {
    let shared = "origo-node = { path = 'node' }\nnet = { package = 'socket2', version = '0.6' }".parse().unwrap();
    arrows::faults(&[Manifest::parse(manifest, Path::new("made-up"), &shared).unwrap()])
}

#[test]
fn every_arrow_between_our_crates_is_drawn_in_the_architecture() {
    let manifests = workspace();
    assert!(manifests.len() >= 7, "only {} crates were found", manifests.len());
    assert_eq!(arrows::faults(&manifests), Vec::<String>::new());
}

#[test]
fn a_core_that_names_a_driver_is_refused() {
    let faults = faults_of("[package]\nname = 'origo-node-core'\n[dependencies]\norigo-cascade.workspace = true");
    assert_eq!(faults, ["origo-node-core must not depend on origo-cascade"]);
}

#[test]
fn a_core_that_names_a_runtime_is_refused_on_any_target_and_under_any_name() {
    let core = "[package]\nname = 'origo-auth'\n";
    let refused = |rest: &str| faults_of(&format!("{core}{rest}"));
    assert_eq!(refused("[dependencies]\ntokio = '1'"), ["origo-auth is a core and must not depend on tokio"]);
    assert_eq!(refused("[build-dependencies]\nreqwest = '0.13'").len(), 1);
    assert_eq!(refused("[target.'cfg(unix)'.dependencies]\nmio = { version = '1' }").len(), 1);
    assert_eq!(refused("[dependencies]\nrt = { package = 'tokio', version = '1' }").len(), 1);
    assert_eq!(
        refused("[dependencies]\nnet.workspace = true"),
        ["origo-auth is a core and must not depend on socket2"]
    );
    assert_eq!(refused("[dependencies]\norigo-node.workspace = true"), ["origo-auth must not depend on origo-node"]);
}

#[test]
fn a_core_may_test_itself_with_what_it_may_not_run_on() {
    let manifest = "[package]\nname = 'origo-node-core'\n[dependencies]\nquinn-proto = '0.11'\nstr0m = '0.25'\n\
                    [dev-dependencies]\ntokio = '1'";
    assert_eq!(faults_of(manifest), Vec::<String>::new());
}

#[test]
fn a_crate_without_a_place_is_refused_and_the_tests_may_name_everything() {
    assert_eq!(faults_of("[package]\nname = 'origo-new'").len(), 1);
    assert!(faults_of("[package]\nname = 'origo-tests'\n[dependencies]\norigo-node.workspace = true").is_empty());
}

#[test]
fn every_core_has_the_same_lints_for_clocks_and_unordered_maps() {
    let cores = cores();
    assert_eq!(cores.len(), arrows::CORES.len());
    let texts: Vec<_> = cores.iter().map(|core| read(&core.folder.join("clippy.toml"))).collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "the cores' clippy.toml files differ");
    let table: toml::Table = texts[0].parse().expect("clippy.toml is TOML");
    let methods = table["disallowed-methods"].as_array().expect("a list").iter();
    let paths: Vec<_> = methods.filter_map(|method| method.get("path")?.as_str()).collect();
    for needed in ["std::time::Instant::now", "std::time::SystemTime::now", "std::collections::HashMap::iter"] {
        assert!(paths.contains(&needed), "{needed} is not forbidden");
    }
}

#[test]
fn only_the_peer_module_of_the_node_core_names_str0m() {
    let src = root().join("node/core/src");
    let files = source::files_below(&src, "rs");
    let names = |path: &PathBuf| source::code_of(&read(path)).contains("str0m");
    let wrong: Vec<_> = files
        .iter()
        .filter(|path| !source::may_name_str0m(path.strip_prefix(&src).expect("below src")))
        .filter(|path| names(path))
        .collect();
    assert!(wrong.is_empty(), "these name str0m: {wrong:?}");
}

#[test]
fn a_core_leaves_files_sockets_threads_and_the_environment_to_its_driver() {
    for core in cores() {
        for path in source::files_below(&core.folder.join("src"), "rs") {
            let below = path.strip_prefix(&core.folder).expect("below the core");
            let is_test =
                |part: std::path::Component| ["tests", "tests.rs"].iter().any(|name| part.as_os_str() == *name);
            let test_file = below.components().any(is_test);
            let found = source::outside_world_in(&source::code_of(&read(&path)));
            assert!(test_file || found.is_empty(), "{} names {found:?}", path.display());
        }
    }
}

#[test]
fn the_source_checks_see_code_and_not_comments_or_tests() {
    let text = "//! Wraps str0m.\nuse std::fs; // std::env\nfn f() {}\n#[cfg(test)]\nmod tests { use std::thread; }\n";
    assert_eq!(source::outside_world_in(&source::code_of(text)), ["std::fs"]);
    assert!(!source::code_of(text).contains("str0m"));
    assert!(source::may_name_str0m(Path::new("media/peer/session.rs")));
    assert!(source::may_name_str0m(Path::new("media/tests/world.rs")));
    assert!(!source::may_name_str0m(Path::new("media/worker.rs")));
    assert!(!source::may_name_str0m(Path::new("media/peers.rs")));
}

#[test]
fn only_main_and_demo_of_the_node_name_the_directory() {
    let src = root().join("node/src");
    for path in source::files_below(&src, "rs") {
        let below = path.strip_prefix(&src).expect("below src").to_owned();
        let allowed = below == Path::new("main.rs") || below == Path::new("demo.rs") || below.starts_with("demo");
        let names = source::code_of(&read(&path)).contains("origo_directory");
        assert!(allowed || !names, "{} names the directory", path.display());
    }
}

#[test]
fn a_sample_of_the_configuration_is_there() {
    read(&root().join("deploy/samples/origo.toml")).parse::<toml::Table>().expect("the sample is TOML");
}

#[test]
fn long_files_are_listed() {
    let root = root();
    for (lines, path) in source::long_files(&root) {
        let path = path.strip_prefix(&root).unwrap_or(&path).display();
        println!("hint: {path} has {lines} lines; which noun in it wants a file of its own?");
    }
}
