//! What joins cost a server, one after the other.

use std::time::Duration;

use anyhow::{Context, Result};
use origo_client::{Event, Participant};

use crate::process::cpu_time;

/// Longest wait for a participant to be told that it receives.
const SUBSCRIBED_WAIT: Duration = Duration::from_secs(30);
/// What the server does after the last one is up still counts.
const AFTERMATH: Duration = Duration::from_millis(100);

/// A series of joins.
#[derive(Clone, Debug)]
pub struct Joins {
    /// From the offer being sent, or taken, to ICE and DTLS being up; each join's.
    pub offer_to_connected: Vec<Duration>,
    /// From the call to the same; each join's.
    pub whole: Vec<Duration>,
    /// Processor time of the server for one join.
    pub cpu: Duration,
}

/// Joins `count` times with `connect`, which gets the number of the join; a join is over when its first subscription is
/// agreed on. Everybody stays until the end, so that no thread of the server ends with its count.
pub async fn measure(pid: u32, count: usize, connect: impl AsyncFn(usize) -> Result<Participant>) -> Result<Joins> {
    let (mut offer_to_connected, mut whole, mut there) = (Vec::new(), Vec::new(), Vec::new());
    let before = cpu_time(pid)?;
    for number in 0..count {
        let mut participant = connect(number).await?;
        let subscribed = |event: &Event| matches!(event, Event::TrackSubscribed(_)).then_some(());
        participant.wait_for(SUBSCRIBED_WAIT, subscribed).await.context("nothing to receive")?;
        offer_to_connected.push(participant.offer_time());
        whole.push(participant.join_time());
        there.push(participant);
    }
    tokio::time::sleep(AFTERMATH).await;
    let cpu = (cpu_time(pid)? - before) / count.max(1) as u32;
    Ok(Joins { offer_to_connected, whole, cpu })
}
