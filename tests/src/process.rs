//! Child processes that end with the test that started them.

use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long a process may take to end after SIGTERM before it is killed.
const END_WAIT: Duration = Duration::from_secs(5);
/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(5);

/// A running process with what it prints.
pub struct Process {
    child: Child,
    /// Lines of stdout as they come.
    pub stdout: mpsc::Receiver<String>,
    stderr: Arc<Mutex<Vec<String>>>,
}

/// The `origo` to test: `$ORIGO_BIN`, else the one that `cargo build` makes.
pub fn origo() -> Result<PathBuf> {
    let built = || {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from);
        target.join("debug/origo")
    };
    let path = std::env::var_os("ORIGO_BIN").map_or_else(built, PathBuf::from);
    ensure!(path.is_file(), "{} is missing: run `cargo build -p origo-node`, or set ORIGO_BIN", path.display());
    Ok(path)
}

impl Process {
    /// Starts a command with its output captured.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        // The name of the program under test would be an unknown setting to it.
        command.env_remove("ORIGO_BIN");
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let (lines, stdout) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().context("stdout is piped")?);
        std::thread::spawn(move || {
            for line in out.lines().map_while(io::Result::ok) {
                // A test that no longer listens does not need the line.
                let _ = lines.send(line);
            }
        });
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let (kept, err) = (stderr.clone(), BufReader::new(child.stderr.take().context("stderr is piped")?));
        std::thread::spawn(move || {
            for line in err.lines().map_while(io::Result::ok) {
                kept.lock().expect("no panic while held").push(line);
            }
        });
        Ok(Self { child, stdout, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has written to stderr.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic while held").join("\n")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        // SAFETY: kill takes plain numbers; the child is not reaped before `wait`, so the pid is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
    }

    /// Sends SIGKILL: it says goodbye to nobody.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.terminate();
        }
        if self.wait(END_WAIT).is_none() {
            // It may have ended between the two calls.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether a process of that id exists.
pub fn exists(pid: u32) -> bool {
    // SAFETY: signal 0 asks for the process alone.
    unsafe { libc::kill(pid as libc::pid_t, 0) == 0 }
}

/// Resident memory of a process, bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// Processor time of all threads of a process, from `/proc/<pid>/task/*/schedstat`.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let nanos: u64 = text.split(' ').next().and_then(|word| word.parse().ok()).context("schedstat")?;
        total += Duration::from_nanos(nanos);
    }
    Ok(total)
}

/// Waits until `probe` gives something, looking every few milliseconds.
pub fn until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(POLL);
    }
}
