//! A client's session as the worker sees it: its connections, what it publishes, what it is to receive and where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use origo_auth::TrackSid;
use origo_cascade_core::{MediaKind, TrackRecord};

use super::agreed::Agreed;
use super::allocate::Allocator;
use super::clock::SenderClock;
use super::peer::{Mid, Pending, Rid};
use super::probe::Prober;
use super::sdp::{Flow, Section};
use super::shortlist::{Lists, Shown};
use super::{Expected, Subscription};
use crate::pace::Pace;

/// A session.
pub(crate) struct Session {
    /// LiveKit v1: one connection that the client offers.
    pub single: bool,
    /// Its client offers once; later tracks take the sections that are idle then.
    pub fixed_sections: bool,
    /// The connection that the client sends on.
    pub publisher: usize,
    /// The connection that we send on; the same when there is one.
    pub subscriber: usize,
    /// Tracks that were announced and that no offer has carried yet.
    pub expected: Vec<Expected>,
    /// Tracks that the client may announce.
    pub reserved: BTreeSet<TrackSid>,
    /// Sections on which the client sends.
    pub published: Vec<Published>,
    /// Tracks that the client is to receive. Boxed: a node of the map has room for eleven, and most clients take few.
    pub wanted: BTreeMap<TrackSid, Box<Wanted>>,
    /// Sounds that it gets by a place of their own, by the numbers of their tracks: see [`super::loudest`].
    pub sounds: Vec<usize>,
    /// For which of them it has sections.
    pub lists: Lists,
    /// Sections on which the client can receive.
    pub sections: Vec<Receiving>,
    /// The client's offer that is to be answered.
    pub offer: Option<(u32, String)>,
    /// How often it has offered of late.
    pub offering: Pace,
    /// What its descriptions have settled, for its publisher (or single) connection and for the other.
    pub agreed: [Agreed; 2],
    /// An offer of the client has been answered.
    pub answered: bool,
    /// v0: our offers.
    pub exchange: Exchange,
    /// v1: since when a new offer was asked for.
    pub asked: Option<Instant>,
    /// What the way to the client carries, in bits per second, as far as known.
    pub estimate_bps: Option<u64>,
    /// What it is to be taken to carry at most.
    pub cap_bps: Option<u64>,
    /// Shares out what it carries.
    pub allocator: Allocator,
    /// Looks for more.
    pub prober: Prober,
    /// What was last told to the estimator.
    pub desired_bps: u64,
    /// The client's clock.
    pub clock: SenderClock,
}

/// A section on which the client sends.
pub(crate) struct Published {
    /// Its name.
    pub mid: Mid,
    /// Sound or picture.
    pub kind: MediaKind,
    /// The client's id of the track.
    pub track_id: Option<String>,
    /// Names of its layers, lowest first; none without simulcast.
    pub rids: Vec<String>,
    /// Which announced track it is, once known.
    pub expected: Option<Expected>,
    /// The rooms said that it is over, though the client may still send.
    pub over: bool,
}

/// A track that the client is to receive.
pub(crate) struct Wanted {
    /// What was asked.
    pub subscription: Subscription,
    /// The track that is sent as it: itself, or its second codec.
    pub sent_as: TrackSid,
    /// What is sent until that begins: the same from the node where its publisher was before.
    pub before: Option<TrackSid>,
    /// The client takes neither, and the rooms know.
    pub refused: bool,
    /// It gets no section, because others are listed: see [`super::shortlist`].
    pub unlisted: bool,
    /// Of a picture: what the client has said of how it shows it.
    pub shown: Shown,
    /// Which track of the session's it is, by when they came.
    pub came: u64,
    /// The section that carries it, once chosen.
    pub mid: Option<Mid>,
    /// From when on the client can take it: its answer came, or it has had time to take ours.
    pub ready_at: Option<Instant>,
}

/// A section on which the client can receive.
pub(crate) struct Receiving {
    /// Its name.
    pub mid: Mid,
    /// Sound or picture.
    pub kind: MediaKind,
    /// What is on it.
    pub carries: Carries,
    /// It carried a track before: the next one needs a fresh SSRC.
    pub used: bool,
}

/// What a receiving section carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Nothing, and the client knows: a track may be put on it.
    Nothing,
    /// A track.
    Track(TrackSid),
    /// Nothing any more, in the exchange that is under way. SDKs notice a new track only on a section that was idle.
    Ending,
}

/// v0: our offers, one at a time.
#[derive(Default)]
pub(crate) struct Exchange {
    /// Number of our last offer, from 1.
    pub last_id: u32,
    /// The offer whose answer is awaited, and until when.
    pub pending: Option<(Pending, Instant)>,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(single: bool, publisher: usize, subscriber: usize, may_pause: bool) -> Self {
        Self {
            single,
            fixed_sections: false,
            publisher,
            subscriber,
            expected: Vec::new(),
            reserved: BTreeSet::new(),
            published: Vec::new(),
            wanted: BTreeMap::new(),
            sounds: Vec::new(),
            lists: Lists::default(),
            sections: Vec::new(),
            offer: None,
            offering: Pace::default(),
            agreed: Default::default(),
            answered: false,
            exchange: Exchange::default(),
            asked: None,
            estimate_bps: None,
            cap_bps: None,
            allocator: Allocator::new(may_pause),
            prober: Prober::default(),
            desired_bps: 0,
            clock: SenderClock::default(),
        }
    }

    /// Its connections.
    pub fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let second = (self.subscriber != self.publisher).then_some(self.subscriber);
        std::iter::once(self.publisher).chain(second)
    }

    /// Which track a section that we send on carries.
    pub fn carried(&self, mid: Mid) -> Option<TrackSid> {
        self.sections.iter().find(|section| section.mid == mid).and_then(|section| section.carries.track())
    }

    /// The track that is sent as one that the client receives.
    pub fn sent_as(&self, track: TrackSid) -> TrackSid {
        self.wanted.get(&track).map_or(track, |wanted| wanted.sent_as)
    }

    /// Which tracks go on which sections, as clients are told.
    pub fn tracks_by_mid(&self) -> BTreeMap<String, TrackSid> {
        let carried = |section: &Receiving| Some((section.mid.to_string(), section.carries.track()?));
        self.sections.iter().filter_map(carried).collect()
    }

    /// Takes over what an offer says of the sections that the client sends on. Gives the tracks that it carries no
    /// more.
    pub fn sync_published(&mut self, offered: &[Section<'_>]) -> Vec<TrackSid> {
        // Another section may have taken the place of a stopped one, under another name (RFC 8829 5.2.2).
        let is_offered = |mid: Mid| offered.iter().any(|section| section.mid().map(Mid::from) == Some(mid));
        let mut ended = Vec::new();
        self.published.retain(|published| {
            let stays = is_offered(published.mid);
            ended.extend(published.sid().filter(|_| !stays));
            stays
        });
        for section in offered {
            let (Some(kind), Some(mid)) = (section.kind(), section.mid()) else { continue };
            let mid = Mid::from(mid);
            let track_id = section.track_id().filter(|id| *id != "-").map(str::to_owned);
            let known = self.published.iter().position(|published| published.mid == mid);
            if let Some(index) = known {
                let published = &self.published[index];
                let lost_name = published.track_id.is_some() && track_id.is_none();
                let renamed = published.track_id != track_id
                    && self
                        .expected
                        .iter()
                        .any(|expected| track_id.as_ref().is_some_and(|id| expected.client_ids.contains(id)));
                if section.flow().sends() && !lost_name && !renamed {
                    continue;
                }
                let gone = self.published.remove(index);
                ended.extend(gone.expected.filter(|_| !gone.over).map(|expected| expected.sid));
                if lost_name {
                    continue;
                }
            }
            if section.flow().sends() {
                let rids = section.send_rids().map(str::to_owned).collect();
                self.published.push(Published { mid, kind, track_id, rids, expected: None, over: false });
            }
        }
        ended
    }

    /// Finds out which announced track each section is: by the client's id, else the first announced of its kind.
    pub fn match_expected(&mut self) {
        for by_name in [true, false] {
            for published in self.published.iter_mut().filter(|p| p.expected.is_none() && !p.over) {
                let fits = |expected: &Expected| {
                    let named = published.track_id.as_ref().is_some_and(|id| expected.client_ids.contains(id));
                    expected.kind == published.kind && (named || !by_name)
                };
                if let Some(index) = self.expected.iter().position(fits) {
                    published.expected = Some(self.expected.remove(index));
                }
            }
        }
    }

    /// Takes over what an offer says of the sections that the client receives on, and puts waiting tracks on idle
    /// ones. Gives the sections that need a fresh SSRC before they are answered.
    pub fn assign_sections(&mut self, offered: &[Section<'_>]) -> Vec<Mid> {
        let mut open = Vec::new();
        for section in offered {
            let (Some(kind), Some(mid)) = (section.kind(), section.mid()) else { continue };
            if section.flow() == Flow::Receive {
                open.push((Mid::from(mid), kind));
            }
        }
        self.sections.retain(|section| open.iter().any(|(mid, _)| *mid == section.mid));
        for wanted in self.wanted.values_mut() {
            wanted.mid = wanted.mid.filter(|mid| self.sections.iter().any(|section| section.mid == *mid));
        }
        for (mid, kind) in open {
            if !self.sections.iter().any(|section| section.mid == mid) {
                self.sections.push(Receiving { mid, kind, carries: Carries::Nothing, used: false });
            }
        }
        let mut renewed = Vec::new();
        for section in &mut self.sections {
            if self.wanted.values().any(|wanted| wanted.mid == Some(section.mid)) {
                continue;
            }
            // What carried a track until now is idle in this answer, and free in the next.
            if section.carries != Carries::Nothing {
                section.carries = Carries::Nothing;
                continue;
            }
            let waits = |wanted: &&mut Box<Wanted>| wanted.waits() && wanted.subscription.track.kind == section.kind;
            let Some(wanted) = self.wanted.values_mut().find(waits) else { continue };
            wanted.mid = Some(section.mid);
            wanted.ready_at = None;
            section.carries = Carries::Track(wanted.subscription.track.name());
            if std::mem::replace(&mut section.used, true) {
                renewed.push(section.mid);
            }
        }
        renewed
    }

    /// Puts waiting tracks on idle sections without a word to the client, which took them all for used. Gives the
    /// sections that need a fresh SSRC.
    pub fn fill_sections(&mut self, now: Instant) -> Vec<Mid> {
        let mut renewed = Vec::new();
        for section in &mut self.sections {
            if self.wanted.values().any(|wanted| wanted.mid == Some(section.mid)) {
                continue;
            }
            section.carries = Carries::Nothing;
            let waits = |wanted: &&mut Box<Wanted>| wanted.waits() && wanted.subscription.track.kind == section.kind;
            let Some(wanted) = self.wanted.values_mut().find(waits) else { continue };
            (wanted.mid, wanted.ready_at) = (Some(section.mid), Some(now));
            section.carries = Carries::Track(wanted.subscription.track.name());
            if std::mem::replace(&mut section.used, true) {
                renewed.push(section.mid);
            }
        }
        renewed
    }

    /// How many more sections of a kind the client must offer, and whether it must offer at all.
    pub fn sections_needed(&self) -> Option<(u32, u32)> {
        let missing = |kind| {
            let waiting = self.wanted.values().filter(|w| w.waits() && w.subscription.track.kind == kind).count();
            let idle = self.sections.iter().filter(|s| s.carries == Carries::Nothing && s.kind == kind).count();
            u32::try_from(waiting.saturating_sub(idle)).unwrap_or(u32::MAX)
        };
        let waiting = self.wanted.values().any(|wanted| wanted.waits());
        (waiting || self.has_ending()).then(|| (missing(MediaKind::Audio), missing(MediaKind::Video)))
    }

    /// Whether a section carries a track that is wanted no more.
    pub fn has_ending(&self) -> bool {
        let over = |section: &Receiving| {
            section.carries != Carries::Nothing && !self.wanted.values().any(|wanted| wanted.mid == Some(section.mid))
        };
        self.sections.iter().any(over)
    }
}

impl Wanted {
    /// A track that waits for a section.
    pub fn new(subscription: Subscription) -> Self {
        let sent_as = subscription.track.sid;
        Self {
            sent_as,
            before: None,
            subscription,
            refused: false,
            unlisted: false,
            shown: Shown::default(),
            came: 0,
            mid: None,
            ready_at: None,
        }
    }

    /// The second codec, unless that is what is sent.
    pub fn other(&self) -> Option<&TrackRecord> {
        self.subscription.backup.as_ref().filter(|backup| backup.sid != self.sent_as)
    }

    /// Whether the client can take it since a moment ago.
    pub fn became_ready(&self, now: Instant) -> bool {
        self.ready_at.is_some_and(|at| at <= now && now - at < Duration::from_millis(500))
    }
}

impl Carries {
    /// The track, if any.
    pub fn track(self) -> Option<TrackSid> {
        if let Self::Track(sid) = self { Some(sid) } else { None }
    }
}

impl Published {
    /// Its track, unless it is over.
    pub fn sid(&self) -> Option<TrackSid> {
        self.expected.as_ref().filter(|_| !self.over).map(|expected| expected.sid)
    }

    /// Which layer a stream with this rid is. LiveKit's names tell; other names count in the order of the offer.
    pub fn layer(&self, rid: Option<Rid>) -> Option<u8> {
        let Some(rid) = rid else { return Some(0) };
        match &*rid {
            "q" => Some(0),
            "h" => Some(1),
            "f" => Some(2),
            other => {
                let index = self.rids.iter().position(|name| name == other)?;
                u8::try_from(index).ok().filter(|&layer| usize::from(layer) < super::track::LAYERS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sdp::Sdp;
    use super::*;
    use crate::SessionId;

    fn sections(lines: &[(&str, &str, &str, &str)]) -> Vec<Section<'static>> {
        let section = |(kind, mid, flow, msid): &(&str, &str, &str, &str)| {
            let name = if msid.is_empty() { String::new() } else { format!("a=msid:s {msid}\r\n") };
            format!("m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na={flow}\r\n{name}")
        };
        Sdp::parse(lines.iter().map(section).collect::<String>().leak()).unwrap().sections
    }

    fn sid(letter: char) -> TrackSid {
        format!("TR_{}", letter.to_string().repeat(12)).parse().unwrap()
    }

    fn expected(letter: char, kind: MediaKind, id: &str) -> Expected {
        Expected {
            sid: sid(letter),
            client_ids: vec![id.to_owned()],
            kind,
            mime: "video/VP8".to_owned(),
            layer_bitrates_bps: vec![1],
            layer_sizes: Vec::new(),
            stereo: false,
            dtx: true,
            redundancy: Default::default(),
        }
    }

    fn want(session: &mut Session, letter: char, kind: MediaKind) {
        let track = TrackRecord {
            sid: sid(letter),
            kind,
            mime: "video/VP8".to_owned(),
            layer_bitrates_bps: vec![1],
            layer_sizes: Vec::new(),
            backup_of: None,
            shown_as: None,
        };
        let publisher = "PA_abcdefghjkmn".parse().unwrap();
        let subscription = Subscription {
            session: SessionId(1),
            track,
            backup: None,
            publisher,
            stream: "PA_a|camera".to_owned(),
            screen: false,
            asked: false,
            redundancy: Default::default(),
            home: None,
        };
        session.wanted.insert(sid(letter), Box::new(Wanted::new(subscription)));
    }

    #[test]
    fn a_section_is_matched_by_the_clients_id_and_else_by_kind() {
        let mut session = Session::new(true, 0, 0, false);
        session.expected = vec![
            expected('a', MediaKind::Video, "screen"),
            expected('b', MediaKind::Video, "camera"),
            expected('c', MediaKind::Audio, "other name"),
        ];
        let offered = sections(&[("video", "1", "sendonly", "camera"), ("audio", "2", "sendonly", "mic")]);
        assert!(session.sync_published(&offered).is_empty());
        session.match_expected();
        assert_eq!(session.published.iter().map(Published::sid).collect::<Vec<_>>(), [Some(sid('b')), Some(sid('c'))]);
        assert_eq!(session.expected.len(), 1);

        let offered = sections(&[("video", "1", "inactive", ""), ("audio", "2", "sendonly", "mic")]);
        assert_eq!(session.sync_published(&offered), [sid('b')]);
        assert_eq!(
            session.sync_published(&sections(&[("audio", "2", "sendonly", "")])),
            [sid('c')],
            "its name is gone"
        );
    }

    #[test]
    fn a_section_is_idle_for_one_exchange_before_it_carries_another_track() {
        let mut session = Session::new(true, 0, 0, false);
        let offered = sections(&[("video", "1", "recvonly", "")]);
        want(&mut session, 'a', MediaKind::Video);
        assert!(session.assign_sections(&offered).is_empty());
        assert_eq!(session.tracks_by_mid().into_values().collect::<Vec<_>>(), [sid('a')]);

        session.wanted.clear();
        want(&mut session, 'b', MediaKind::Video);
        assert_eq!(session.sections_needed(), Some((0, 1)), "what still carries a track is not counted as idle");
        session.assign_sections(&offered);
        assert!(session.tracks_by_mid().is_empty());
        assert_eq!(session.sections_needed(), Some((0, 0)), "now it is, and an offer alone is needed");
        assert_eq!(session.assign_sections(&offered), [Mid::from("1")]);
        assert_eq!(session.tracks_by_mid().into_values().collect::<Vec<_>>(), [sid('b')]);
        assert_eq!(session.sections_needed(), None);
    }

    #[test]
    fn missing_sections_are_counted_by_kind() {
        let mut session = Session::new(true, 0, 0, false);
        session.assign_sections(&sections(&[("video", "1", "recvonly", ""), ("audio", "2", "recvonly", "")]));
        for (letter, kind) in [('a', MediaKind::Video), ('b', MediaKind::Video), ('c', MediaKind::Audio)] {
            want(&mut session, letter, kind);
        }
        assert_eq!(session.sections_needed(), Some((0, 1)));
    }
}
