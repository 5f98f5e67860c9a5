//! A picture's second codec: named with the first, published once somebody takes it.
//!
//! Clients know one track with two codecs. Between nodes and in workers the second is a track of its own, with an id
//! that no client sees, so that each codec crosses a link only where it is taken.

use livekit_protocol as proto;
use origo_auth::{Identity, TrackSid};
use origo_cascade_core::{LayerSet, MediaKind, TrackRecord};
use proto::signal_response::Message;

use super::context::Context;
use super::dynacast::Demand;
use super::publication::{self, Publication, PublishError};
use super::room::Room;
use crate::media::{Command, Expected, Redundancy};

/// The second codec of a publication.
#[derive(Clone, Debug)]
pub(super) struct Backup {
    /// By which workers and nodes know it.
    pub sid: TrackSid,
    pub demand: Demand,
    mime: &'static str,
    /// The client's ids of it, once it has announced it.
    cids: Vec<String>,
    layers: Vec<proto::VideoLayer>,
}

impl Backup {
    /// What an announcement names beside the codec that it puts first. Nothing of an encrypted picture: its publisher
    /// could not send it.
    pub fn of(sid: TrackSid, request: &proto::AddTrackRequest, layers: &[proto::VideoLayer]) -> Option<Self> {
        let [first, second, ..] = &request.simulcast_codecs[..] else { return None };
        let is_clear = request.encryption == proto::encryption::Type::None as i32;
        let mime = publication::video_mime(&second.codec).filter(|_| is_clear)?;
        // How it will be layered is not known before it is announced; its lowest layer is what is there at once.
        (publication::video_mime(&first.codec) != Some(mime))
            .then(|| Self::new(sid, mime, &layers[..layers.len().min(1)]))
    }

    fn new(sid: TrackSid, mime: &'static str, layers: &[proto::VideoLayer]) -> Self {
        Self { sid, demand: Demand::resting(), mime, cids: Vec::new(), layers: layers.to_vec() }
    }

    /// As clients are told of it.
    pub fn info(&self) -> proto::SimulcastCodecInfo {
        proto::SimulcastCodecInfo {
            mime_type: self.mime.into(),
            cid: self.cids.first().cloned().unwrap_or_default(),
            layers: self.layers.clone(),
            ..Default::default()
        }
    }

    /// As nodes and workers are told of it.
    pub fn record(&self, of: TrackSid) -> TrackRecord {
        TrackRecord {
            sid: self.sid,
            kind: MediaKind::Video,
            mime: self.mime.into(),
            layer_bitrates_bps: self.layers.iter().map(|layer| layer.bitrate).collect(),
            layer_sizes: publication::sizes(&self.layers),
            backup_of: Some(of),
            shown_as: None,
        }
    }

    /// As the worker is to expect it.
    pub fn expected(&self) -> Expected {
        Expected {
            sid: self.sid,
            client_ids: self.cids.clone(),
            kind: MediaKind::Video,
            mime: self.mime.into(),
            layer_bitrates_bps: self.layers.iter().map(|layer| layer.bitrate).collect(),
            layer_sizes: publication::sizes(&self.layers),
            stereo: false,
            dtx: false,
            redundancy: Redundancy::default(),
        }
    }

    /// Every layer that it may be sent with.
    pub fn layers(&self) -> LayerSet {
        (0..self.layers.len().max(1) as u8).fold(LayerSet::NONE, LayerSet::with)
    }
}

impl Room {
    /// A client announces the second codec of a track: it was asked for it, or it publishes both from the beginning.
    pub fn add_codec(&mut self, cx: &mut Context, identity: &Identity, request: proto::AddTrackRequest) {
        match self.try_add_codec(cx, identity, &request) {
            Ok(info) => {
                let published = proto::TrackPublishedResponse { cid: request.cid, track: Some(info) };
                self.tell(cx, identity, Message::TrackPublished(published));
            }
            Err(error) => self.refuse_track(cx, identity, request, error.reason(), error.to_string()),
        }
    }

    fn try_add_codec(
        &mut self,
        cx: &mut Context,
        identity: &Identity,
        request: &proto::AddTrackRequest,
    ) -> Result<proto::TrackInfo, PublishError> {
        publication::check_lengths(request)?;
        let new_sid = TrackSid::random(&mut cx.rng);
        let named = || request.sid.chars().take(64).collect();
        let local = self.locals.get_mut(identity).ok_or(PublishError::NotAllowed("here"))?;
        let session = local.session.id;
        let track = request.sid.parse().ok().and_then(|track| local.publication(track));
        let publication = track.filter(|publication| publication.kind == MediaKind::Video);
        let publication = publication.ok_or_else(|| PublishError::UnknownTrack(named()))?;
        let wish = request.simulcast_codecs.first().map_or("", |codec| &codec.codec);
        let mime = publication::video_mime(wish).ok_or_else(|| PublishError::SecondCodec(named()))?;
        if publication.info.mime_type.eq_ignore_ascii_case(mime) {
            return Err(PublishError::SecondCodec(named()));
        }
        let layers = publication::layers_of(MediaKind::Video, request);
        let backup = publication.backup.get_or_insert_with(|| Backup::new(new_sid, mime, &layers));
        if backup.mime != mime || !backup.cids.is_empty() {
            return Err(PublishError::SecondCodec(named()));
        }
        let others = request.simulcast_codecs.iter().map(|codec| &codec.cid);
        backup.cids = [&request.cid].into_iter().chain(others).filter(|cid| !cid.is_empty()).cloned().collect();
        backup.layers = layers;
        let (expected, sid) = (backup.expected(), backup.sid);
        publication.show_backup(cx.unix_ms);
        let (track, info, announced) = (publication.name, publication.info.clone(), publication.announced);
        cx.media(&self.key, Command::Expect { session, track: expected });
        cx.local_tracks.insert(sid, self.key.clone());
        if announced {
            self.announce(cx, identity);
        }
        self.renew_subscriptions(cx, track);
        Ok(info)
    }

    /// The first packet of a second codec came. Says whether it is one.
    pub fn start_backup(
        &mut self,
        cx: &mut Context,
        identity: &Identity,
        track: TrackSid,
        mid: &str,
        ssrcs: &[u32],
    ) -> bool {
        let Some(publication) = self.with_backup(identity, track) else { return false };
        if let Some(codec) = publication.info.codecs.get_mut(1) {
            codec.mid = mid.into();
            for (layer, &ssrc) in codec.layers.iter_mut().zip(ssrcs) {
                layer.ssrc = ssrc;
            }
        }
        publication.touch(cx.unix_ms);
        if publication.announced {
            self.announce(cx, identity);
        }
        true
    }

    /// The client's offer no longer carries a second codec. It may be asked for again. Says whether it was one.
    pub fn end_backup(&mut self, cx: &mut Context, identity: &Identity, track: TrackSid) -> bool {
        let Some(publication) = self.with_backup(identity, track) else { return false };
        let Some(backup) = &mut publication.backup else { return false };
        backup.cids.clear();
        backup.demand = Demand::resting();
        let expected = backup.expected();
        publication.show_backup(cx.unix_ms);
        if let Some(local) = self.locals.get(identity) {
            cx.media(&self.key, Command::Reserve { session: local.session.id, track: expected });
        }
        self.announce(cx, identity);
        true
    }

    /// A client takes no codec of a track.
    pub fn tell_unsupported(&self, cx: &mut Context, identity: &Identity, track: TrackSid) {
        let err = proto::SubscriptionError::SeCodecUnsupported as i32;
        let response = proto::SubscriptionResponse { track_sid: track.to_string(), err };
        self.tell(cx, identity, Message::SubscriptionResponse(response));
    }

    fn with_backup(&mut self, identity: &Identity, track: TrackSid) -> Option<&mut Publication> {
        let publications = &mut self.locals.get_mut(identity)?.publications;
        publications.values_mut().find(|known| known.backup.as_ref().is_some_and(|backup| backup.sid == track))
    }
}
