//! A publisher goes on at another node: viewers of what came from the old one see it until what comes from the new one
//! can begin, on the same stream and without a gap in its numbers.
//!
//! A picture goes over at a keyframe. A sound goes over where the old one ends, told by the publisher's own clock, for the
//! two came over ways of different length: what has come of the new one is held until then, and the old one's packets that
//! come late still get their numbers. So nothing of it is missed, and nothing leaves twice.

use std::time::{Duration, Instant};

use origo_auth::TrackSid;

use super::track::Track;
use super::viewer::Viewer;
use super::worker::Worker;
use super::{Kind, Subscription};
use crate::SessionId;

/// How long the old track is sent at most. A keyframe is asked for at once and comes within a second.
const LASTS: Duration = Duration::from_secs(5);
/// An old sound of which nothing comes for so long has ended, where what has come of the new one does not reach back to
/// its end: anything shorter may be a queue on the way.
const GONE: Duration = Duration::from_millis(500);
/// The same where nobody can tell what reaches where: five packets.
const SILENT: Duration = Duration::from_millis(100);
/// How long the publisher's word is waited for: browsers report of a sound 2.5 s after it began. `@origo/client` sends on
/// in its old session for 3 s.
const TOLD_WITHIN: Duration = Duration::from_millis(2_700);
/// How long an old sound's late packets are still written: a repair over the longest usual way is in by then.
const LINGERS: Duration = Duration::from_millis(500);
/// Two sounds that were captured further apart than any two ways differ are of clocks that say nothing.
const APART_MAX: Duration = Duration::from_secs(2);

impl Worker {
    /// A subscription names the same track under another id: it comes from another node from now on.
    pub(super) fn follow_publisher(&mut self, subscription: &Subscription) {
        let (id, record) = (subscription.session, subscription.track.clone());
        let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&record.name())) else {
            return;
        };
        wanted.subscription = subscription.clone();
        let unseen = std::mem::replace(&mut wanted.sent_as, record.sid);
        let is_over = |viewer: &Viewer| viewer.session == id && viewer.succeeded.is_some();
        let of = |sid| self.tracks_by_sid.get(&sid).and_then(|&index| self.tracks.get(index));
        let lingers = wanted.before.filter(|sid| of(*sid).is_some_and(|track| track.viewers.iter().any(is_over)));
        // One that was to follow and has not begun is passed over.
        let before = wanted.before.filter(|_| lingers.is_none()).unwrap_or(unseen);
        if before != unseen {
            self.remove_viewer(id, unseen);
        }
        if let Some(lingers) = lingers {
            self.end_succession(id, lingers);
        }
        let now = self.now;
        self.add_viewer(subscription, &record);
        let old = self.tracks_by_sid.get(&before).and_then(|&index| self.tracks.get(index));
        let Some(old) = old.and_then(|track| track.viewers.iter().find(|viewer| viewer.session == id)) else { return };
        let (stream, mid, target) = (old.stream, old.mid, old.forwarder.target());
        let (settings, paused, has_sent) = (old.settings, old.paused, old.forwarder.has_sent());
        let Some(&index) = self.tracks_by_sid.get(&record.sid) else { return };
        let Some(viewer) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) else { return };
        (viewer.stream, viewer.mid, viewer.settings, viewer.paused) = (stream, mid, settings, paused);
        viewer.forwarder.set_target(target);
        viewer.succeeds = Some((before, now));
        if let Some(wanted) = self.sessions.get_mut(&id).and_then(|session| session.wanted.get_mut(&record.name())) {
            wanted.before = Some(before);
        }
        if !has_sent {
            self.cut_over(index, id);
        }
        self.touched.insert(id);
        self.update_want(index);
        if let Some(layer) = target {
            self.want_keyframe(index, layer);
        }
    }

    /// Lets viewers go over to a track whose burst they can begin with.
    pub(super) fn begin_successors(&mut self, index: usize) {
        let Some(track) = self.tracks.get(index) else { return };
        let can_begin = |viewer: &&Viewer| {
            let Some((before, _)) = viewer.succeeds else { return false };
            match self.old_sound(track, before, viewer.session) {
                Some(old) => Joint::of(old, (track, viewer), self.now).is_some_and(|joint| joint.fits),
                None => can_begin(track, viewer),
            }
        };
        let begins: Vec<SessionId> = track.viewers.iter().filter(can_begin).map(|viewer| viewer.session).collect();
        for id in begins {
            self.cut_over(index, id);
        }
    }

    /// The track and the viewer whose sound another one is to go on from.
    fn old_sound(&self, new: &Track, before: TrackSid, id: SessionId) -> Option<(&Track, &Viewer)> {
        let old = self.tracks_by_sid.get(&before).and_then(|&old| self.tracks.get(old));
        let old = old.filter(|old| new.kind == Kind::Audio && old.codec == new.codec)?;
        Some((old, old.viewers.iter().find(|viewer| viewer.session == id)?))
    }

    /// Ends what takes too long, what is not shown at all, and what has lingered long enough.
    pub(super) fn end_slow_successions(&mut self, index: usize) {
        let Some(track) = self.tracks.get(index) else { return };
        let now = self.now;
        let is_over = |viewer: &&Viewer| {
            viewer.succeeds.is_some_and(|(_, since)| since + LASTS <= now || viewer.forwarder.target().is_none())
        };
        let over: Vec<SessionId> = track.viewers.iter().filter(is_over).map(|viewer| viewer.session).collect();
        let has_lingered = |viewer: &&Viewer| viewer.succeeded.is_some_and(|since| since + LINGERS <= now);
        let (sid, lingered) = (track.sid, track.viewers.iter().filter(has_lingered));
        let lingered: Vec<SessionId> = lingered.map(|viewer| viewer.session).collect();
        for id in over {
            self.cut_over(index, id);
        }
        for id in lingered {
            self.end_succession(id, sid);
        }
    }

    /// From now on a viewer gets this track, whose numbers go on where those of the old one end.
    fn cut_over(&mut self, index: usize, id: SessionId) {
        let now = self.now;
        let Some(track) = self.tracks.get(index) else { return };
        let Some(viewer) = track.viewers.iter().find(|viewer| viewer.session == id) else { return };
        let Some((before, _)) = viewer.succeeds else { return };
        let joint = self.old_sound(track, before, id).and_then(|old| Joint::of(old, (track, viewer), now));
        let (name, is_sound) = (viewer.name, track.kind == Kind::Audio);
        tracing::debug!(session = ?id, track = %name, ?joint, "its publisher is followed to another node");
        let old = self.tracks_by_sid.get(&before).and_then(|&old| self.tracks.get_mut(old));
        let old = old.and_then(|track| track.viewer(id)).map(|viewer| {
            viewer.forwarder.close();
            viewer.succeeded = Some(now);
            viewer.forwarder.end()
        });
        let Some(new) = self.tracks.get_mut(index).and_then(|track| track.viewer(id)) else { return };
        new.succeeds = None;
        if let Some(end) = old {
            new.forwarder.go_on_from(end, joint.map(|joint| joint.seam));
        }
        if !is_sound {
            self.end_succession(id, before);
        }
    }

    /// A viewer begins on another stream: nothing is left to go on from.
    pub(super) fn end_succession(&mut self, id: SessionId, before: TrackSid) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.wanted.values_mut().filter(|wanted| wanted.before == Some(before)).for_each(|w| w.before = None);
        }
        self.remove_viewer(id, before);
    }

    /// A track is gone: those who are to follow it elsewhere go on from where it ended.
    pub(super) fn let_successors_begin(&mut self, gone: &Track) {
        for old in &gone.viewers {
            let Some(session) = self.sessions.get_mut(&old.session) else { continue };
            let Some(wanted) = session.wanted.get_mut(&old.name).filter(|wanted| wanted.before == Some(gone.sid))
            else {
                continue;
            };
            wanted.before = None;
            let new = self.tracks_by_sid.get(&wanted.sent_as).and_then(|&index| self.tracks.get_mut(index));
            let Some(new) = new else { continue };
            let viewer = new.viewers.iter().find(|viewer| viewer.session == old.session);
            let Some(viewer) = viewer.filter(|viewer| viewer.succeeds.is_some()) else { continue };
            let is_sound = new.kind == Kind::Audio && gone.codec == new.codec;
            let joint = Joint::of((gone, old), (new, viewer), self.now).filter(|_| is_sound);
            if let Some(viewer) = new.viewer(old.session) {
                viewer.succeeds = None;
                viewer.forwarder.go_on_from(old.forwarder.end(), joint.map(|joint| joint.seam));
            }
        }
    }
}

fn can_begin(track: &Track, viewer: &Viewer) -> bool {
    let bursts = (0u8..).zip(&track.layers).filter(|(number, _)| viewer.forwarder.takes(*number));
    let mut packets = bursts.flat_map(|(_, layer)| &layer.burst);
    match track.kind {
        Kind::Audio => packets.next().is_some(),
        Kind::Video => packets.any(|queued| viewer.forwarder.may_begin_with(queued)),
    }
}

/// Where a sound goes over from one track to another.
#[derive(Clone, Copy, Debug)]
struct Joint {
    /// When the newest packet of the old one that a viewer got was captured, in timestamps of the new one.
    seam: u32,
    /// All that follows it has come of the new one, or is to come.
    fits: bool,
}

impl Joint {
    /// `None` while nothing has come of either.
    fn of((old, before): (&Track, &Viewer), (new, viewer): (&Track, &Viewer), now: Instant) -> Option<Self> {
        let (from, to) = (&old.layers[0], &new.layers[0]);
        let first = &viewer.held.front().or(to.burst.first())?.packet;
        let (newest, step) = before.forwarder.newest_taken()?;
        let (idle, rate) = (from.idle(now)?, new.codec.clock_rate());
        let apart_ns = from.clock.apart_ns(newest, (&to.clock, first.timestamp), rate);
        let apart_ns = apart_ns.filter(|apart| u128::from(apart.unsigned_abs()) <= APART_MAX.as_nanos());
        // Without a word of its publisher it is taken for captured when it came.
        let by_arrival = || {
            let since = now.saturating_duration_since(first.arrived).as_nanos() as i64;
            idle.as_nanos() as i64 - since
        };
        let ticks = apart_ns.unwrap_or_else(by_arrival) * i64::from(rate) / 1_000_000_000;
        let fits = match apart_ns {
            Some(_) => ticks < i64::from(step + step / 2) || idle >= GONE,
            None => {
                idle >= SILENT || viewer.succeeds.is_some_and(|(_, since)| now.duration_since(since) >= TOLD_WITHIN)
            }
        };
        Some(Self { seam: first.timestamp.wrapping_sub(ticks as u32), fits })
    }
}
