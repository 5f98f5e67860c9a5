//! A track of a local participant: announced by its client, started by its first packet, shown to others.

use livekit_protocol as proto;
use origo_auth::TrackSid;
use origo_cascade_core::{MediaKind, TrackRecord};
use proto::{AudioTrackFeature, TrackSource, TrackType, request_response::Reason, video_layer::Mode};

use super::backup::Backup;
use super::dynacast::Demand;
use super::limits;
use crate::media::{self, Redundancy};

/// What `video/…` a client may publish, and the bare name by which it wishes for it; the first is the fallback.
const VIDEO_CODECS: [(&str, &str); 4] =
    [("vp8", "video/VP8"), ("h264", "video/H264"), ("vp9", "video/VP9"), ("av1", "video/AV1")];
const OPUS: &str = "audio/opus";
/// Not a codec, but named among them: Opus with redundancy.
const RED: &str = "audio/red";
/// Simulcast names of layers, lowest first, as all LiveKit clients use them.
const RIDS: [&str; limits::LAYERS_LISTED_MAX] = ["q", "h", "f"];

/// Codecs that a client may publish, as it is told at its join.
pub(super) fn enabled_codecs() -> Vec<proto::Codec> {
    let mimes = VIDEO_CODECS.iter().map(|(_, mime)| *mime).chain([OPUS, RED]);
    mimes.map(|mime| proto::Codec { mime: mime.into(), fmtp_line: String::new() }).collect()
}

/// The MIME type of a video codec that clients may publish, by its bare name.
pub(super) fn video_mime(codec: &str) -> Option<&'static str> {
    let bare = codec.rsplit('/').next().unwrap_or(codec);
    VIDEO_CODECS.iter().find(|(name, _)| name.eq_ignore_ascii_case(bare)).map(|(_, mime)| *mime)
}

/// How large layers are declared to be; nothing when one of them is not.
pub(super) fn sizes(layers: &[proto::VideoLayer]) -> Vec<(u16, u16)> {
    let side = |pixels: u32| u16::try_from(pixels).ok().filter(|&pixels| pixels > 0);
    let all: Option<Vec<_>> = layers.iter().map(|layer| side(layer.width).zip(side(layer.height))).collect();
    all.unwrap_or_default()
}

/// What may be done with a sound on its way. Redundancy around an encrypted frame could be neither taken out nor added.
pub(super) fn redundancy_of(info: &proto::TrackInfo) -> Redundancy {
    match (info.encryption(), info.disable_red) {
        (proto::encryption::Type::None, false) => Redundancy::Allowed,
        (proto::encryption::Type::None, true) => Redundancy::Disabled,
        _ => Redundancy::Sealed,
    }
}

/// Why an announcement is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PublishError {
    #[error("this participant may not publish {0}")]
    NotAllowed(&'static str),
    #[error("a track of type {0} cannot be announced like this")]
    Type(i32),
    #[error("this second codec of {0} is not taken")]
    SecondCodec(String),
    #[error("this participant has no picture {0}")]
    UnknownTrack(String),
    #[error("a participant has at most {max} tracks", max = limits::TRACKS_MAX)]
    TooMany,
    #[error("{0} is longer than {max} bytes", max = limits::NAME_BYTES_MAX)]
    TooLong(&'static str),
}

impl PublishError {
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotAllowed(_) => Reason::NotAllowed,
            Self::Type(_) | Self::SecondCodec(_) => Reason::UnsupportedType,
            Self::UnknownTrack(_) => Reason::NotFound,
            Self::TooMany | Self::TooLong(_) => Reason::LimitExceeded,
        }
    }
}

/// A track of a local participant.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    /// By which workers and nodes know it.
    pub sid: TrackSid,
    /// By which clients know it: the same, unless its publisher came from another node with it.
    pub name: TrackSid,
    /// The client's id for it.
    pub cid: String,
    pub kind: MediaKind,
    pub info: proto::TrackInfo,
    /// Others may know of it: its media flows, or it is muted.
    pub ready: bool,
    /// Others know of it.
    pub announced: bool,
    /// Its publisher knows that somebody takes it.
    pub subscribed: bool,
    pub demand: Demand,
    /// Its second codec.
    pub backup: Option<Backup>,
    layer_bitrates_bps: Vec<u32>,
}

impl Publication {
    /// What the client asked for, as far as it can be had; `backup` is the id of its second codec, if it has one. The
    /// caller has checked the rights.
    pub fn new(
        (sid, backup): (TrackSid, TrackSid),
        request: &proto::AddTrackRequest,
        unix_ms: u64,
    ) -> Result<Self, PublishError> {
        check_lengths(request)?;
        let kind = match TrackType::try_from(request.r#type) {
            Ok(TrackType::Audio) => MediaKind::Audio,
            Ok(TrackType::Video) => MediaKind::Video,
            _ => return Err(PublishError::Type(request.r#type)),
        };
        let mut publication = Self {
            sid,
            name: sid,
            cid: request.cid.clone(),
            kind,
            info: described(sid, kind, request),
            ready: false,
            announced: false,
            subscribed: false,
            demand: Demand::default(),
            backup: None,
            layer_bitrates_bps: Vec::new(),
        };
        publication.layer_bitrates_bps = publication.bitrates();
        if kind == MediaKind::Video {
            let layers = publication.info.codecs.first().map_or(&[][..], |codec| &codec.layers);
            publication.backup = Backup::of(backup, request, layers);
            publication.show_backup(unix_ms);
        }
        publication.touch(unix_ms);
        Ok(publication)
    }

    /// Clients know it by this id already, from the node where its publisher was before.
    pub fn rename(&mut self, name: TrackSid) {
        self.name = name;
        self.info.sid = name.to_string();
    }

    /// What the worker is to expect in the client's offer.
    pub fn expected(&self, request: &proto::AddTrackRequest) -> media::Expected {
        let others = request.simulcast_codecs.iter().take(1).map(|codec| codec.cid.clone());
        let ids = [request.cid.clone()].into_iter().chain(others).filter(|id| !id.is_empty());
        media::Expected {
            sid: self.sid,
            client_ids: ids.collect(),
            kind: self.kind,
            mime: self.info.mime_type.clone(),
            layer_bitrates_bps: self.layer_bitrates_bps.clone(),
            layer_sizes: self.layer_sizes(),
            stereo: self.has(AudioTrackFeature::TfStereo),
            dtx: self.kind == MediaKind::Audio && !self.has(AudioTrackFeature::TfNoDtx),
            redundancy: redundancy_of(&self.info),
        }
    }

    /// Its first packet came.
    pub fn start(&mut self, mime: String, mid: String, ssrcs: &[u32], unix_ms: u64) {
        self.info.mime_type.clone_from(&mime);
        self.info.mid.clone_from(&mid);
        if let Some(codec) = self.info.codecs.first_mut() {
            codec.mime_type = mime;
            codec.mid = mid;
            for (layer, &ssrc) in codec.layers.iter_mut().zip(ssrcs) {
                layer.ssrc = ssrc;
            }
        }
        self.copy_layers();
        self.touch(unix_ms);
    }

    /// Layers that can be taken one by one.
    pub fn takeable(&self) -> usize {
        self.layer_bitrates_bps.len()
    }

    /// Marks a change, for clients that compare.
    pub fn touch(&mut self, unix_ms: u64) {
        self.info.version = Some(proto::TimedVersion { unix_micro: unix_ms as i64 * 1_000, ticks: 0 });
    }

    /// What the cascade and workers are told.
    pub fn record(&self) -> TrackRecord {
        TrackRecord {
            sid: self.sid,
            kind: self.kind,
            mime: self.info.mime_type.clone(),
            layer_bitrates_bps: self.layer_bitrates_bps.clone(),
            layer_sizes: self.layer_sizes(),
            backup_of: None,
            shown_as: Some(self.name).filter(|name| *name != self.sid),
        }
    }

    /// The same, and its second codec.
    pub fn records(&self) -> impl Iterator<Item = TrackRecord> {
        [self.record()].into_iter().chain(self.backup.as_ref().map(|backup| backup.record(self.name)))
    }

    /// Tells clients how things stand with the second codec.
    pub fn show_backup(&mut self, unix_ms: u64) {
        self.info.codecs.truncate(1);
        self.info.codecs.extend(self.backup.as_ref().map(Backup::info));
        self.touch(unix_ms);
    }

    /// Its client declares other layers. As many as before keep their names; more or fewer are not taken.
    #[expect(deprecated, reason = "older clients read the layers beside the codec")]
    pub fn set_layers(&mut self, mut layers: Vec<proto::VideoLayer>, unix_ms: u64) -> bool {
        layers.sort_by_key(|layer| (layer.quality, layer.bitrate));
        let Some(codec) = self.info.codecs.first_mut().filter(|codec| codec.layers.len() == layers.len()) else {
            return false;
        };
        for (known, layer) in codec.layers.iter_mut().zip(layers) {
            (known.width, known.height, known.bitrate) = (layer.width, layer.height, layer.bitrate);
        }
        self.info.layers.clone_from(&codec.layers);
        self.layer_bitrates_bps = self.bitrates();
        self.touch(unix_ms);
        true
    }

    fn layer_sizes(&self) -> Vec<(u16, u16)> {
        self.info.codecs.first().map_or(Vec::new(), |codec| sizes(&codec.layers))
    }

    fn has(&self, feature: AudioTrackFeature) -> bool {
        self.info.audio_features.contains(&(feature as i32))
    }

    /// Bits per second of each layer. VP9 and AV1 carry them within one stream; where their clients say otherwise, one
    /// layer is all that can be told.
    fn bitrates(&self) -> Vec<u32> {
        let codec = self.info.codecs.first();
        let layers = codec.map_or(&[][..], |codec| &codec.layers);
        let one_each = Mode::OneSpatialLayerPerStream as i32;
        let apart = codec.is_some_and(|codec| codec.video_layer_mode == one_each)
            && ["video/VP9", "video/AV1"].contains(&self.info.mime_type.as_str());
        if layers.is_empty() || apart {
            return vec![layers.iter().map(|layer| layer.bitrate).max().unwrap_or(0)];
        }
        layers.iter().map(|layer| layer.bitrate).collect()
    }

    #[expect(deprecated, reason = "older clients read the layers beside the codec")]
    fn copy_layers(&mut self) {
        if let Some(codec) = self.info.codecs.first() {
            self.info.layers.clone_from(&codec.layers);
        }
    }
}

/// The msid stream that tracks of one source share, so that sound and picture of it play in step.
fn stream_of(source: i32) -> &'static str {
    match TrackSource::try_from(source) {
        Ok(TrackSource::Camera | TrackSource::Microphone) => "camera",
        Ok(TrackSource::ScreenShare | TrackSource::ScreenShareAudio) => "screen",
        _ => "unknown",
    }
}

pub(super) fn check_lengths(request: &proto::AddTrackRequest) -> Result<(), PublishError> {
    let texts = [("cid", &request.cid), ("name", &request.name), ("stream", &request.stream)];
    let codecs = request.simulcast_codecs.iter().flat_map(|codec| [("codec", &codec.codec), ("cid", &codec.cid)]);
    for (what, text) in texts.into_iter().chain(codecs) {
        if text.len() > limits::NAME_BYTES_MAX {
            return Err(PublishError::TooLong(what));
        }
    }
    let listed = [request.layers.len(), request.audio_features.len(), request.packet_trailer_features.len()];
    if listed.into_iter().chain([request.simulcast_codecs.len()]).any(|length| length > limits::NAME_BYTES_MAX) {
        return Err(PublishError::TooLong("a list"));
    }
    Ok(())
}

/// The codec that the client wishes for, if it may have it.
fn mime_of(kind: MediaKind, request: &proto::AddTrackRequest) -> &'static str {
    if kind == MediaKind::Audio {
        return OPUS;
    }
    let wish = request.simulcast_codecs.first().map_or("", |codec| codec.codec.as_str());
    video_mime(wish).unwrap_or(VIDEO_CODECS[0].1)
}

/// The declared layers, lowest first, with the names that their packets will carry.
pub(super) fn layers_of(kind: MediaKind, request: &proto::AddTrackRequest) -> Vec<proto::VideoLayer> {
    if kind == MediaKind::Audio {
        return Vec::new();
    }
    let codec = request.simulcast_codecs.first().filter(|codec| !codec.layers.is_empty());
    let mut layers = codec.map_or_else(|| request.layers.clone(), |codec| codec.layers.clone());
    layers.truncate(limits::LAYERS_LISTED_MAX);
    layers.sort_by_key(|layer| (layer.quality, layer.bitrate));
    if layers.is_empty() {
        let quality = proto::VideoQuality::High as i32;
        layers.push(proto::VideoLayer { quality, width: request.width, height: request.height, ..Default::default() });
    }
    if layers.len() > 1 {
        for (index, layer) in layers.iter_mut().enumerate() {
            layer.rid = RIDS[index].into();
            layer.spatial_layer = index as i32;
        }
    }
    layers
}

fn features_of(kind: MediaKind, request: &proto::AddTrackRequest) -> Vec<i32> {
    if kind == MediaKind::Video {
        return Vec::new();
    }
    let mut features = request.audio_features.clone();
    #[expect(deprecated, reason = "older clients say it with these flags")]
    let flags = [
        (request.stereo, AudioTrackFeature::TfStereo as i32),
        (request.disable_dtx, AudioTrackFeature::TfNoDtx as i32),
    ];
    features.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, feature)| feature));
    features.sort_unstable();
    features.dedup();
    features
}

#[expect(deprecated, reason = "older clients read the deprecated fields")]
fn described(sid: TrackSid, kind: MediaKind, request: &proto::AddTrackRequest) -> proto::TrackInfo {
    let mime = mime_of(kind, request);
    let layers = layers_of(kind, request);
    let audio_features = features_of(kind, request);
    let stream = if request.stream.is_empty() { stream_of(request.source) } else { &request.stream };
    let wished_mode = request.simulcast_codecs.first().map_or(Mode::Unused as i32, |codec| codec.video_layer_mode);
    let codec = proto::SimulcastCodecInfo {
        mime_type: mime.into(),
        cid: request.cid.clone(),
        layers: layers.clone(),
        video_layer_mode: wished_mode,
        ..Default::default()
    };
    proto::TrackInfo {
        sid: sid.to_string(),
        r#type: request.r#type,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        simulcast: layers.len() > 1,
        disable_dtx: audio_features.contains(&(AudioTrackFeature::TfNoDtx as i32)),
        source: request.source,
        layers,
        mime_type: mime.into(),
        codecs: vec![codec],
        stereo: audio_features.contains(&(AudioTrackFeature::TfStereo as i32)),
        disable_red: request.disable_red || request.encryption != proto::encryption::Type::None as i32,
        encryption: request.encryption,
        stream: stream.into(),
        audio_features,
        backup_codec_policy: request.backup_codec_policy,
        packet_trailer_features: request.packet_trailer_features.clone(),
        ..Default::default()
    }
}
