//! Ctrl-C and its like: noted by a handler and looked for wherever a run waits, so that everything is taken down again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often somebody who waits looks.
const LOOKS_EVERY: Duration = Duration::from_millis(20);

static ASKED: AtomicBool = AtomicBool::new(false);

/// Somebody asked for the end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// From now on SIGINT, SIGTERM and SIGHUP are noted instead of ending the process.
pub fn watch() {
    extern "C" fn note(_: libc::c_int) {
        ASKED.store(true, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler stores into an atomic, which a handler may do.
        unsafe { libc::signal(signal, note as *const () as libc::sighandler_t) };
    }
}

/// An error once somebody asked.
pub fn look() -> Result<(), Interrupted> {
    if ASKED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// Waits until an instant, to a fraction of a millisecond, or until somebody asks for the end.
pub fn sleep_until(at: Instant) -> Result<(), Interrupted> {
    loop {
        look()?;
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOKS_EVERY));
    }
}
