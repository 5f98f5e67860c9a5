//! What a viewer takes in memory beyond a bare connection of str0m's, with retransmissions at work.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use origo_node_core::media::{Direction, Egress, Via};

use super::{Phase, Stage, bare};

const VIEWERS: u16 = 50;
const FRAMES_PER_SECOND: u32 = 30;
const SECONDS: u32 = 5;
const FRAME: [usize; 8] = [1_150; 8];
/// Enough for retransmissions all the time.
const LOSES_EVERY: u64 = 50;

/// Bytes that a viewer takes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// A connection of str0m's that is up, before any media.
    pub bare: i64,
    /// What a viewer takes of a worker's memory, the track's own ring and all else of the worker's included.
    pub viewer: i64,
}

impl Memory {
    /// Above the bare connection.
    pub fn above(self) -> i64 {
        self.viewer - self.bare
    }
}

/// Measures both, in a program that has the counting allocator.
pub fn measure() -> Result<Memory> {
    let addresses: Vec<SocketAddr> = (0..VIEWERS).map(|at| SocketAddr::from(([127, 0, 0, 1], 20_000 + at))).collect();
    let mut stage = Stage::start(&addresses, Egress::Own, false)?;
    stage.loses_every = LOSES_EVERY;
    for _ in 0..SECONDS * FRAMES_PER_SECOND {
        stage.frame_to_viewers(&FRAME)?;
        stage.pass(Duration::from_secs(1) / FRAMES_PER_SECOND)?;
    }
    let nacks = stage.stats().nacks(Direction::In, Via::Client);
    ensure!(nacks > 0, "no viewer has asked for anything again");
    let each = |bytes: i64| bytes / i64::from(VIEWERS);
    for phase in [Phase::Setup, Phase::Feedback, Phase::Time, Phase::Link, Phase::Egress] {
        eprintln!("       bytes of a viewer that came with {phase:?}: {}", each(stage.counts(phase).bytes));
    }
    Ok(Memory { bare: bare::bytes(VIEWERS)?, viewer: each(stage.all_counts().bytes) })
}
