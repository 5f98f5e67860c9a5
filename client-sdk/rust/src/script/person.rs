//! One person of a script: comes, publishes, takes what it should, goes on at another node when its own asks for that,
//! comes again when it was dropped, and goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livekit_protocol as proto;
use proto::signal_request::Message;
use proto::signal_response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::record::{PersonRecord, TrackRecord};
use super::{Person, Stage, Taking};
use crate::participant::Participant;
use crate::signal::Socket;
use crate::{ConnectError, Event, Join, Options, Successor};

/// Longest wait for a server: another may answer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the goodbye to be on its way.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long SDKs wait for their half of a socket's end before they try again: `MAX_WS_CLOSE_TIME` of `livekit-client`.
const CLOSES_WITHIN: Duration = Duration::from_millis(250);
/// Longest wait for a node to say that it lives.
const LIVES_WITHIN: Duration = Duration::from_secs(5);
/// As `@origo/client`: how long what the old session gets may take to flow in its successor, and how long the old one goes
/// on after that.
const FLOWS_WITHIN: Duration = Duration::from_secs(6);
const SENDS_ON: Duration = Duration::from_secs(3);
/// Topic of the packet by which a node asks its client to go on at another one.
const MOVE_TOPIC: &str = "origo.move";

/// How a stay ended.
enum End {
    /// It was time to go.
    Leaves,
    /// The server is gone, or ended it.
    Dropped,
    /// The server said to reconnect.
    SentOn,
}

/// Where somebody is served: servers in the order in which they come next.
struct Places<'a> {
    urls: &'a [String],
    at: usize,
}

impl<'a> Places<'a> {
    fn here(&self) -> &'a str {
        &self.urls[self.at]
    }

    /// Those that follow, each once.
    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (at, count) = (self.at, self.urls.len());
        (1..count).map(move |step| (at + step) % count)
    }

    fn go_on(&mut self) {
        self.at = (self.at + 1) % self.urls.len();
    }
}

/// The life of one person. Who lost its server comes back as `RTCEngine.ts` of `livekit-client` 2.23 does it: it asks for
/// its session first, and joins anew once it hears that there is none. The name that it knows is of all servers, and leads
/// to the next one from then on.
pub(super) async fn live(stage: &Stage, mut person: Person) -> PersonRecord {
    let mut record = PersonRecord { identity: person.identity.clone(), ..PersonRecord::default() };
    let leaves = person.leave_ms.map_or(stage.end, |at| stage.at(at)).min(stage.end);
    if person.urls.is_empty() {
        return record;
    }
    sleep_until(stage.at(person.join_ms)).await;
    let urls = std::mem::take(&mut person.urls);
    let (mut places, mut backoff) = (Places { urls: &urls, at: 0 }, Backoff::new(person.seed));
    let (mut before, mut resumes) = (None::<String>, false);
    while Instant::now() < leaves {
        let resumed = before.as_deref().filter(|_| resumes);
        if let Some(session) = resumed {
            if resume_in_vain(places.here(), &person.token, session).await {
                resumes = false;
            } else {
                places.go_on();
            }
        } else {
            match join(stage, &person, places.here(), before.as_deref()).await {
                Ok(participant) => {
                    backoff.reset();
                    match attend(stage, &mut person, participant, leaves, &mut record, &mut before, &mut places).await {
                        End::Leaves => break,
                        End::SentOn => {}
                        End::Dropped => {
                            resumes = !person.moves;
                            sleep(CLOSES_WITHIN).await;
                        }
                    }
                }
                Err(error) => record.refused.push((unix_us(), error.to_string())),
            }
            places.go_on();
        }
        match backoff.next() {
            Some(after) => sleep(after).await,
            None => break,
        }
    }
    record
}

async fn join(stage: &Stage, person: &Person, url: &str, before: Option<&str>) -> Result<Participant, ConnectError> {
    let publishes = person.video.is_some() || person.audio.is_some();
    let fleet = if publishes { &stage.publishing } else { &stage.watching };
    let successor = before.map_or(Successor::Able, |session| Successor::Of(session.to_owned()));
    let options = Options {
        auto_subscribe: false,
        light: true,
        watches: person.moves,
        dies_silently: true,
        record: true,
        join_timeout: JOIN_TIMEOUT,
        successor: person.moves.then_some(successor),
        ..Options::v1()
    };
    let participant = fleet.connect(url, &person.token, options).await?;
    person.audio.iter().for_each(|audio| participant.publish_audio("microphone", audio.options(stage)));
    person.video.iter().for_each(|video| participant.publish_video("camera", video.options(stage)));
    Ok(participant)
}

/// Asks a server to go on with a session, which it does not have. Whether it says so.
async fn resume_in_vain(url: &str, token: &str, session: &str) -> bool {
    let options = Options { auto_subscribe: false, ..Options::v1() };
    let url = Join { url, token, options: &options, offer: None, resume: Some(session) }.signal_url();
    let asked = async {
        let mut socket = Socket::connect(&url).await.ok()?;
        let answer = socket.next().await?.ok();
        socket.close().await;
        answer
    };
    timeout(JOIN_TIMEOUT, asked).await.ok().flatten().is_some()
}

/// Opens a session at one of the next nodes, as `@origo/client` does when nothing comes of its own any more; not if its own
/// answers before that session stands. Gives where it is.
async fn open_elsewhere(
    stage: &Stage,
    person: &Person,
    session: &str,
    places: &Places<'_>,
    record: &mut PersonRecord,
) -> Option<(Participant, usize)> {
    let lives = async {
        if !matches!(timeout(LIVES_WITHIN, answers(places.here())).await, Ok(Ok(()))) {
            std::future::pending::<()>().await;
        }
    };
    let opened = async {
        for place in places.others() {
            match join(stage, person, &places.urls[place], Some(session)).await {
                Ok(successor) => return Some((successor, place)),
                Err(error) => record.refused.push((unix_us(), error.to_string())),
            }
        }
        None
    };
    tokio::select! {
        () = lives => None,
        opened = opened => opened,
    }
}

/// Asks a node for a sign of life.
async fn answers(url: &str) -> io::Result<()> {
    let authority = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let mut socket = TcpStream::connect(authority).await?;
    socket.write_all(format!("HEAD / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    socket.read_u8().await.map(|_| ())
}

/// Is there until it goes or the server ends it. `session` becomes the session that it had, and the person's token the one
/// that it was given last, with which SDKs come back.
async fn attend(
    stage: &Stage,
    person: &mut Person,
    participant: Participant,
    leaves: Instant,
    record: &mut PersonRecord,
    session: &mut Option<String>,
    places: &mut Places<'_>,
) -> End {
    *session = Some(participant.sid().to_owned());
    let mut is_lost = false;
    let mut visit = Visit::begin(participant, None, record);
    let mut former: Option<Former> = None;
    let mut takes: VecDeque<Taking> = person.takes.iter().copied().collect();
    let mut is_sent_on = false;
    // Afterwards others begin to go.
    let mut over = Some(stage.over).filter(|over| *over < leaves);
    let end = loop {
        while let Some(taking) = takes.pop_front_if(|taking| stage.at(taking.at_ms) <= Instant::now()) {
            visit.wants.takes = Some(taking);
        }
        visit.ask();
        if over.take_if(|over| *over <= Instant::now()).is_some() {
            record.shown = Some(visit.present.iter().cloned().collect());
        }
        if let Some(former) = &mut former {
            former.look_at(&visit);
        }
        if let Some(over) = former.take_if(|former| former.until <= Instant::now()) {
            over.visit.end(true, record).await;
        }
        let next = takes.front().map_or(leaves, |taking| stage.at(taking.at_ms).min(leaves));
        let next = over.map_or(next, |over| over.min(next));
        let next = former.as_ref().map_or(next, |former| former.until.min(next));
        tokio::select! {
            () = sleep_until(next) => if Instant::now() >= leaves { break End::Leaves },
            event = visit.participant.next_event() => match event {
                Some(Event::Participants(people)) => visit.learn(&people, record),
                Some(Event::FirstPacket { track, .. }) => _ = visit.flowing.insert(track),
                Some(Event::KeyframeRequested { .. }) => record.asked.push(unix_us()),
                Some(Event::Signal(said)) => {
                    if let Some(signal_response::Message::RefreshToken(token)) = said.message {
                        person.token = token;
                    }
                }
                Some(Event::Leave(leave)) => {
                    is_sent_on = leave.action() == proto::leave_request::Action::Reconnect;
                }
                Some(Event::Data { packet, .. }) if former.is_none() => {
                    let Some(url) = next_node(&packet).filter(|_| person.moves) else { continue };
                    match join(stage, person, &url, Some(visit.participant.sid())).await {
                        Ok(successor) => {
                            record.moved.push(unix_us());
                            let next = Visit::begin(successor, visit.wants.takes, record);
                            former = Some(Former::of(std::mem::replace(&mut visit, next)));
                        }
                        Err(error) => record.refused.push((unix_us(), error.to_string())),
                    }
                }
                Some(Event::SignalLost { reason }) => {
                    record.ended.push((unix_us(), reason));
                    is_lost = true;
                }
                Some(Event::Silent { since }) if former.is_none() => {
                    let fell_silent_us = unix_us() - since.as_micros() as u64;
                    let sid = visit.participant.sid();
                    let Some((successor, place)) = open_elsewhere(stage, person, sid, places, record).await else {
                        continue;
                    };
                    if !std::mem::take(&mut is_lost) {
                        record.ended.push((fell_silent_us, "nothing came of the server any more".to_owned()));
                    }
                    places.at = place;
                    let next = Visit::begin(successor, visit.wants.takes, record);
                    std::mem::replace(&mut visit, next).end(false, record).await;
                }
                Some(Event::Closed { reason }) => {
                    if !is_lost {
                        record.ended.push((unix_us(), reason));
                    }
                    break if is_sent_on { End::SentOn } else { End::Dropped };
                }
                Some(_) => {}
                None => break End::Dropped,
            },
        }
    };
    if let Some(former) = former {
        former.visit.end(true, record).await;
    }
    visit.end(matches!(end, End::Leaves), record).await;
    end
}

/// Where a node asks its client to go on, if the packet is its word.
fn next_node(packet: &proto::DataPacket) -> Option<String> {
    let Some(proto::data_packet::Value::User(user)) = &packet.value else { return None };
    if user.topic.as_deref() != Some(MOVE_TOPIC) || !packet.participant_identity.is_empty() {
        return None;
    }
    let next: serde_json::Value = serde_json::from_slice(&user.payload).ok()?;
    next["url"].as_str().map(str::to_owned)
}

/// A session, and what is asked for in it.
struct Visit {
    participant: Participant,
    wants: Wants,
    /// Who else is in the room.
    present: BTreeSet<String>,
    /// Tracks of which something has come.
    flowing: BTreeSet<String>,
}

impl Visit {
    fn begin(participant: Participant, takes: Option<Taking>, record: &mut PersonRecord) -> Self {
        record.joined.push((unix_us(), participant.join_time().as_micros() as u64));
        let others = participant.joined().other_participants.clone();
        let wants = Wants { takes, ..Wants::default() };
        let mut visit = Self { participant, wants, present: BTreeSet::new(), flowing: BTreeSet::new() };
        visit.learn(&others, record);
        visit
    }

    fn learn(&mut self, people: &[proto::ParticipantInfo], record: &mut PersonRecord) {
        for person in people {
            if person.state() != proto::participant_info::State::Disconnected {
                if self.present.insert(person.identity.clone()) {
                    record.came.push((unix_us(), person.identity.clone()));
                }
            } else if self.present.remove(&person.identity) {
                record.left.push((unix_us(), person.identity.clone()));
            }
        }
        self.wants.learn(people);
    }

    fn ask(&mut self) {
        self.wants.ask(&self.participant);
    }

    fn is_whole(&self) -> bool {
        self.wants.subscribed.is_subset(&self.flowing)
    }

    /// Notes what came, and leaves if the server does not know yet that it is over.
    async fn end(self, leaves: bool, record: &mut PersonRecord) {
        let Self { participant, wants, .. } = self;
        let report = participant.report().await;
        record.made.extend(report.made.into_values());
        let tracks = report.tracks.into_iter().map(|track| TrackRecord {
            publisher: wants.identities.get(&track.publisher).cloned().unwrap_or(track.publisher),
            video: track.video,
            arrivals: track.arrivals,
        });
        record.tracks.extend(tracks.filter(|track| !track.arrivals.is_empty()));
        if leaves {
            // One that does not get away in time is cut off.
            let _ = timeout(GOODBYE, participant.leave()).await;
        }
    }
}

/// A session that goes on beside its successor for a while.
struct Former {
    visit: Visit,
    until: Instant,
    is_followed: bool,
}

impl Former {
    fn of(visit: Visit) -> Self {
        Self { visit, until: Instant::now() + FLOWS_WITHIN, is_followed: false }
    }

    fn look_at(&mut self, successor: &Visit) {
        if !self.is_followed && successor.is_whole() {
            (self.until, self.is_followed) = (Instant::now() + SENDS_ON, true);
        }
    }
}

/// What there is, what is wanted of it, and what has been asked for.
#[derive(Debug, Default)]
struct Wants {
    takes: Option<Taking>,
    /// Who a session is of.
    identities: BTreeMap<String, String>,
    /// Tracks of others: whose they are, and whether they are pictures.
    tracks: BTreeMap<String, (String, bool)>,
    subscribed: BTreeSet<String>,
    /// Layers that were asked for.
    layers: BTreeMap<String, u8>,
}

impl Wants {
    fn learn(&mut self, people: &[proto::ParticipantInfo]) {
        for person in people {
            self.identities.insert(person.sid.clone(), person.identity.clone());
            let is_gone = person.state() == proto::participant_info::State::Disconnected;
            let published: BTreeMap<&str, bool> = (person.tracks.iter().filter(|_| !is_gone))
                .map(|track| (track.sid.as_str(), track.r#type() == proto::TrackType::Video))
                .collect();
            self.tracks.retain(|sid, (owner, _)| *owner != person.identity || published.contains_key(sid.as_str()));
            for (sid, video) in published {
                self.tracks.insert(sid.to_owned(), (person.identity.clone(), video));
            }
        }
        // What has gone and is back is asked for anew.
        self.subscribed.retain(|track| self.tracks.contains_key(track));
        self.layers.retain(|track, _| self.tracks.contains_key(track));
    }

    /// Asks for what is wanted and has not been asked for yet. Of a picture the layer is said first, so that nobody ever
    /// sends another one.
    fn ask(&mut self, participant: &Participant) {
        let Some(takes) = self.takes else { return };
        for (track, (_, video)) in &self.tracks {
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
