//! Network namespaces: made for a run, entered by threads, and removed with it, also those that an earlier run left.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// What names of namespaces of ours begin with.
pub const PREFIX: &str = "og-emu-";
/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";
/// Programs of ours that may have outlived an earlier run.
const PROGRAMS: [&str; 2] = ["origo", "origo-load"];

/// A network namespace that `ip netns exec` knows. It goes with this value unless it is kept.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
    kept: bool,
}

impl Namespace {
    /// Makes one for a node of that name.
    pub fn make(name: &str) -> anyhow::Result<Self> {
        let name = format!("{PREFIX}{name}");
        ip(&["netns", "add", &name]).context("making a network namespace")?;
        let opened = File::open(Path::new(FOLDER).join(&name)).and_then(|file| {
            ip(&["-n", &name, "link", "set", "lo", "up"]).map_err(io::Error::other)?;
            Ok(file)
        });
        match opened {
            Ok(file) => Ok(Self { name, file, kept: false }),
            Err(error) => {
                remove(&name)?;
                Err(error).with_context(|| format!("entering the network namespace {name}"))
            }
        }
    }

    /// As `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It outlives this value.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Does `ip` with these words within it.
    pub fn ip(&self, words: &[&str]) -> anyhow::Result<()> {
        ip(&[&["-n", &self.name], words].concat())
    }

    /// What a child process does before its program begins, to be in here.
    pub fn entrance(&self) -> impl FnMut() -> io::Result<()> + Send + Sync + use<> {
        let descriptor = self.file.as_raw_fd();
        move || enter(descriptor)
    }

    /// Does something on a thread of its own that is in here; what it opens stays in here.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        let descriptor = self.file.as_raw_fd();
        let inside = || {
            enter(descriptor)?;
            Ok(act())
        };
        std::thread::scope(|scope| {
            let done = scope.spawn(inside).join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove(&self.name)
        {
            eprintln!("origo-sim: the network namespace {} stays: {error:#}", self.name);
        }
    }
}

fn enter(descriptor: i32) -> io::Result<()> {
    // SAFETY: setns takes two integers, and may be called between fork and exec.
    match unsafe { libc::setns(descriptor, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Names of namespaces of ours that are there now.
pub fn leftovers() -> Vec<String> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    names.sort();
    names
}

/// Removes what an earlier run left, nodes and load in it first; gives the names.
pub fn remove_leftovers() -> anyhow::Result<Vec<String>> {
    let names = leftovers();
    for name in &names {
        for pid in pids(name)? {
            if PROGRAMS.contains(&program_of(pid).as_str()) {
                // SAFETY: kill takes two integers; the process is one of ours, for it is in a namespace of ours.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
        remove(name)?;
    }
    Ok(names)
}

fn remove(name: &str) -> anyhow::Result<()> {
    ip(&["netns", "del", name])
}

fn pids(name: &str) -> anyhow::Result<Vec<i32>> {
    let output = Command::new("ip").args(["netns", "pids", name]).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.trim().parse().ok()).collect())
}

fn program_of(pid: i32) -> String {
    let path: io::Result<PathBuf> = std::fs::read_link(format!("/proc/{pid}/exe"));
    let name = path.ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    // The file of a program that was built anew is gone.
    name.unwrap_or_default().trim_end_matches(" (deleted)").to_owned()
}

/// Does `ip` with these words; what it says is the error.
pub(super) fn ip(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output();
    let output = output.context("running `ip` (Debian's package iproute2 brings it)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip {}`: {}", words.join(" "), said.trim());
    Ok(())
}

const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Only one mesh is up on a machine at a time: its namespaces have fixed names, so that people can type them.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] File);

impl Lock {
    const PATH: &str = "/run/origo-sim-emulation.lock";

    /// Takes it, or says who has it.
    pub fn take() -> anyhow::Result<Self> {
        let options = File::options().read(true).write(true).create(true).truncate(false).open(Self::PATH);
        let mut file = options.with_context(|| format!("opening {}", Self::PATH))?;
        // What a run that was killed had started a moment before may hold it a moment longer.
        let until = Instant::now() + LOCK_PATIENCE;
        while file.try_lock().is_err() {
            if Instant::now() < until {
                thread::sleep(LOCK_PATIENCE / 50);
                continue;
            }
            let owner = std::fs::read_to_string(Self::PATH).unwrap_or_default();
            bail!("another emulated mesh is up on this machine (process {}): end it first", owner.trim());
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self(file))
    }
}
