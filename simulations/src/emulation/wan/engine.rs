//! The thread that moves packets: reads what nodes send, and hands over what is due, to a fraction of a millisecond.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use super::switch::Switch;
use super::tun::Tun;
use super::{Command, Counts};
use crate::measures::Sampler;

/// Packets read from one device before others and what is due get their turn.
const READ_MAX: usize = 64;
/// A device gives one packet a read, of at most its MTU.
const PACKET_MAX: usize = 2048;
/// Rows of traces are looked for this often, as in the simulator, ns.
const TRACES_EVERY: u64 = 100_000_000;
/// Among the real-time priorities of Linux (1 to 99) a low one: above every ordinary thread, below the kernel's own.
const PRIORITY: i32 = 10;

/// See the module.
pub(super) struct Engine {
    tuns: Vec<Tun>,
    switch: Switch,
    orders: Receiver<Command>,
    bell: File,
    begun: Instant,
    late: Sampler,
    refused: u64,
    traces_at: u64,
}

impl Engine {
    pub(super) fn new(tuns: Vec<Tun>, switch: Switch, orders: Receiver<Command>, bell: File) -> Self {
        let (begun, late) = (Instant::now(), Sampler::default());
        Self { tuns, switch, orders, bell, begun, late, refused: 0, traces_at: 0 }
    }

    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    /// Until it is told to stop, or whoever could tell it is gone.
    pub(super) fn run(mut self) {
        hurry();
        let descriptors = self.tuns.iter().map(AsRawFd::as_raw_fd).chain([self.bell.as_raw_fd()]);
        let polled = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut ready: Vec<libc::pollfd> = descriptors.map(polled).collect();
        let mut buffer = [0; PACKET_MAX];
        loop {
            self.give();
            if self.now() >= self.traces_at {
                self.traces_at = self.now() + TRACES_EVERY;
                let now = self.now();
                self.switch.follow_traces(now);
            }
            let until = self.switch.next_at().unwrap_or(u64::MAX).min(self.traces_at);
            if let Err(error) = wait(&mut ready, until.saturating_sub(self.now()))
                && error.kind() != io::ErrorKind::Interrupted
            {
                eprintln!("origo-sim: the wide area stands still, for waiting for packets fails: {error}");
                return;
            }
            for (node, polled) in ready.iter().enumerate().take(self.tuns.len()) {
                if polled.revents & libc::POLLIN != 0 {
                    self.read(node, &mut buffer);
                }
            }
            if ready.last().is_some_and(|bell| bell.revents != 0) && !self.obey() {
                return;
            }
        }
    }

    fn read(&mut self, node: usize, buffer: &mut [u8]) {
        for _ in 0..READ_MAX {
            // `WouldBlock`: everything is read. Another error is of a device that is down, and it has no packets.
            let Ok(bytes) = self.tuns[node].read(buffer) else { return };
            let now = self.now();
            self.switch.take(now, node, &buffer[..bytes]);
        }
    }

    fn give(&mut self) {
        loop {
            let now = self.now();
            let (tuns, late, refused) = (&self.tuns, &mut self.late, &mut self.refused);
            let given = self.switch.give(now, |due, to, packet| {
                late.add((now - due) as f64 / 1e6);
                *refused += u64::from(tuns[to].write(packet).is_err());
            });
            if !given {
                return;
            }
        }
    }

    /// Does what it was told; false when that is to stop.
    fn obey(&mut self) -> bool {
        // The bell only wakes; that it rang is all that it says.
        let _ = self.bell.read(&mut [0; 8]);
        loop {
            match self.orders.try_recv() {
                Ok(Command::Change(pairs, patch)) => self.switch.change(&pairs, &patch),
                Ok(Command::Cut(pairs, cut)) => self.switch.cut(&pairs, cut),
                Ok(Command::Gray(pairs, gray)) => self.switch.gray(&pairs, gray),
                Ok(Command::Mend) => self.switch.mend(),
                Ok(Command::BeginTraces) => {
                    let now = self.now();
                    self.switch.begin_traces(now);
                }
                Ok(Command::Count(reply)) => {
                    // The asker may have given up.
                    let _ = reply.send(self.counts());
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn counts(&self) -> Counts {
        let late_ms = self.late.clone().into_samples();
        Counts { links: self.switch.counts(), late_ms, refused: self.refused, stray: self.switch.stray }
    }
}

/// Waits until a descriptor can be read or so many nanoseconds are over.
fn wait(ready: &mut [libc::pollfd], nanos: u64) -> io::Result<()> {
    let second = 1_000_000_000;
    let nanos = nanos.min(second);
    let timeout =
        libc::timespec { tv_sec: (nanos / second) as libc::time_t, tv_nsec: (nanos % second) as libc::c_long };
    // SAFETY: the slice and the time outlive the call; no signal mask is given.
    let polled =
        unsafe { libc::ppoll(ready.as_mut_ptr(), ready.len() as libc::nfds_t, &raw const timeout, std::ptr::null()) };
    if polled < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Puts this thread before all ordinary ones. Where that is refused packets come a little later on a busy machine, which
/// [`Counts::late_ms`] tells.
fn hurry() {
    let parameters = libc::sched_param { sched_priority: PRIORITY };
    // SAFETY: the struct outlives the call, and the others are integers. 0 is this thread.
    unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters);
        // A sleep of an ordinary thread is stretched by up to 50 µs otherwise.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
    }
}
