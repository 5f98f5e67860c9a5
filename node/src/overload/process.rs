//! What this process uses, as `/proc` tells it.

use std::fs;
use std::path::{Path, PathBuf};

use super::text::{Buffer, Text, value_of};

/// Ticks of `/proc/self/stat` in a second: `USER_HZ`, which is 100 on every Linux that the node runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Names of threads through which media passes, by their beginning.
const MEDIA_THREADS: [&str; 2] = ["media-", "origo-links"];

/// The process.
pub struct Process {
    folder: PathBuf,
    stat: Option<Text>,
    status: Option<Text>,
    limits: Option<Text>,
    threads: Vec<Text>,
    /// How many threads carry media.
    threads_expected: usize,
}

impl Process {
    /// This process, which has so many threads that carry media, or will.
    pub fn this(threads: usize) -> Self {
        Self::at(Path::new("/proc/self"), threads)
    }

    /// The one that a folder like `/proc/self` tells of.
    pub(super) fn at(folder: &Path, threads_expected: usize) -> Self {
        let open = |name| Text::open(&folder.join(name));
        let (stat, status, limits) = (open("stat"), open("status"), open("limits"));
        Self { folder: folder.to_owned(), stat, status, limits, threads: Vec::new(), threads_expected }
    }

    /// Seconds of processors that it has used so far.
    pub fn cpu_seconds(&self, buffer: &mut Buffer) -> Option<f64> {
        let text = self.stat.as_ref()?.read(buffer)?;
        // The name before it may hold spaces and brackets.
        let (_, rest) = text.rsplit_once(')')?;
        let mut ticks = rest.split_whitespace().skip(11).map(|word| word.parse::<u64>().ok());
        Some((ticks.next()?? + ticks.next()??) as f64 / TICKS_PER_SECOND)
    }

    /// The same of each thread that carries media, in an order that stays.
    pub fn thread_seconds(&mut self, buffer: &mut Buffer) -> Vec<f64> {
        if self.threads.len() < self.threads_expected {
            // A thread names itself a moment after it has begun.
            self.threads = threads(&self.folder);
        }
        let nanos = |text: &Text, buffer: &mut Buffer| -> Option<f64> {
            text.read(buffer)?.split_whitespace().next()?.parse::<f64>().ok()
        };
        self.threads.iter().map(|thread| nanos(thread, buffer).unwrap_or(0.0) / 1e9).collect()
    }

    /// Bytes of memory that it occupies.
    pub fn resident_bytes(&self, buffer: &mut Buffer) -> Option<u64> {
        Some(value_of(self.status.as_ref()?.read(buffer)?, "VmRSS:")? * 1024)
    }

    /// File handles that it has open.
    pub fn files(&self) -> Option<u64> {
        let folder = self.folder.join("fd");
        // Linux from 6.2 on tells so without being given a handle to look with.
        match fs::metadata(&folder).ok()?.len() {
            0 => Some(fs::read_dir(&folder).ok()?.count() as u64),
            count => Some(count),
        }
    }

    /// How many it may open; none for any number. An operator may change it while the node runs.
    pub fn files_max(&self, buffer: &mut Buffer) -> Option<u64> {
        let text = self.limits.as_ref()?.read(buffer)?;
        let rest = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

/// What counts the time of each thread that carries media.
fn threads(folder: &Path) -> Vec<Text> {
    let carries_media = |task: &PathBuf| {
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        MEDIA_THREADS.iter().any(|media| name.starts_with(media))
    };
    let Ok(tasks) = fs::read_dir(folder.join("task")) else { return Vec::new() };
    let mut tasks: Vec<PathBuf> = tasks.flatten().map(|task| task.path()).filter(carries_media).collect();
    tasks.sort();
    tasks.iter().filter_map(|task| Text::open(&task.join("schedstat"))).collect()
}

/// Bytes of memory that the machine has.
pub fn machine_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    Some(value_of(&text, "MemTotal:")? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_of_everything() {
        let buffer = &mut Buffer::default();
        let process = Process::this(0);
        assert!(process.cpu_seconds(buffer).is_some());
        assert!(process.resident_bytes(buffer).unwrap() > 1 << 20);
        assert!(process.resident_bytes(buffer) < machine_bytes());
        let before = process.files().unwrap();
        let more: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert!(process.files().unwrap() >= before + 40, "other tests open and close some meanwhile");
        drop(more);
        assert!(process.files_max(buffer).is_none_or(|max| max > before));
    }

    #[test]
    fn times_are_read_after_a_name_that_holds_everything() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("stat", "7 (a ) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20");
        write("task/9/comm", "media-0\n");
        write("task/9/schedstat", "2500000000 1 1\n");
        write("task/8/comm", "node\n");
        let buffer = &mut Buffer::default();
        let mut process = Process::at(folder.path(), 1);
        assert_eq!(process.cpu_seconds(buffer), Some(2.0));
        assert_eq!(process.thread_seconds(buffer), [2.5]);
        assert_eq!((process.resident_bytes(buffer), process.files_max(buffer)), (None, None));
        write(
            "limits",
            "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n",
        );
        assert_eq!(Process::at(folder.path(), 1).files_max(buffer), Some(1024));
    }
}
