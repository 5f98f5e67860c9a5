//! The `origo` of an earlier commit of this repository, built once and kept beside the one under test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Names the commit.
const PINNED: &str = "tests/compat/previous";

/// Tests that need it at the same time build it once, and not into each other's files.
static BUILDS: Mutex<()> = Mutex::new(());

/// An earlier version.
#[derive(Clone, Debug)]
pub enum Previous {
    /// Its program.
    Built(PathBuf),
    /// It cannot be had here, and why.
    Missing(String),
}

/// The pinned version: `$ORIGO_PREVIOUS_BIN`, else built from its commit, which takes a minute or two the first time. Its
/// dependencies are those of this version where both lock files agree, so that they are not built again.
pub fn origo() -> Result<Previous> {
    if let Some(path) = std::env::var_os("ORIGO_PREVIOUS_BIN") {
        return Ok(Previous::Built(path.into()));
    }
    let _alone = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
    let commit = pinned()?;
    let name = format!("origo-{}", &commit[..12]);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from);
    let target = std::path::absolute(target)?;
    let built = target.join("debug").join(&name);
    if built.is_file() {
        return Ok(Previous::Built(built));
    }
    if let Some(why) = missing(&commit) {
        return Ok(Previous::Missing(why));
    }
    let sources = target.join("previous").join(&commit);
    unpack(&commit, &sources)?;
    rename(&sources, &name)?;
    build(&sources, &target, &name)?;
    ensure!(built.is_file(), "{} was not built", built.display());
    Ok(Previous::Built(built))
}

fn pinned() -> Result<String> {
    let path = Path::new(ROOT).join(PINNED);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let commit = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let commit = commit.with_context(|| format!("{PINNED} names no commit"))?;
    ensure!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{PINNED}: {commit}");
    Ok(commit.to_owned())
}

/// Why the commit cannot be had, if it cannot.
fn missing(commit: &str) -> Option<String> {
    let says = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(ROOT).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if says(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_some() {
        return None;
    }
    let why = match says(&["rev-parse", "--is-shallow-repository"]).as_deref() {
        None => "this is no git repository, or there is no git",
        Some("true") => "the clone is shallow: `git fetch --unshallow` brings its history",
        Some(_) => "the repository does not have it",
    };
    Some(format!("commit {commit} cannot be built: {why}"))
}

fn unpack(commit: &str, sources: &Path) -> Result<()> {
    std::fs::create_dir_all(sources)?;
    let archive = sources.with_extension("tar");
    let mut git = Command::new("git");
    git.arg("-C").arg(ROOT).args(["archive", "--format=tar", "-o"]).arg(&archive).arg(commit);
    run(&mut git)?;
    run(Command::new("tar").arg("-C").arg(sources).arg("-xf").arg(&archive))?;
    std::fs::remove_file(archive)?;
    Ok(())
}

/// Gives the program a name, and its crates a version, of their own: both versions are built into one folder, where cargo
/// tells packages apart by name and version alone.
fn rename(sources: &Path, name: &str) -> Result<()> {
    replace(&sources.join("node/Cargo.toml"), "[[bin]]\nname = \"origo\"\n", &format!("[[bin]]\nname = \"{name}\"\n"))?;
    let manifest = std::fs::read_to_string(sources.join("Cargo.toml"))?;
    let (_, package) = manifest.split_once("[workspace.package]").context("the workspace gives no version")?;
    let line =
        package.lines().find(|line| line.starts_with("version = \"")).context("the workspace gives no version")?;
    let own = format!("{}-previous\"", line.trim_end_matches('"'));
    replace(&sources.join("Cargo.toml"), &format!("\n{line}\n"), &format!("\n{own}\n"))?;
    let lock = sources.join("Cargo.lock");
    let crates = std::fs::read_to_string(&lock)?;
    let ours: Vec<&str> = crates.lines().filter(|line| line.starts_with("name = \"origo-")).collect();
    ensure!(!ours.is_empty(), "{} locks none of our crates", lock.display());
    ours.iter().try_for_each(|named| replace(&lock, &format!("{named}\n{line}\n"), &format!("{named}\n{own}\n")))
}

fn replace(path: &Path, what: &str, by: &str) -> Result<()> {
    let text = std::fs::read_to_string(path)?;
    ensure!(text.matches(what).count() == 1, "{} does not say {what:?} once", path.display());
    std::fs::write(path, text.replacen(what, by, 1))?;
    Ok(())
}

fn build(sources: &Path, target: &Path, name: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    // The features of dependencies are those of the whole workspace, as in every other build.
    build
        .args(["build", "--locked", "--workspace", "--bin", name])
        .current_dir(sources)
        .env("CARGO_TARGET_DIR", target);
    // What cargo tells the test of its own package is not about that one.
    let told = |key: &OsString| key.to_string_lossy().starts_with("CARGO_PKG_") || key == "CARGO_MANIFEST_DIR";
    for (key, _) in std::env::vars_os().filter(|(key, _)| told(key)) {
        build.env_remove(key);
    }
    run(&mut build)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
