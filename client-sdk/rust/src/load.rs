//! A room full of headless participants: who joins, for how long, and what they saw.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use origo_auth::{Claims, Secret, VideoGrant};

use crate::participant::Participant;
use crate::summary::Summary;
use crate::{AudioOptions, ConnectError, Event, Fleet, Options, VideoOptions};

/// Life of a token beyond the planned duration.
const TOKEN_SLACK: Duration = Duration::from_secs(600);
/// Longest wait for a publisher's tracks to flow.
const PUBLISH_WAIT: Duration = Duration::from_secs(10);
/// Time for packets on the way to arrive before the last count.
const SETTLE: Duration = Duration::from_millis(300);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Server of the publishers.
    pub url: String,
    /// Server of the subscribers.
    pub subscriber_url: String,
    /// API key that signs the tokens.
    pub api_key: String,
    /// Its secret.
    pub api_secret: Secret,
    /// The room.
    pub room: String,
    /// How many publish.
    pub publishers: usize,
    /// How many receive everything.
    pub subscribers: usize,
    /// Form of the protocol.
    pub options: Options,
    /// The camera of each publisher.
    pub video: Option<VideoOptions>,
    /// The microphone of each publisher.
    pub audio: Option<AudioOptions>,
    /// How long after everybody has joined.
    pub duration: Duration,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No thread for the participants.
    #[error("cannot start a media thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A publisher could not join; a subscriber that cannot is counted instead.
    #[error("publisher {identity} cannot join: {error}")]
    Publisher {
        /// Who.
        identity: String,
        /// Why.
        error: ConnectError,
    },
    /// A publisher's tracks did not come to flow.
    #[error("the tracks of {0} were not negotiated in time")]
    NotPublished(String),
}

/// Does what the plan says. Publishers share one thread and subscribers another, so that frames leave in time.
pub async fn run(plan: &Plan) -> Result<Summary, LoadError> {
    let (publishing, watching) = (Fleet::start()?, Fleet::start()?);
    let mut publishers = Vec::new();
    for number in 0..plan.publishers {
        publishers.push(publish(plan, &publishing, number).await?);
    }
    let (mut subscribers, mut failed) = (Vec::new(), Vec::new());
    for number in 0..plan.subscribers {
        let identity = format!("subscriber-{number}");
        match watching.connect(&plan.subscriber_url, &token(plan, &identity), plan.options.clone()).await {
            Ok(subscriber) => subscribers.push(subscriber),
            Err(error) => failed.push(format!("{identity}: {error}")),
        }
    }
    let began = Instant::now();
    tokio::time::sleep(plan.duration).await;
    for publisher in &publishers {
        publisher.pause();
    }
    let lasted = began.elapsed();
    tokio::time::sleep(SETTLE).await;

    let mut summary = Summary::new(lasted, failed);
    for subscriber in subscribers {
        summary.add_subscriber(subscriber.join_time(), &subscriber.report().await);
        subscriber.leave().await;
    }
    for publisher in publishers {
        summary.add_publisher(publisher.join_time(), &publisher.report().await);
        publisher.leave().await;
    }
    Ok(summary)
}

async fn publish(plan: &Plan, fleet: &Fleet, number: usize) -> Result<Participant, LoadError> {
    let identity = format!("publisher-{number}");
    let joined = fleet.connect(&plan.url, &token(plan, &identity), plan.options.clone()).await;
    let mut publisher = joined.map_err(|error| LoadError::Publisher { identity: identity.clone(), error })?;
    if let Some(video) = &plan.video {
        publisher.publish_video("camera", video.clone());
    }
    if let Some(audio) = &plan.audio {
        publisher.publish_audio("microphone", audio.clone());
    }
    for _ in 0..usize::from(plan.video.is_some()) + usize::from(plan.audio.is_some()) {
        let flows = |event: &Event| matches!(event, Event::TrackFlows { .. }).then_some(());
        publisher.wait_for(PUBLISH_WAIT, flows).await.ok_or_else(|| LoadError::NotPublished(identity.clone()))?;
    }
    Ok(publisher)
}

fn token(plan: &Plan, identity: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = Claims {
        iss: plan.api_key.clone(),
        sub: identity.to_owned(),
        name: identity.to_owned(),
        nbf: now.saturating_sub(5),
        exp: now + (plan.duration + TOKEN_SLACK).as_secs(),
        video: VideoGrant { room_join: true, room: plan.room.clone(), ..Default::default() },
        ..Default::default()
    };
    origo_auth::mint(&claims, &plan.api_secret)
}
