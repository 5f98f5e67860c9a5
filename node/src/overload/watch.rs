//! The task that measures the node, and does what the core decides.

use std::sync::{Arc, Weak};
use std::time::Instant;

use origo_cascade::Mesh;
use origo_node_core::media::Command;
use origo_node_core::overload::{Overload, Resource, SHEDS, Settings, Step};
use origo_node_core::room::Full;
use tokio::time::MissedTickBehavior;

use super::meter::{Meter, Traffic, give_memory_back};
use super::{EVERY, Shown, State};
use crate::config::Limits;
use crate::drain::Refuges;
use crate::rooms::RoomsHandle;
use crate::worker::WorkerHandle;

/// What a datagram carries besides what is counted: IPv4 and UDP, and on links QUIC with its tag.
const CLIENT_OVERHEAD: u64 = 28;
const LINK_OVERHEAD: u64 = 58;
/// So many measurements apart the cluster hears how busy the node is, and the rooms where newcomers may go: a second.
const TELLS_EACH: u64 = 4;
/// So many apart freed memory is given back while it is short: ten seconds.
const GIVES_BACK_EACH: u64 = 40;

/// What the task works with.
pub struct Parts {
    /// What the operator has set.
    pub limits: Limits,
    /// Where the state is shown.
    pub shown: Shown,
    /// Refuse newcomers.
    pub rooms: RoomsHandle,
    /// Where those may go instead.
    pub refuges: Refuges,
    /// Shed layers.
    pub workers: Weak<Vec<WorkerHandle>>,
    /// Tells other nodes.
    pub mesh: Weak<Mesh>,
}

/// Watches until the node ends.
pub async fn watch(parts: Parts) {
    let Some(threads) = parts.workers.upgrade().map(|workers| workers.len() + 1) else { return };
    let settings = Settings { cpu_full: parts.limits.cpu_full, falls_after: parts.limits.recovery };
    let mut watch = Watch {
        meter: Meter::new(parts.limits.clone(), threads),
        overload: Overload::new(settings),
        parts,
        rounds: 0,
        refuses: false,
    };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if watch.round(Instant::now()).is_none() {
            return;
        }
    }
}

struct Watch {
    parts: Parts,
    meter: Meter,
    overload: Overload,
    rounds: u64,
    /// The rooms have been told to let no newcomers in.
    refuses: bool,
}

impl Watch {
    /// Measures once. None when the node ends.
    fn round(&mut self, now: Instant) -> Option<()> {
        let (workers, mesh) = (self.parts.workers.upgrade()?, self.parts.mesh.upgrade()?);
        let usage = self.meter.usage(now, traffic(&workers, &mesh));
        let before = self.overload.step();
        if self.parts.limits.sheds && self.overload.take(now, &usage) {
            self.tell(before, &workers, &mesh);
        }
        let shown = if self.parts.limits.sheds { self.overload.usage() } else { usage };
        self.parts.shown.set(State { step: self.overload.step(), why: self.overload.why(), usage: shown });
        let tells = self.rounds.is_multiple_of(TELLS_EACH);
        if tells {
            // Who is on the busiest worker stays there, so that it decides.
            let busiest = workers.iter().map(WorkerHandle::load).fold(0.0, f64::max);
            mesh.set_load(busiest.max(shown.most()).min(1.0));
        }
        self.tell_rooms(tells);
        let is_short = self.overload.cause() == Some(Resource::Memory);
        if is_short && self.rounds.is_multiple_of(GIVES_BACK_EACH) {
            // Off the runtime: it walks the whole heap.
            drop(tokio::task::spawn_blocking(give_memory_back));
        }
        self.rounds += 1;
        Some(())
    }

    /// The step has changed.
    fn tell(&self, before: Step, workers: &Arc<Vec<WorkerHandle>>, mesh: &Mesh) {
        let (step, why) = (self.overload.step(), self.overload.why());
        if step > before {
            tracing::warn!(level = step.level().name(), why, "the node is short of something: {}", deed(step));
        } else {
            let undone = deed(before);
            tracing::info!(level = step.level().name(), why, "the node has room again, no more of this: {undone}");
        }
        if step.shed() != before.shed() {
            workers.iter().for_each(|worker| worker.command(Command::Shed(step.shed())));
        }
        mesh.set_overload(origo_cascade_core::Overload { level: step.level(), why });
    }

    /// Rooms that do not keep up are told with the next round.
    fn tell_rooms(&mut self, again: bool) {
        let cause = self.overload.cause();
        if cause.is_some() == self.refuses && !(again && self.refuses) {
            return;
        }
        let full = cause.map(|resource| Full { resource, refuges: self.parts.refuges.for_newcomers() });
        if self.parts.rooms.set_full(full) {
            self.refuses = cause.is_some();
        }
    }
}

/// What a step does, for the log.
fn deed(step: Step) -> String {
    match step {
        Step::CALM => "nothing is done without".to_owned(),
        Step::FULL => "newcomers are refused".to_owned(),
        Step::LAST => "nothing is relayed for other nodes".to_owned(),
        _ => format!("{} of {SHEDS} parts of the upper layers are shed", step.shed()),
    }
}

fn traffic(workers: &[WorkerHandle], mesh: &Mesh) -> Traffic {
    let mut traffic = Traffic::default();
    for worker in workers {
        let [[bytes_out, bytes_in], [datagrams_out, datagrams_in]] = worker.traffic();
        traffic.egress_bytes += bytes_out + datagrams_out * CLIENT_OVERHEAD;
        traffic.ingress_bytes += bytes_in + datagrams_in * CLIENT_OVERHEAD;
    }
    for (_, link) in mesh.stats().links {
        let sum = |counts: &[u64; 5]| counts.iter().sum::<u64>();
        traffic.egress_bytes += sum(&link.bytes[0]) + sum(&link.packets[0]) * LINK_OVERHEAD;
        traffic.ingress_bytes += sum(&link.bytes[1]) + sum(&link.packets[1]) * LINK_OVERHEAD;
    }
    traffic
}
