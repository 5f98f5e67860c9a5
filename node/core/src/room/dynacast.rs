//! Which layers a publisher need send: what somebody takes anywhere in the mesh, and no more.

use std::time::Instant;

use livekit_protocol as proto;
use origo_auth::{Identity, TrackSid};
use origo_cascade_core::{LayerSet, MediaKind};
use proto::signal_response::Message;
use proto::{SubscribedQuality, VideoQuality};

use super::context::Context;
use super::limits;
use super::publication::Publication;
use super::room::Room;

/// The layers of one publication that are taken, and what its publisher knows of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    taken: LayerSet,
    /// What the publisher was told to send; none while it sends all.
    told: Option<LayerSet>,
    /// When it is told of less.
    falls_at: Option<Instant>,
}

impl Demand {
    /// Takes in what is taken now, of `all` layers. Gives what the publisher is to send at once, if it is to send more.
    fn change(&mut self, now: Instant, taken: LayerSet, all: LayerSet) -> Option<LayerSet> {
        let sent = self.told.unwrap_or(all);
        self.taken = LayerSet(taken.0 & all.0);
        let needed = LayerSet(sent.0 | self.taken.0);
        self.falls_at = (needed != self.taken).then(|| now + limits::DYNACAST_LINGER);
        let rises = needed != sent;
        if rises {
            self.told = Some(needed);
        }
        rises.then_some(needed)
    }

    /// What the publisher is to send from now on, if that is less than before.
    fn fall(&mut self, now: Instant) -> Option<LayerSet> {
        self.falls_at.take_if(|at| *at <= now)?;
        self.told = Some(self.taken);
        self.told
    }
}

impl Room {
    /// The layers of a track of this node that anybody takes, here or elsewhere.
    pub fn demand(&mut self, cx: &mut Context, track: TrackSid, layers: LayerSet) {
        let Some(identity) = self.publisher_of(track).cloned() else { return };
        if !layers.is_empty() {
            self.tell_of_first_subscriber(cx, &identity, track);
        }
        let Some(publication) = self.publication(&identity, track) else { return };
        let Some(all) = sendable(publication) else { return };
        let rise = publication.demand.change(cx.now, layers, all);
        let falls_at = publication.demand.falls_at;
        if let Some(layers) = rise {
            self.ask_for_layers(cx, &identity, track, layers);
        }
        if let Some(at) = falls_at {
            cx.wake(&self.key, at);
        }
    }

    /// Tells publishers which layers nobody has taken for a while.
    pub fn lower_demands(&mut self, cx: &mut Context) {
        let mut lower = Vec::new();
        for local in self.locals.values_mut() {
            for publication in local.publications.values_mut() {
                if let Some(layers) = publication.demand.fall(cx.now) {
                    lower.push((local.identity.clone(), publication.sid, layers));
                }
            }
        }
        for (identity, track, layers) in lower {
            self.ask_for_layers(cx, &identity, track, layers);
        }
    }

    fn ask_for_layers(&self, cx: &mut Context, identity: &Identity, track: TrackSid, layers: LayerSet) {
        let publication = self.locals.get(identity).and_then(|local| local.publications.get(&track));
        let Some(publication) = publication else { return };
        tracing::debug!(room = %self.key, %track, layers = layers.0, "the publisher is asked for these layers");
        self.tell(cx, identity, Message::SubscribedQualityUpdate(update(publication, layers)));
    }
}

/// The layers that can be switched one by one; none for what has no layers.
fn sendable(publication: &Publication) -> Option<LayerSet> {
    let layers = publication.info.codecs.first()?.layers.len();
    let has_layers = publication.kind == MediaKind::Video && layers > 1;
    has_layers.then(|| (0..publication.takeable() as u8).fold(LayerSet::NONE, LayerSet::with))
}

#[expect(deprecated, reason = "older clients read the list without codecs")]
fn update(publication: &Publication, layers: LayerSet) -> proto::SubscribedQualityUpdate {
    let qualities: Vec<_> = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High]
        .into_iter()
        .map(|quality| SubscribedQuality { quality: quality as i32, enabled: is_needed(publication, layers, quality) })
        .collect();
    let mime = publication.info.mime_type.to_ascii_lowercase();
    let codec = mime.rsplit('/').next().unwrap_or_default().to_owned();
    proto::SubscribedQualityUpdate {
        track_sid: publication.sid.to_string(),
        subscribed_qualities: qualities.clone(),
        subscribed_codecs: vec![proto::SubscribedCodec { codec, qualities }],
    }
}

/// Whether a quality is to be sent. What cannot be taken layer by layer is sent whole or not at all.
fn is_needed(publication: &Publication, layers: LayerSet, quality: VideoQuality) -> bool {
    if publication.takeable() == 1 {
        return !layers.is_empty();
    }
    let declared = publication.info.codecs.first().map_or(&[][..], |codec| &codec.layers);
    let index = declared.iter().position(|layer| layer.quality == quality as i32);
    index.is_some_and(|index| layers.contains(index as u8))
}
