//! A track on its way from the wish to publish it to packets that flow.

use std::time::Instant;

use livekit_protocol as proto;
use str0m::media::Mid;

use crate::MediaKind;
use crate::options::{AudioOptions, VideoOptions};
use crate::peer::Peer;
use crate::source::Source;

/// What is published.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Audio(AudioOptions),
    Video(VideoOptions),
}

/// How far it has come: announced by `add_track`, named by the server, offered, answered.
#[derive(Debug)]
pub(crate) enum Stage {
    Announced,
    Named,
    Offered(Mid),
    Flowing(Box<Source>),
}

/// One track of ours.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) cid: String,
    pub(crate) content: Content,
    pub(crate) stage: Stage,
    /// `TR_…`, once the server has named it.
    pub(crate) sid: Option<String>,
}

impl Publication {
    pub(crate) fn new(cid: String, content: Content) -> Self {
        Self { cid, content, stage: Stage::Announced, sid: None }
    }

    /// The request that announces it.
    pub(crate) fn add_track(&self) -> proto::AddTrackRequest {
        let common = proto::AddTrackRequest { cid: self.cid.clone(), name: self.cid.clone(), ..Default::default() };
        match &self.content {
            Content::Audio(_) => proto::AddTrackRequest {
                r#type: proto::TrackType::Audio as i32,
                source: proto::TrackSource::Microphone as i32,
                disable_red: true,
                ..common
            },
            Content::Video(options) => self.add_video(options, common),
        }
    }

    fn add_video(&self, options: &VideoOptions, common: proto::AddTrackRequest) -> proto::AddTrackRequest {
        let layers = video_layers(options);
        let largest = options.layers.last();
        let codec = proto::SimulcastCodec {
            codec: "vp8".to_owned(),
            cid: self.cid.clone(),
            layers: layers.clone(),
            ..Default::default()
        };
        proto::AddTrackRequest {
            r#type: proto::TrackType::Video as i32,
            source: proto::TrackSource::Camera as i32,
            width: largest.map_or(0, |layer| layer.width),
            height: largest.map_or(0, |layer| layer.height),
            layers,
            simulcast_codecs: vec![codec],
            ..common
        }
    }

    /// The video options, `None` for audio.
    pub(crate) fn video(&self) -> Option<&VideoOptions> {
        match &self.content {
            Content::Audio(_) => None,
            Content::Video(options) => Some(options),
        }
    }

    /// Begins to flow when its section has been answered with a codec that we know.
    pub(crate) fn start(&mut self, peer: &Peer, record: bool, now: Instant) -> bool {
        let Stage::Offered(mid) = self.stage else { return false };
        let kind = if self.video().is_some() { MediaKind::Video } else { MediaKind::Audio };
        let Some(pt) = peer.payload_type(mid, kind) else { return false };
        let mut source = match &self.content {
            Content::Audio(options) => Source::audio(options.clone(), mid, pt, now),
            Content::Video(options) => Source::video(options, mid, pt, now),
        };
        if record && kind == MediaKind::Audio {
            source.keep_made();
        }
        self.stage = Stage::Flowing(Box::new(source));
        true
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        match &self.stage {
            Stage::Flowing(source) => Some(source),
            _ => None,
        }
    }

    pub(crate) fn source_mut(&mut self) -> Option<&mut Source> {
        match &mut self.stage {
            Stage::Flowing(source) => Some(source),
            _ => None,
        }
    }
}

/// Simulcast numbers its qualities from LOW up; a single layer is HIGH.
fn video_layers(options: &VideoOptions) -> Vec<proto::VideoLayer> {
    let single = options.layers.len() == 1;
    let quality = |index: usize| if single { proto::VideoQuality::High as i32 } else { index as i32 };
    let layer = |(index, layer): (usize, &crate::options::Layer)| proto::VideoLayer {
        quality: quality(index),
        width: layer.width,
        height: layer.height,
        bitrate: options.bitrate_bps(layer),
        rid: layer.rid.unwrap_or_default().to_owned(),
        spatial_layer: index as i32,
        ..Default::default()
    };
    options.layers.iter().enumerate().map(layer).collect()
}
