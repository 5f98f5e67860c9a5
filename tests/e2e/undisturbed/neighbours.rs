//! Two people in a call beside somebody who means harm: whatever that one does, their media and data come whole.

use std::time::Duration;

use origo_client::{Event, Fleet, Options, Participant, VideoOptions};
use origo_tests::metrics::Metrics;
use origo_tests::node::Node;
use origo_tests::process::origo;

/// Longest wait for anything.
pub const WAIT: Duration = Duration::from_secs(20);
/// Longest pause in a picture of 30 frames a second that nobody notices, on a busy machine.
const GAP_MAX: Duration = Duration::from_millis(700);
/// Where everybody is.
pub const ROOM: &str = "lobby";

/// A node with one media worker, and a call on it.
pub struct Neighbours {
    pub node: Node,
    pub viewer: Participant,
    /// Sid of the picture that they share.
    pub track: String,
    publisher: Participant,
    fleet: Fleet,
}

impl Neighbours {
    /// Media flows between them.
    pub async fn start() -> Self {
        let node = Node::start(&origo().unwrap(), &["--workers", "1"]).unwrap();
        let fleet = Fleet::start().unwrap();
        let mut publisher = fleet.connect(&node.url(), &node.token(ROOM, "publisher"), Options::v1()).await.unwrap();
        publisher.publish_video("camera", VideoOptions::single(30, 2, 800));
        let named = |event: &Event| match event {
            Event::TrackPublished { track, .. } => Some(track.sid.clone()),
            _ => None,
        };
        let track = publisher.wait_for(WAIT, named).await.expect("the track gets a sid");
        let mut viewer = fleet.connect(&node.url(), &node.token(ROOM, "viewer"), Options::v0()).await.unwrap();
        let first = |event: &Event| matches!(event, Event::FirstPacket { .. }).then_some(());
        viewer.wait_for(WAIT, first).await.expect("media flows before any harm");
        Self { node, viewer, track, publisher, fleet }
    }

    /// Somebody else joins.
    pub async fn join(&self, identity: &str) -> Participant {
        let token = self.node.token(ROOM, identity);
        self.fleet.connect(&self.node.url(), &token, Options::v1()).await.unwrap()
    }

    /// How often the node dropped something.
    pub fn dropped(&self, what: &str, reason: &str) -> f64 {
        let page = Metrics::read(&self.node.metrics()).expect("the metrics page");
        page.sum("origo_dropped_total", &[("what", what), ("reason", reason)])
    }

    /// Waits until the node dropped that much.
    pub async fn counts(&self, what: &str, reason: &str, least: f64) {
        let counted = async {
            while self.dropped(what, reason) < least {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let late = || panic!("{what}, {reason}: {} of {least}", self.dropped(what, reason));
        tokio::time::timeout(WAIT, counted).await.unwrap_or_else(|_| late());
    }

    /// Everything came, without a pause, and data still goes through.
    pub async fn are_undisturbed(&mut self) {
        self.publisher.send_data(true, "neighbours", b"are you there?");
        let data = |event: &Event| match event {
            Event::Data { packet, .. } => (packet.participant_identity == "publisher").then_some(()),
            _ => None,
        };
        self.viewer.wait_for(Duration::from_secs(2), data).await.expect("data comes at once");
        let before = self.viewer.report().await.tracks[0].total();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let track = self.viewer.report().await.tracks.remove(0);
        let total = track.total();
        assert!(total.unique > before.unique + 30, "media stopped: {before:?}, then {total:?}");
        assert_eq!((total.lost, total.duplicates), (0, 0), "{total:?}");
        let gap = Duration::from_micros(track.longest_gap_us);
        assert!(gap < GAP_MAX, "the picture stood still for {gap:?}");
        for participant in [&mut self.publisher, &mut self.viewer] {
            let sent_away = |event: &Event| matches!(event, Event::Leave(_) | Event::Closed { .. }).then_some(());
            assert!(participant.wait_for(Duration::ZERO, sent_away).await.is_none(), "a neighbour was sent away");
        }
        let stderr = self.node.process.stderr();
        assert!(self.node.process.is_running() && !stderr.contains("panicked"), "{stderr}");
    }
}
