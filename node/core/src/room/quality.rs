//! How good each participant's connection is, and who is told of it.
//!
//! A share of 100 is taken off for delay and loss as the E-model does (ITU-T G.107), or for bits that did not come,
//! whichever is worse.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use origo_auth::{Identity, ParticipantSid, TrackSid};
use origo_cascade_core as cascade;
use origo_cascade_core::cascade::Reach;
use proto::ConnectionQuality;
use proto::signal_response::Message;

use super::context::Context;
use super::participant::Participant;
use super::room::Room;
use crate::media::PathQuality;

/// Workers speak of all their sessions within this; then clients are told of all at once.
const GATHER: Duration = Duration::from_millis(200);
/// What one percent of lost packets takes off.
const LOSS_WEIGHT: f32 = 8.0;
/// How much of a worse window counts against what was before: nearly all.
const FALL: f32 = 0.7;
/// How much of a better one: one good window after a bad minute is no proof.
const RISE: f32 = 0.4;
/// Above this the connection is excellent (LiveKit's figure).
const EXCELLENT: f32 = 80.0;
/// Above this it is good, else poor (LiveKit's figure).
const GOOD: f32 = 40.0;
/// Windows of 5 s without a packet that should have come, after which others are told that it is lost.
const SILENT_WINDOWS: u32 = 2;
/// Smaller changes of the mean opinion score are not told.
const SCORE_STEP: f32 = 0.1;

/// What clients are told of one participant's connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub quality: ConnectionQuality,
    /// Mean opinion score, 1 to 4.5.
    pub score: f32,
}

impl Verdict {
    /// Of one whose node cannot be reached.
    const LOST: Self = Self { quality: ConnectionQuality::Lost, score: 1.0 };
    /// Of one of whom no node has said anything yet.
    const FRESH: Self = Self { quality: ConnectionQuality::Excellent, score: 4.5 };

    /// The same for the participant itself. A client that hears of itself that it is lost joins anew, though it hears
    /// this: so it is never told so.
    fn for_itself(self) -> Self {
        match self.quality {
            ConnectionQuality::Lost => Self { quality: ConnectionQuality::Poor, ..self },
            _ => self,
        }
    }

    fn differs(self, other: Self) -> bool {
        self.quality != other.quality || (self.score - other.score).abs() >= SCORE_STEP
    }
}

/// One local participant's connection, over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quality {
    /// 0 to 100; none before the first word.
    rating: Option<f32>,
    silent_windows: u32,
    /// What other nodes know.
    spread: Option<Verdict>,
}

impl Quality {
    fn take(&mut self, up: &PathQuality, down: &PathQuality) {
        let now = rate(up).min(rate(down));
        let before = self.rating.unwrap_or(now);
        let weight = if now < before { FALL } else { RISE };
        self.rating = Some(before + (now - before) * weight);
        let is_silent = up.expected_bps > 0 && up.bitrate_bps == 0;
        self.silent_windows = if is_silent { self.silent_windows + 1 } else { 0 };
    }

    pub fn verdict(&self) -> Option<Verdict> {
        let rating = self.rating?;
        let quality = match rating {
            _ if self.silent_windows >= SILENT_WINDOWS => ConnectionQuality::Lost,
            rating if rating > EXCELLENT => ConnectionQuality::Excellent,
            rating if rating > GOOD => ConnectionQuality::Good,
            _ => ConnectionQuality::Poor,
        };
        Some(Verdict { quality, score: opinion(rating) })
    }

    /// Whether other nodes are to hear of it; afterwards they have.
    fn spread(&mut self) -> bool {
        let Some(verdict) = self.verdict() else { return false };
        let is_news = self.spread.is_none_or(|known| known.differs(verdict));
        if is_news {
            self.spread = Some(verdict);
        }
        is_news
    }
}

impl Room {
    /// How packets to and from a participant fared.
    pub fn rate(&mut self, cx: &mut Context, identity: &Identity, up: &PathQuality, down: &PathQuality) {
        let Some(local) = self.locals.get_mut(identity) else { return };
        local.quality.take(up, down);
        if local.quality.spread() {
            self.spread(cx, identity);
        }
        self.gather_qualities(cx);
    }

    /// Remembers to tell clients of qualities soon.
    pub fn gather_qualities(&mut self, cx: &mut Context) {
        if self.qualities_at.is_none() {
            cx.wake(&self.key, *self.qualities_at.insert(cx.now + GATHER));
        }
    }

    /// Tells each client what it does not know of itself and of those whom it receives, when it is time.
    pub fn tell_qualities(&mut self, cx: &mut Context) {
        if self.qualities_at.is_none_or(|at: Instant| at > cx.now) {
            return;
        }
        self.qualities_at = None;
        let (publishers, verdicts) = (self.publishers(), self.verdicts(cx));
        for local in self.locals.values_mut().filter(|local| local.session.has_socket()) {
            let updates = news_for(local, &publishers, &verdicts);
            if !updates.is_empty() {
                let update = proto::ConnectionQualityUpdate { updates };
                cx.signal(local.session.socket, Message::ConnectionQuality(update));
            }
        }
    }

    /// Tells other nodes of a participant anew, and no client.
    pub fn spread(&mut self, cx: &mut Context, identity: &Identity) {
        let Some(local) = self.locals.get_mut(identity).filter(|local| local.standing.is_served()) else { return };
        local.bump();
        cx.mesh(cascade::Input::Publish(local.record(&self.key, cx.config.node, &cx.config.region)));
    }

    fn verdicts(&self, cx: &Context) -> BTreeMap<ParticipantSid, Verdict> {
        let elsewhere = self.remotes.visible().filter_map(|remote| {
            let is_lost = cx.unreached.get(&remote.record.owner) == Some(&Reach::Lost);
            Some((remote.record.sid, if is_lost { Verdict::LOST } else { remote.annex.verdict()? }))
        });
        // Of one who comes back here, both are there.
        let here = self.locals.values().filter_map(|local| Some((local.sid, local.quality.verdict()?)));
        elsewhere.chain(here).collect()
    }
}

/// What a client does not know yet; afterwards it does.
fn news_for(
    local: &mut Participant,
    publishers: &BTreeMap<TrackSid, ParticipantSid>,
    verdicts: &BTreeMap<ParticipantSid, Verdict>,
) -> Vec<proto::ConnectionQualityInfo> {
    let received = local.session.subscriptions.iter().filter_map(|track| publishers.get(track).copied());
    // Who is out of reach is shown so whether or not anything is taken of it, until it is there again.
    let is_lost = |verdict: &Verdict| verdict.quality == ConnectionQuality::Lost;
    let lost = verdicts.iter().filter(|(_, verdict)| is_lost(verdict)).map(|(sid, _)| *sid);
    let told_lost = local.session.qualities.iter().filter(|(_, told)| is_lost(told)).map(|(sid, _)| *sid);
    let seen: BTreeSet<_> = received.chain(lost).chain(told_lost).chain([local.sid]).collect();
    local.session.qualities.retain(|sid, _| seen.contains(sid));
    let mut updates = Vec::new();
    for sid in seen {
        let told = local.session.qualities.get(&sid);
        let verdict = match verdicts.get(&sid) {
            _ if sid == local.sid => local.quality.verdict().map(Verdict::for_itself),
            Some(verdict) => Some(*verdict),
            None => told.is_some_and(is_lost).then_some(Verdict::FRESH),
        };
        let Some(verdict) = verdict else { continue };
        if told.is_none_or(|known| known.differs(verdict)) {
            local.session.qualities.insert(sid, verdict);
            updates.push(proto::ConnectionQualityInfo {
                participant_sid: sid.to_string(),
                quality: verdict.quality as i32,
                score: verdict.score,
            });
        }
    }
    updates
}

/// 0 to 100.
fn rate(path: &PathQuality) -> f32 {
    let delay_ms = path.rtt_ms / 2.0 + path.jitter_ms * 2.0;
    let delay_effect = if delay_ms > 160.0 { (delay_ms - 120.0) / 10.0 } else { delay_ms / 40.0 };
    let loss_effect = path.loss * 100.0 * LOSS_WEIGHT;
    let by_packets = 100.0 - delay_effect - loss_effect;
    let missing = path.expected_bps as f32 / path.bitrate_bps.max(1) as f32;
    let by_bits = if missing > 1.0 { 100.0 - 20.0 * missing.ln() } else { 100.0 };
    let rating = by_packets.min(by_bits);
    // A worker's division by nothing is no reason to call a connection bad.
    if rating.is_nan() { 100.0 } else { rating.clamp(0.0, 100.0) }
}

/// Mean opinion score of a rating (ITU-T G.107, annex B).
fn opinion(rating: f32) -> f32 {
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).clamp(1.0, 4.5)
}
