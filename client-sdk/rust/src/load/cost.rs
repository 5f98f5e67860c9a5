//! What a run costs: processor time of this process and of the server's.

use std::time::Duration;

use serde::Serialize;

/// Processor times, from a beginning.
#[derive(Clone, Debug)]
pub struct Cost {
    own: Duration,
    servers: Vec<(u32, Option<Duration>)>,
}

/// What was spent while packets were received.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spent {
    /// Packets received meanwhile.
    pub received: u64,
    /// Seconds of this process.
    pub own_seconds: f64,
    /// Microseconds of this process a packet received: publishing and everything else in it.
    pub own_us_per_packet: f64,
    /// Seconds of the server's processes; `None` when none was named, or one has ended.
    pub server_seconds: Option<f64>,
    /// The server's microseconds a packet received.
    pub server_us_per_packet: Option<f64>,
    /// Packets received for each second of the server's.
    pub server_packets_per_second: Option<f64>,
}

impl Cost {
    /// Reads the clocks.
    pub fn begin(pids: &[u32]) -> Self {
        Self { own: own_cpu(), servers: pids.iter().map(|pid| (*pid, process_cpu(*pid))).collect() }
    }

    /// What was spent since.
    pub fn spent(&self, received: u64) -> Spent {
        let since = |(pid, before): &(u32, Option<Duration>)| Some(process_cpu(*pid)?.saturating_sub((*before)?));
        let servers: Option<Duration> = self.servers.iter().map(since).sum();
        let (own, packets) = (own_cpu().saturating_sub(self.own).as_secs_f64(), received.max(1) as f64);
        let server = servers.filter(|_| !self.servers.is_empty()).map(|spent| spent.as_secs_f64());
        Spent {
            received,
            own_seconds: own,
            own_us_per_packet: own * 1e6 / packets,
            server_seconds: server,
            server_us_per_packet: server.map(|server| server * 1e6 / packets),
            server_packets_per_second: server.map(|server| received as f64 / server.max(1e-9)),
        }
    }
}

/// Processor time of all threads of a process, from `/proc/<pid>/task/*/schedstat`; `None` when there is no such
/// process.
pub fn process_cpu(pid: u32) -> Option<Duration> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanos = |task: std::io::Result<std::fs::DirEntry>| {
        // A thread may end between the listing and the reading.
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Some(Duration::from_nanos(tasks.filter_map(nanos).sum()))
}

fn own_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_spent_by_work_and_a_process_that_is_not_has_none() {
        let cost = Cost::begin(&[std::process::id()]);
        let mut sum = 0_u64;
        while cost.spent(0).own_seconds < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cost.spent(0).server_seconds.is_some());
        assert_eq!(process_cpu(u32::MAX), None);
        assert_eq!(Cost::begin(&[]).spent(0).server_seconds, None);
    }
}
