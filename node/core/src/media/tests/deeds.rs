//! What the rooms and the clients of a test's world do with tracks.

use std::sync::Arc;

use origo_auth::TrackSid;
use origo_cascade_core::TrackRecord;
use str0m::media::{Direction, MediaKind, Mid, Simulcast, SimulcastLayer};
use str0m::rtp::RtpWrite;

use super::world::{World, sid};
use crate::media::{Command, Expected, Kind, Subscription};

impl World {
    /// The client publishes a track and offers it. Gives its section.
    pub fn publish(&mut self, client: usize, letter: char, mime: &str, rids: &[&str]) -> Mid {
        self.publish_as(client, letter, mime, rids, rids.len().max(1))
    }

    /// The same for a track that carries its layers within one stream.
    pub fn publish_layered(&mut self, client: usize, letter: char, mime: &str, layers: usize) -> Mid {
        self.publish_as(client, letter, mime, &[], layers)
    }

    fn publish_as(&mut self, client: usize, letter: char, mime: &str, rids: &[&str], layers: usize) -> Mid {
        let kind = if mime.starts_with("audio") { Kind::Audio } else { Kind::Video };
        let cid = format!("cid-{letter}");
        let session = self.clients[client].id;
        let track = Expected {
            sid: sid(letter),
            client_ids: vec![cid.clone()],
            kind,
            mime: mime.to_owned(),
            layer_bitrates_bps: [150_000, 500_000, 1_700_000][..layers].to_vec(),
            layer_sizes: Vec::new(),
            stereo: false,
            dtx: false,
            redundancy: self.redundancy,
        };
        self.command(Command::Expect { session, track });
        let simulcast = (!rids.is_empty())
            .then(|| Simulcast { send: rids.iter().map(|rid| SimulcastLayer::new(rid)).collect(), recv: vec![] });
        let kind = if kind == Kind::Audio { MediaKind::Audio } else { MediaKind::Video };
        let mid = self
            .offer(client, |api| api.add_media(kind, Direction::SendOnly, Some("s".to_owned()), Some(cid), simulcast));
        let name = mime.rsplit('/').next().unwrap_or_default();
        self.formats.insert((client, mid), str0m::format::Codec::from(name));
        mid
    }

    /// The client may publish a track later.
    pub fn reserve(&mut self, client: usize, letter: char, mime: &str) {
        let session = self.clients[client].id;
        let track = Expected {
            sid: sid(letter),
            client_ids: Vec::new(),
            kind: Kind::Video,
            mime: mime.to_owned(),
            layer_bitrates_bps: vec![500_000],
            layer_sizes: Vec::new(),
            stereo: false,
            dtx: false,
            redundancy: self.redundancy,
        };
        self.command(Command::Reserve { session, track });
    }

    pub fn subscribe(&mut self, client: usize, letter: char, mime: &str, layers: usize) {
        self.subscribe_or(client, letter, mime, layers, None);
    }

    /// Subscribes to a track that there is in a second codec: under that letter, with that MIME type.
    pub fn subscribe_or(
        &mut self,
        client: usize,
        letter: char,
        mime: &str,
        layers: usize,
        backup: Option<(char, &str)>,
    ) {
        self.subscribe_to(client, sid(letter), mime, layers, backup);
    }

    /// The same of a track by its id.
    pub fn subscribe_to(
        &mut self,
        client: usize,
        track: TrackSid,
        mime: &str,
        layers: usize,
        backup: Option<(char, &str)>,
    ) {
        self.subscribe_as(client, (track, None), mime, layers, backup);
    }

    /// The publisher of a camera goes on at another node, under another id.
    pub fn follow(&mut self, client: usize, letter: char, new: char) {
        self.subscribe_as(client, (sid(new), Some(sid(letter))), "video/VP8", 1, None);
    }

    fn subscribe_as(
        &mut self,
        client: usize,
        (sent, shown_as): (TrackSid, Option<TrackSid>),
        mime: &str,
        layers: usize,
        backup: Option<(char, &str)>,
    ) {
        let kind = if mime.starts_with("audio") { Kind::Audio } else { Kind::Video };
        let track = TrackRecord {
            sid: sent,
            kind,
            mime: mime.to_owned(),
            layer_bitrates_bps: [150_000, 500_000, 1_700_000][..layers].to_vec(),
            layer_sizes: Vec::new(),
            backup_of: None,
            shown_as,
        };
        let name = track.name();
        let (publisher, session) = (self.publisher, self.clients[client].id);
        let stream = format!("{publisher}|camera");
        let backup = backup.map(|(other, mime)| TrackRecord {
            sid: sid(other),
            kind,
            mime: mime.to_owned(),
            layer_bitrates_bps: vec![500_000],
            layer_sizes: Vec::new(),
            backup_of: Some(name),
            shown_as: None,
        });
        let redundancy = self.redundancy;
        let (screen, asked, home) = (self.screens, self.asks, None);
        let subscription = Subscription { session, track, backup, publisher, stream, screen, asked, redundancy, home };
        self.command(Command::Subscribe(subscription));
    }

    pub fn unsubscribe(&mut self, client: usize, letter: char) {
        let session = self.clients[client].id;
        self.command(Command::Unsubscribe { session, track: sid(letter) });
    }

    /// The client sends one RTP packet.
    pub fn send(&mut self, client: usize, mid: Mid, rid: Option<&str>, sequence: u64, timestamp: u32, payload: &[u8]) {
        let now = self.now;
        let connection = &mut self.clients[client].connections[0];
        let format = self.formats.get(&(client, mid));
        let params = connection.rtc.codec_config().params().iter();
        let mut of_it = params.filter(|params| format.is_none_or(|format| params.spec().codec == *format));
        let accepted = connection.rtc.media(mid).expect("negotiated").remote_pts();
        let codec = of_it.find(|params| accepted.contains(&params.pt())).expect("taken").pt();
        let mut api = connection.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, rid.map(Into::into)).expect("sends");
        let payload: Arc<[u8]> = payload.into();
        stream.write_rtp(RtpWrite::new(codec, sequence.into(), timestamp, now, payload).marker(true).nackable(true));
    }

    /// The client sends one packet of sound with redundancy.
    pub fn send_redundant(&mut self, client: usize, mid: Mid, sequence: u64, timestamp: u32, payload: &[u8]) {
        let payload: Arc<[u8]> = payload.into();
        let now = self.now;
        let connection = &mut self.clients[client].connections[0];
        let red = connection.redundant_type().expect("negotiated");
        let mut api = connection.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("sends");
        stream.write_rtp(RtpWrite::new(red.into(), sequence.into(), timestamp, now, payload));
    }
}
