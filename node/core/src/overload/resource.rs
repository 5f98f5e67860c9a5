//! What a node can run short of, and how much of it is in use.

use std::time::Duration;

use super::step::Step;

/// Something that there is so much of and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Processors: of the whole process as a share of what it is given, or of its busiest media thread as a share of one.
    Cpu,
    /// Memory.
    Memory,
    /// Bits per second to clients and other nodes.
    Egress,
    /// Bits per second from them.
    Ingress,
    /// File handles.
    Files,
}

/// How many resources there are.
const COUNT: usize = 5;

impl Resource {
    /// All of them.
    pub const ALL: [Self; COUNT] = [Self::Cpu, Self::Memory, Self::Egress, Self::Ingress, Self::Files];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Files => "files",
        }
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Files => "file handles",
            other => other.name(),
        }
    }

    /// As counters call newcomers who are refused for want of it.
    pub fn refusal(self) -> &'static str {
        match self {
            Self::Cpu => "full: cpu",
            Self::Memory => "full: memory",
            Self::Egress => "full: egress",
            Self::Ingress => "full: ingress",
            Self::Files => "full: files",
        }
    }

    /// The last step that spares it: layers and relays need no file handles.
    pub(super) fn last_step(self) -> Step {
        if self == Self::Files { Step::FULL } else { Step::LAST }
    }

    /// How long it is short before that counts. Handles and memory end at once and for everybody; the others swing.
    pub(super) fn rises_after(self) -> Duration {
        match self {
            Self::Memory | Self::Files => Duration::ZERO,
            Self::Cpu | Self::Egress | Self::Ingress => Duration::from_secs(1),
        }
    }

    /// Over how long a swinging figure is averaged.
    pub(super) fn averaged_over(self) -> Duration {
        match self {
            Self::Memory | Self::Files => Duration::ZERO,
            Self::Cpu | Self::Egress | Self::Ingress => Duration::from_millis(500),
        }
    }
}

/// One figure for each resource that there is so much of; none for what has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage([Option<f64>; COUNT]);

impl Usage {
    /// The share of a resource that is in use; 1 is all of it. None when it has no limit, or nobody knows.
    pub fn get(&self, resource: Resource) -> Option<f64> {
        self.0[resource as usize]
    }

    /// Sets it. What is no share counts as unknown.
    pub fn set(&mut self, resource: Resource, share: Option<f64>) {
        self.0[resource as usize] = share.filter(|share| share.is_finite() && *share >= 0.0);
    }

    /// The largest share, 0 when none is known.
    pub fn most(&self) -> f64 {
        self.0.iter().flatten().copied().fold(0.0, f64::max)
    }
}
