//! What a join costs a node: a viewer of one camera, one after the other.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::joins::{self, Joins};
use origo_tests::node::Node;

use crate::rig::JOIN_WAIT;

/// Joins of a series.
const JOINS: usize = 20;
/// How long the publisher sends before it rests.
const FLOWS: Duration = Duration::from_millis(300);

/// A node with a publisher who rests, for one series: everybody leaves with it.
pub async fn series(origo: &Path) -> Result<Joins> {
    let flags = ["--workers", "1", "--log", "warn", "--overload=false", "--bwe=false", "--egress=own"];
    let node = Node::start(origo, &flags)?;
    let _publisher = publisher(&node).await?;
    let fleet = Fleet::start()?;
    let connect = async |number: usize| -> Result<Participant> {
        let token = node.token("bench", &format!("viewer-{number}"));
        Ok(fleet
            .connect(&node.url(), &token, Options { light: true, join_timeout: JOIN_WAIT, ..Options::v1() })
            .await?)
    };
    joins::measure(node.process.pid(), JOINS, connect).await
}

async fn publisher(node: &Node) -> Result<Participant> {
    let token = node.token("bench", "publisher");
    let mut publisher = Fleet::start()?.connect(&node.url(), &token, Options::v1()).await?;
    publisher.publish_video("camera", VideoOptions::single(30, 8, 1_150));
    let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
    publisher.wait_for(Duration::from_secs(10), flows).await.context("a track is not negotiated")?;
    // A track is there for others once something of it has come.
    tokio::time::sleep(FLOWS).await;
    publisher.pause();
    Ok(publisher)
}
