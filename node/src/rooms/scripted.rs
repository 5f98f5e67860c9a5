//! Rooms for tests of front-ends: whoever asks gets in and gets simple answers, and the test hears what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use livekit_protocol as proto;
use livekit_protocol::TrackType;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message as Say;
use origo_auth::{Identity, NodeId};
use origo_node_core::SessionId;
use origo_node_core::room::{Answer, Join};
use tokio::sync::mpsc;

use super::{Elsewhere, Refusal, Request, RoomsHandle, RoomsStats, SessionOutput, Watching};

/// Who bears this identity is refused with status 503.
pub const REFUSED: &str = "refused";
/// Who is refused, since the node drains.
pub const ELSEWHERE: &str = "elsewhere";
/// The one track of which a path is known.
pub const TRACK: &str = "TR_abcdefghijkm";

/// To who bears this identity ben shows [`LATER_TRACK`] too, once its offer is answered.
pub const LATER: &str = "later";
/// A track of sound.
pub const LATER_TRACK: &str = "TR_abcdefghijkp";

/// An offer that says this is refused as the worker refuses what is no valid one.
pub const BAD_OFFER: &str = "a=bad";
/// A room where nobody publishes; in all others ben shows [`TRACK`].
pub const EMPTY_ROOM: &str = "empty";
/// How every offer is answered.
pub const ANSWER: &str = "v=0\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:node\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=candidate:1 1 udp 2 127.0.0.1 9 typ host\r\n";

/// What front-ends asked.
#[derive(Debug)]
pub enum Heard {
    /// A join, refused or not.
    Join(Box<Join>),
    /// A request.
    Signal(Box<proto::SignalRequest>),
    /// A socket is gone.
    Closed(SessionId),
}

/// Starts the rooms. They answer a join with `join`, a ping with a pong, and a leave with a leave and a close.
pub fn start() -> (RoomsHandle, mpsc::UnboundedReceiver<Heard>) {
    let (requests, mut request_queue) = mpsc::channel(16);
    let (closed, mut closed_queue) = mpsc::unbounded_channel();
    let (hear, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut sessions, mut later) = (BTreeMap::new(), BTreeSet::new());
        loop {
            let news = tokio::select! {
                Some(request) = request_queue.recv() => answer(&mut sessions, &mut later, request),
                Some(session) = closed_queue.recv() => Some(Heard::Closed(session)),
                else => return,
            };
            // A test that is not interested has dropped its end.
            let _ = news.map(|news| hear.send(news));
        }
    });
    let sessions = Arc::new(AtomicU64::new(1));
    (RoomsHandle { requests, closed, sessions, at_once }, heard)
}

/// Pings of the newer kind are answered with their own time; all other requests are heard.
fn at_once(request: &proto::SignalRequest) -> Option<proto::SignalResponse> {
    let Some(Ask::PingReq(ping)) = &request.message else { return None };
    let pong = proto::Pong { last_ping_timestamp: ping.timestamp, timestamp: ping.timestamp };
    Some(proto::SignalResponse { message: Some(Say::PongResp(pong)) })
}

fn answer(
    sessions: &mut BTreeMap<SessionId, mpsc::Sender<SessionOutput>>,
    later: &mut BTreeSet<SessionId>,
    request: Request,
) -> Option<Heard> {
    match request {
        Request::Join(join, outgoing, answer) => {
            if join.identity.0 == ELSEWHERE {
                let elsewhere = Some(Elsewhere::Next("wss://next.example/".into()));
                let _ = answer.send(Err(Refusal { status: 503, reason: "the node drains".into(), elsewhere }));
                return Some(Heard::Join(join));
            }
            if join.identity.0 == REFUSED {
                let _ = answer.send(Err(Refusal { status: 503, reason: "the node is full".into(), elsewhere: None }));
                return Some(Heard::Join(join));
            }
            if join.identity.0 == LATER {
                later.insert(join.session);
            }
            say(&outgoing, Say::Join(joined(&join)));
            join.offer.iter().for_each(|offer| answer_offer(&outgoing, offer));
            sessions.insert(join.session, outgoing);
            let _ = answer.send(Ok(()));
            Some(Heard::Join(join))
        }
        Request::Signal(session, request) => {
            let outgoing = &sessions[&session];
            match &request.message {
                Some(Ask::Offer(offer)) => {
                    answer_offer(outgoing, offer);
                    if later.contains(&session) {
                        let participants = vec![ben(&[(TRACK, TrackType::Video), (LATER_TRACK, TrackType::Audio)])];
                        say(outgoing, Say::Update(proto::ParticipantUpdate { participants }));
                    }
                }
                Some(Ask::Ping(time)) => say(outgoing, Say::Pong(*time)),
                Some(Ask::Leave(leave)) => {
                    say(outgoing, Say::Leave(leave.clone()));
                    outgoing.try_send(SessionOutput::Close).unwrap();
                }
                _ => {}
            }
            Some(Heard::Signal(request))
        }
        Request::Path(_, track, answer) => {
            let _ = answer.send((track.to_string() == TRACK).then(|| vec![NodeId([2; 16]), NodeId([1; 16])]));
            None
        }
        Request::Admin(_, ask, answer) => {
            let code = if ask.method == "ListRooms" { "" } else { "not_found" };
            let _ = answer.send(Answer { code: code.into(), ..Answer::default() });
            None
        }
        Request::Watching(room, answer) => {
            let takes = (Identity("ana".into()), BTreeSet::from([NodeId([1; 16]), NodeId([2; 16])]));
            let watchers = if room.name == EMPTY_ROOM { Vec::new() } else { vec![takes] };
            let _ = answer.send(Watching { watchers, countries: vec!["JP".into()] });
            None
        }
        Request::Drain(_, told) => {
            let _ = told.send(());
            None
        }
        Request::Full(_) => None,
        Request::Stats(answer) => {
            let _ = answer.send(RoomsStats { participants: sessions.len() as u64, ..Default::default() });
            None
        }
    }
}

fn ben(tracks: &[(&str, TrackType)]) -> proto::ParticipantInfo {
    let track = |(sid, kind): &(&str, TrackType)| proto::TrackInfo {
        sid: (*sid).into(),
        r#type: *kind as i32,
        ..proto::TrackInfo::default()
    };
    let tracks = tracks.iter().map(track).collect();
    proto::ParticipantInfo { identity: "ben".into(), tracks, ..Default::default() }
}

fn joined(join: &Join) -> proto::JoinResponse {
    let ben = ben(&[(TRACK, TrackType::Video)]);
    let stun = proto::IceServer { urls: vec!["stun:stun.example".into()], ..Default::default() };
    proto::JoinResponse {
        ping_interval: 5,
        other_participants: if join.room.name == EMPTY_ROOM { Vec::new() } else { vec![ben] },
        ice_servers: vec![stun],
        ..Default::default()
    }
}

fn answer_offer(outgoing: &mpsc::Sender<SessionOutput>, offer: &proto::SessionDescription) {
    if offer.sdp.contains(BAD_OFFER) {
        let reason = proto::DisconnectReason::MediaFailure.into();
        return say(outgoing, Say::Leave(proto::LeaveRequest { reason, ..Default::default() }));
    }
    let answer = proto::SessionDescription { id: offer.id, sdp: ANSWER.into(), ..Default::default() };
    say(outgoing, Say::Answer(answer));
}

fn say(outgoing: &mpsc::Sender<SessionOutput>, message: Say) {
    let response = proto::SignalResponse { message: Some(message) };
    outgoing.try_send(SessionOutput::Signal(Box::new(response))).unwrap();
}
