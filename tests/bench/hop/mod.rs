//! What one hop of the cascade costs: time on the way and processor time, beside bare quinn datagrams.
//!
//! Both ends are in this process, on loopback: the path from a media worker's batch over the link thread, QUIC and the
//! other link thread into the other worker's inbox, against two quinn endpoints with the same transport settings and
//! nothing above them. Each has the process to itself while it is measured.

mod bare;
mod load;
mod mesh;
mod report;

use std::time::Duration;

use anyhow::Result;

pub use report::Report;

/// Time to let everything find its level before a section.
const WARM_UP: Duration = Duration::from_secs(1);

/// Measures rounds of sections of that length, cascade and bare quinn in turn.
pub async fn measure(rounds: usize, length: Duration) -> Result<Report> {
    let mut report = Report::default();
    for round in 1..=rounds {
        eprintln!("hop: round {round} of {rounds}");
        report.cascade.push(mesh::section(length).await?);
        report.bare.push(bare::section(length).await?);
    }
    Ok(report)
}
