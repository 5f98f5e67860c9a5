//! Turns what the machine counts into shares of what there is.

use std::time::Instant;

use origo_node_core::overload::{Resource, Usage};

use super::cgroup::Cgroups;
use super::process::{Process, machine_bytes};
use super::text::Buffer;
use crate::config::Limits;

/// Something that only grows, and how fast.
#[derive(Clone, Copy, Debug, Default)]
struct Growth(Option<(Instant, f64)>);

impl Growth {
    /// By how much a second it has grown since the last time. None the first time.
    fn per_second(&mut self, now: Instant, total: f64) -> Option<f64> {
        let (at, before) = self.0.replace((now, total))?;
        let passed = now.saturating_duration_since(at).as_secs_f64();
        // What has become smaller was begun anew.
        (passed > 0.0 && total >= before).then(|| (total - before) / passed)
    }
}

/// Bytes to and from clients and other nodes since the start, headers of IP and UDP among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Out.
    pub egress_bytes: u64,
    /// In.
    pub ingress_bytes: u64,
}

/// Measures one node.
pub struct Meter {
    limits: Limits,
    cores: f64,
    machine_bytes: Option<u64>,
    process: Process,
    cgroups: Cgroups,
    buffer: Buffer,
    cpu: Growth,
    threads: Vec<Growth>,
    egress: Growth,
    ingress: Growth,
}

impl Meter {
    /// Of this process, which has so many threads that carry media.
    pub fn new(limits: Limits, threads: usize) -> Self {
        Self {
            limits,
            cores: std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64),
            machine_bytes: machine_bytes(),
            process: Process::this(threads),
            cgroups: Cgroups::of_this_process(),
            buffer: Buffer::default(),
            cpu: Growth::default(),
            threads: Vec::new(),
            egress: Growth::default(),
            ingress: Growth::default(),
        }
    }

    /// What is in use now.
    pub fn usage(&mut self, now: Instant, traffic: Traffic) -> Usage {
        let mut usage = Usage::default();
        usage.set(Resource::Cpu, self.cpu(now));
        usage.set(Resource::Memory, self.memory());
        let share = |growth: &mut Growth, bytes: u64, limit: Option<u64>| {
            let bps = growth.per_second(now, bytes as f64 * 8.0)?;
            Some(bps / limit? as f64)
        };
        usage.set(Resource::Egress, share(&mut self.egress, traffic.egress_bytes, self.limits.egress_bps));
        usage.set(Resource::Ingress, share(&mut self.ingress, traffic.ingress_bytes, self.limits.ingress_bps));
        usage.set(Resource::Files, self.files());
        usage
    }

    /// The whole process against what it is given, or its busiest media thread against one processor.
    fn cpu(&mut self, now: Instant) -> Option<f64> {
        let given = self.cgroups.processors(&mut self.buffer).map_or(self.cores, |quota| quota.min(self.cores));
        let seconds = self.process.cpu_seconds(&mut self.buffer);
        let process = seconds.and_then(|seconds| self.cpu.per_second(now, seconds)).map(|used| used / given);
        let seconds = self.process.thread_seconds(&mut self.buffer);
        self.threads.resize(seconds.len(), Growth::default());
        let threads = self.threads.iter_mut().zip(seconds);
        let busiest = threads.filter_map(|(thread, seconds)| thread.per_second(now, seconds)).reduce(f64::max);
        [process, busiest].into_iter().flatten().reduce(f64::max)
    }

    /// Against the configured limit or the machine's memory, and what control groups count against theirs.
    fn memory(&mut self) -> Option<f64> {
        let limit = self.limits.memory_bytes.into_iter().chain(self.machine_bytes).min();
        let resident = self.process.resident_bytes(&mut self.buffer);
        let own = resident.zip(limit).map(|(resident, limit)| resident as f64 / limit as f64);
        [own, self.cgroups.memory_share(&mut self.buffer)].into_iter().flatten().reduce(f64::max)
    }

    fn files(&mut self) -> Option<f64> {
        let max = self.process.files_max(&mut self.buffer).filter(|max| *max > 0)?;
        // Nobody is let look when there is no handle left.
        Some(self.process.files().map_or(1.0, |files| files as f64 / max as f64))
    }
}

/// Has the allocator give back what was freed: glibc keeps it otherwise, and a node that was full of people once would
/// look so for good.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes a plain number and locks the allocator by itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_are_taken_of_what_was_added_since_the_last_time() {
        let limits = Limits { egress_bps: Some(8_000_000), memory_bytes: Some(1 << 20), ..Limits::default() };
        let (mut meter, mut now) = (Meter::new(limits, 0), Instant::now());
        let first = meter.usage(now, Traffic { egress_bytes: 5_000_000, ingress_bytes: 0 });
        assert_eq!(first.get(Resource::Egress), None, "nothing to compare with");
        assert!(first.get(Resource::Memory).unwrap() > 1.0, "a test has more than a megabyte");
        assert!(first.get(Resource::Files).is_none_or(|share| share > 0.0 && share < 1.0));
        now += Duration::from_millis(500);
        let second = meter.usage(now, Traffic { egress_bytes: 5_400_000, ingress_bytes: 9 });
        assert!((second.get(Resource::Egress).unwrap() - 0.8).abs() < 1e-9);
        assert_eq!(second.get(Resource::Ingress), None, "it has no limit");
        assert!(second.get(Resource::Cpu).is_some());
        let anew = meter.usage(now + Duration::from_secs(1), Traffic::default());
        assert_eq!(anew.get(Resource::Egress), None, "a counter that begins anew tells nothing");
    }

    #[test]
    fn one_worker_that_is_busy_makes_a_node_busy_whose_other_processors_are_idle() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("task/9")).unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        let used = |ticks: u64, nanos: u64| {
            write("stat", format!("7 (origo) S 1 2 3 4 5 6 7 8 9 10 {ticks} 0 0 0 20"));
            write("task/9/comm", "media-1\n".to_owned());
            write("task/9/schedstat", format!("{nanos} 1 1\n"));
        };
        used(1_000, 5_000_000_000);
        let mut meter = Meter::new(Limits::default(), 1);
        (meter.cores, meter.process) = (64.0, Process::at(folder.path(), 1));
        let now = Instant::now();
        meter.usage(now, Traffic::default());
        used(1_095, 5_900_000_000);
        let cpu = meter.usage(now + Duration::from_secs(1), Traffic::default()).get(Resource::Cpu).unwrap();
        assert!((cpu - 0.9).abs() < 1e-9, "{cpu}: all in all one of 64 processors is in use");
    }
}
