//! Programs that a run starts: found beside this one, in a namespace, and gone when this process is.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::namespace::Namespace;

/// How long a program may take to end before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
const LOOKS_EVERY: Duration = Duration::from_millis(5);
/// Before ordinary work of the machine: what is measured is the mesh.
const NICENESS: i32 = -15;
/// Lines of a log's end that an error shows.
const TAIL_LINES: usize = 8;

/// The two programs that a run starts.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `origo`.
    pub origo: PathBuf,
    /// `origo-load`.
    pub load: PathBuf,
}

impl Programs {
    /// As told, or else those beside this program.
    pub fn find(origo: Option<&Path>, load: Option<&Path>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("finding this program")?;
        let beside = |name: &str| own.with_file_name(name);
        let origo = origo.map_or_else(|| beside("origo"), Path::to_path_buf);
        let load = load.map_or_else(|| beside("origo-load"), Path::to_path_buf);
        for (program, package, flag) in [(&origo, "origo-node", "--origo"), (&load, "origo-client", "--load")] {
            let path = program.display();
            ensure!(program.is_file(), "{path} is missing: `cargo build -p {package}` makes it, or name it by {flag}");
        }
        Ok(Self { origo, load })
    }
}

/// A running program. It ends with this value.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it in a namespace; what it says goes to the end of a log.
    pub fn start(command: &mut Command, namespace: &Namespace, log: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("making the log {}", log.display()))?;
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let (mut enter, parent) = (namespace.entrance(), std::process::id().cast_signed());
        let before = move || {
            enter()?;
            // SAFETY: it takes integers, and may be called between fork and exec. Where it is refused, the mesh waits its turn.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
            bind_to(parent)
        };
        // SAFETY: the closure calls functions that are safe between fork and exec, and allocates nothing.
        unsafe { command.pre_exec(before) };
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: i32) {
        if self.ended().is_none() {
            // SAFETY: kill takes two integers; the child is not reaped yet, so that its id is still its own.
            unsafe { libc::kill(self.pid().cast_signed(), signal) };
        }
    }

    /// Waits for its end, but not for longer than this.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LOOKS_EVERY);
        }
    }

    /// Ends it at once, as a loss of power would.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.wait(ENDS_WITHIN);
    }

    /// The last lines that it said.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The kernel ends this process when its parent is gone, however that went.
fn bind_to(parent: i32) -> io::Result<()> {
    // SAFETY: prctl and getppid take and give integers, and both may be called between fork and exec.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have gone before the line above.
        if libc::getppid() != parent {
            return Err(io::ErrorKind::NotFound.into());
        }
    }
    Ok(())
}
