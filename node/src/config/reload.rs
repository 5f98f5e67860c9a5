//! Reads the API keys again when the configuration file changes, or when the process is told to (SIGHUP).

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{LiveKeys, Sources};

/// How often the file is looked at: a revoked key is gone within this time.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Follows the file until the process ends. A file that cannot be taken leaves the keys as they were.
pub async fn follow(sources: Sources, keys: LiveKeys) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = sources.file_text().ok().flatten();
    loop {
        let told = tokio::select! {
            _ = look.tick() => false,
            _ = hangup.recv() => true,
        };
        let text = sources.file_text().ok().flatten();
        if told || text != last {
            reload(&sources, &keys);
            last = text;
        }
    }
}

fn reload(sources: &Sources, keys: &LiveKeys) {
    match sources.load() {
        Ok(loaded) => {
            tracing::info!(keys = loaded.config.keys.0.len(), "API keys read again");
            keys.replace(loaded.config.keys);
        }
        Err(error) => tracing::warn!(error = format!("{error:#}"), "API keys stay as they were"),
    }
}
