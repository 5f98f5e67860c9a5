//! The wide area between the nodes of an emulated mesh: every link in one thread of this process, with the simulator's
//! own model of a link, so that a simulated and an emulated run differ in everything but that.

mod connections;
mod engine;
mod switch;
mod tun;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::FromRawFd;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

pub use self::switch::{LinkCount, NODES_MAX, address};
pub use self::tun::{DEVICE, Tun};

use self::engine::Engine;
use self::switch::Switch;
use crate::outcome::Samples;
use crate::scenario::{Line, Patch};

/// What the thread is asked.
enum Command {
    Change(Vec<(usize, usize)>, Box<Patch>),
    Cut(Vec<(usize, usize)>, bool),
    Gray(Vec<(usize, usize)>, Option<Option<Duration>>),
    Mend,
    BeginTraces,
    Count(mpsc::Sender<Counts>),
    Stop,
}

/// What the wide area did so far.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By sending node times count plus receiving node.
    pub links: Vec<LinkCount>,
    /// How much later than due packets were handed over, ms.
    pub late_ms: Samples,
    /// Packets that a namespace did not take.
    pub refused: u64,
    /// Packets to nowhere.
    pub stray: u64,
}

/// The running thread. It ends with this value.
#[derive(Debug)]
pub struct Wan {
    commands: mpsc::Sender<Command>,
    bell: File,
    thread: Option<JoinHandle<()>>,
}

impl Wan {
    /// Joins devices, one a node, by these lines.
    pub fn start(
        tuns: Vec<Tun>,
        names: &[String],
        lines: &BTreeMap<(usize, usize), Line>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let bell = bell().context("making an eventfd")?;
        let (commands, orders) = mpsc::channel();
        let engine = Engine::new(tuns, Switch::new(names, lines, seed), orders, bell.try_clone()?);
        let thread = std::thread::Builder::new().name("wan".to_owned()).spawn(move || engine.run())?;
        Ok(Self { commands, bell, thread: Some(thread) })
    }

    /// Changes links, for what is sent from now on.
    pub fn change(&self, pairs: Vec<(usize, usize)>, patch: Patch) {
        self.tell(Command::Change(pairs, Box::new(patch)));
    }

    /// One more fault lets nothing through any more, or one fewer.
    pub fn cut(&self, pairs: Vec<(usize, usize)>, cut: bool) {
        self.tell(Command::Cut(pairs, cut));
    }

    /// Media comes that much later, or never; or as it should again.
    pub fn gray(&self, pairs: Vec<(usize, usize)>, gray: Option<Option<Duration>>) {
        self.tell(Command::Gray(pairs, gray));
    }

    /// No link is cut or gray any more.
    pub fn mend(&self) {
        self.tell(Command::Mend);
    }

    /// Traces of links begin now.
    pub fn begin_traces(&self) {
        self.tell(Command::BeginTraces);
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        let (reply, answer) = mpsc::channel();
        self.tell(Command::Count(reply));
        answer.recv().unwrap_or_default()
    }

    fn tell(&self, command: Command) {
        // A thread that is gone has said why.
        if self.commands.send(command).is_ok() {
            let _ = (&self.bell).write(&1_u64.to_ne_bytes());
        }
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bell() -> io::Result<File> {
    // SAFETY: eventfd takes integers; what it gives is a descriptor that nobody else owns.
    unsafe {
        match libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(File::from_raw_fd(descriptor)),
        }
    }
}

#[cfg(test)]
mod tests;
