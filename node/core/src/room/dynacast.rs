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
    /// Of what is not sent before somebody takes it.
    pub fn resting() -> Self {
        Self { told: Some(LayerSet::NONE), ..Self::default() }
    }

    /// What the publisher sends, of `all` layers, as far as it does what it is told.
    fn sent(&self, all: LayerSet) -> LayerSet {
        self.told.unwrap_or(all)
    }

    /// Takes in what is taken now, of `all` layers. Gives what the publisher is to send at once, if it is to send more.
    fn change(&mut self, now: Instant, taken: LayerSet, all: LayerSet) -> Option<LayerSet> {
        let sent = self.sent(all);
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
        let Some((identity, shown)) = self.shown_as(track) else { return };
        if !layers.is_empty() {
            self.tell_of_first_subscriber(cx, &identity, shown);
        }
        let Some(publication) = self.publication(&identity, shown) else { return };
        let all = sendable(publication);
        let (demand, all) = match &mut publication.backup {
            Some(backup) if backup.sid == track => {
                let all = backup.layers();
                (&mut backup.demand, Some(all))
            }
            _ => (&mut publication.demand, all),
        };
        let Some(all) = all else { return };
        let rises = demand.change(cx.now, layers, all).is_some();
        let falls_at = demand.falls_at;
        if rises {
            self.ask_for_layers(cx, &identity, shown);
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
                let backup = publication.backup.as_mut().and_then(|backup| backup.demand.fall(cx.now));
                if publication.demand.fall(cx.now).or(backup).is_some() {
                    lower.push((local.identity.clone(), publication.name));
                }
            }
        }
        for (identity, track) in lower {
            self.ask_for_layers(cx, &identity, track);
        }
    }

    /// The publisher of a track of this node, and the track as which clients know it.
    fn shown_as(&self, track: TrackSid) -> Option<(Identity, TrackSid)> {
        self.locals.values().find_map(|local| {
            let is_it = |known: &&Publication| {
                known.sid == track || known.backup.as_ref().is_some_and(|backup| backup.sid == track)
            };
            local.announced().find(is_it).map(|known| (local.identity.clone(), known.name))
        })
    }

    fn ask_for_layers(&self, cx: &mut Context, identity: &Identity, track: TrackSid) {
        let local = self.locals.get(identity);
        let publication = local.and_then(|local| local.publications.values().find(|known| known.name == track));
        let Some(publication) = publication else { return };
        let update = update(publication);
        tracing::debug!(room = %self.key, %track, codecs = ?update.subscribed_codecs, "layers are asked for");
        self.tell(cx, identity, Message::SubscribedQualityUpdate(update));
    }
}

/// The layers that can be switched one by one; none for what has no layers.
fn sendable(publication: &Publication) -> Option<LayerSet> {
    let layers = publication.info.codecs.first()?.layers.len();
    let has_layers = publication.kind == MediaKind::Video && (layers > 1 || publication.backup.is_some());
    has_layers.then(|| (0..publication.takeable() as u8).fold(LayerSet::NONE, LayerSet::with))
}

#[expect(deprecated, reason = "older clients read the list without codecs")]
fn update(publication: &Publication) -> proto::SubscribedQualityUpdate {
    let all = sendable(publication).unwrap_or(LayerSet::only(0));
    let takeable = publication.takeable();
    let mut codecs = publication.info.codecs.iter();
    let first = codecs.next().map(|codec| subscribed(codec, publication.demand.sent(all), takeable));
    let backup = publication.backup.as_ref().zip(codecs.next());
    let second =
        backup.map(|(backup, codec)| subscribed(codec, backup.demand.sent(backup.layers()), codec.layers.len()));
    let subscribed_codecs: Vec<_> = first.into_iter().chain(second).collect();
    proto::SubscribedQualityUpdate {
        track_sid: publication.name.to_string(),
        subscribed_qualities: subscribed_codecs.first().map_or(Vec::new(), |codec| codec.qualities.clone()),
        subscribed_codecs,
    }
}

/// The qualities of one codec that are to be sent, of `takeable` layers that can be taken one by one.
fn subscribed(info: &proto::SimulcastCodecInfo, layers: LayerSet, takeable: usize) -> proto::SubscribedCodec {
    let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High].into_iter().map(|quality| {
        let enabled = is_needed(&info.layers, layers, takeable, quality);
        SubscribedQuality { quality: quality as i32, enabled }
    });
    let mime = info.mime_type.to_ascii_lowercase();
    let codec = mime.rsplit('/').next().unwrap_or_default().to_owned();
    proto::SubscribedCodec { codec, qualities: qualities.collect() }
}

/// Whether a quality is to be sent. What cannot be taken layer by layer is sent whole or not at all.
fn is_needed(declared: &[proto::VideoLayer], layers: LayerSet, takeable: usize, quality: VideoQuality) -> bool {
    if takeable <= 1 {
        return !layers.is_empty();
    }
    let index = declared.iter().position(|layer| layer.quality == quality as i32);
    index.is_some_and(|index| layers.contains(index as u8))
}
