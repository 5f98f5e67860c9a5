//! One person of a script: comes, publishes, takes what it should, comes again when it was dropped, and goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livekit_protocol as proto;
use proto::signal_request::Message;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::record::{PersonRecord, TrackRecord};
use super::{Person, Stage, Taking};
use crate::participant::Participant;
use crate::{ConnectError, Event, Options};

/// Longest wait for a server: another may answer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the goodbye to be on its way.
const GOODBYE: Duration = Duration::from_secs(2);

/// The life of one person.
pub(super) async fn live(stage: &Stage, person: Person) -> PersonRecord {
    let mut record = PersonRecord { identity: person.identity.clone(), ..PersonRecord::default() };
    let leaves = person.leave_ms.map_or(stage.end, |at| stage.at(at)).min(stage.end);
    sleep_until(stage.at(person.join_ms)).await;
    for url in person.urls.iter().cycle() {
        if Instant::now() >= leaves {
            break;
        }
        match join(stage, &person, url).await {
            Err(error) => {
                record.refused.push((unix_us(), error.to_string()));
                sleep(Duration::from_millis(person.back_ms)).await;
            }
            Ok(participant) => {
                record.joined.push((unix_us(), participant.join_time().as_micros() as u64));
                if attend(stage, &person, participant, leaves, &mut record).await {
                    sleep(Duration::from_millis(person.back_ms)).await;
                }
            }
        }
    }
    record
}

async fn join(stage: &Stage, person: &Person, url: &str) -> Result<Participant, ConnectError> {
    let publishes = person.video.is_some() || person.audio.is_some();
    let fleet = if publishes { &stage.publishing } else { &stage.watching };
    let options =
        Options { auto_subscribe: false, light: true, record: true, join_timeout: JOIN_TIMEOUT, ..Options::v1() };
    let participant = fleet.connect(url, &person.token, options).await?;
    person.audio.iter().for_each(|audio| participant.publish_audio("microphone", audio.options()));
    person.video.iter().for_each(|video| participant.publish_video("camera", video.options()));
    Ok(participant)
}

/// Is there until it goes or the server ends it; whether it did.
async fn attend(
    stage: &Stage,
    person: &Person,
    mut participant: Participant,
    leaves: Instant,
    record: &mut PersonRecord,
) -> bool {
    let mut wants = Wants::default();
    let mut takes: VecDeque<Taking> = person.takes.iter().copied().collect();
    wants.learn(&participant.joined().other_participants.clone());
    let dropped = loop {
        while let Some(taking) = takes.pop_front_if(|taking| stage.at(taking.at_ms) <= Instant::now()) {
            wants.takes = Some(taking);
        }
        wants.ask(&participant);
        let next = takes.front().map_or(leaves, |taking| stage.at(taking.at_ms).min(leaves));
        tokio::select! {
            () = sleep_until(next) => if Instant::now() >= leaves { break false },
            event = participant.next_event() => match event {
                Some(Event::Participants(people)) => wants.learn(&people),
                Some(Event::KeyframeRequested { .. }) => record.asked.push(unix_us()),
                Some(Event::Closed { reason }) => {
                    record.ended.push((unix_us(), reason));
                    break true;
                }
                Some(_) => {}
                None => break true,
            },
        }
    };
    let tracks = participant.report().await.tracks.into_iter().map(|track| TrackRecord {
        publisher: wants.identities.get(&track.publisher).cloned().unwrap_or(track.publisher),
        video: track.video,
        arrivals: track.arrivals,
    });
    record.tracks.extend(tracks.filter(|track| !track.arrivals.is_empty()));
    if !dropped {
        // One that does not get away in time is cut off.
        let _ = timeout(GOODBYE, participant.leave()).await;
    }
    dropped
}

/// What there is, what is wanted of it, and what has been asked for.
#[derive(Debug, Default)]
struct Wants {
    takes: Option<Taking>,
    /// Who a session is of.
    identities: BTreeMap<String, String>,
    /// Tracks of others: whether they are pictures.
    tracks: BTreeMap<String, bool>,
    subscribed: BTreeSet<String>,
    /// Layers that were asked for.
    layers: BTreeMap<String, u8>,
}

impl Wants {
    fn learn(&mut self, people: &[proto::ParticipantInfo]) {
        for person in people {
            self.identities.insert(person.sid.clone(), person.identity.clone());
            for track in &person.tracks {
                self.tracks.insert(track.sid.clone(), track.r#type() == proto::TrackType::Video);
            }
        }
    }

    /// Asks for what is wanted and has not been asked for yet. Of a picture the layer is said first, so that nobody ever
    /// sends another one.
    fn ask(&mut self, participant: &Participant) {
        let Some(takes) = self.takes else { return };
        for (track, video) in &self.tracks {
            let layer = takes.layer.filter(|_| *video);
            if let Some(layer) = layer
                && self.layers.insert(track.clone(), layer) != Some(layer)
            {
                let quality = i32::from(layer.min(2));
                let track_sids = vec![track.clone()];
                let settings = proto::UpdateTrackSettings { track_sids, quality, ..Default::default() };
                participant.request(Message::TrackSetting(settings));
            }
            let wanted = if *video { layer.is_some() } else { takes.audio };
            let changed = if wanted { self.subscribed.insert(track.clone()) } else { self.subscribed.remove(track) };
            if changed {
                participant.request(Message::Subscription(proto::UpdateSubscription {
                    track_sids: vec![track.clone()],
                    subscribe: wanted,
                    ..Default::default()
                }));
            }
        }
    }
}

fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
