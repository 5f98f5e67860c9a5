//! What publishers send and what viewers take.

use std::time::Duration;

use super::reader::Section;

/// One layer of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Pixels across.
    pub width: u32,
    /// Kilobits per second.
    pub kbps: f64,
}

/// What a publisher sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Layers of the picture, lowest first; empty for sound alone.
    pub video: Vec<Layer>,
    /// The layers lie within one stream (SVC).
    pub in_stream: bool,
    /// Frames per second.
    pub fps: f64,
    /// A keyframe this often even when nobody asks.
    pub keyframe_every: Option<Duration>,
    /// A keyframe is this many times as large as a mean frame.
    pub keyframe_size: f64,
    /// Kilobits per second of sound; `None` without sound.
    pub audio_kbps: Option<f64>,
    /// Sound pauses at random, as people do (two fifths of the time they talk).
    pub dtx: bool,
}

/// What a viewer takes of everybody else in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// The layer of pictures, or the highest below it; `None` takes no pictures.
    pub layer: Option<u8>,
    /// Sound too.
    pub audio: bool,
}

impl Default for Media {
    fn default() -> Self {
        let layer = |width, kbps| Layer { width, kbps };
        Self {
            video: vec![layer(320, 150.0), layer(640, 500.0), layer(1280, 1700.0)],
            in_stream: false,
            fps: 25.0,
            keyframe_every: None,
            keyframe_size: 6.0,
            audio_kbps: Some(32.0),
            dtx: false,
        }
    }
}

const LAYERS: &str = "one to three layers { w = 320, kbps = 150 }, lowest first; false for none";

pub(super) fn read(section: &Section<'_>) -> Media {
    let default = Media::default();
    let has_picture = section.item("video").is_none_or(|item| !matches!(item.value, super::tree::Value::Switch(false)));
    let video = match (has_picture, section.has("video")) {
        (false, _) => Vec::new(),
        (true, false) => default.video,
        (true, true) => read_layers(section),
    };
    let sound = section.switch("audio").unwrap_or(true);
    let kbps = section.number("audio_kbps", 6.0, 510.0).or(default.audio_kbps);
    Media {
        video,
        in_stream: section.switch("in_stream").unwrap_or(default.in_stream),
        fps: section.number("fps", 1.0, 120.0).unwrap_or(default.fps),
        keyframe_every: section.duration("keyframe_every").filter(|every| !every.is_zero()),
        keyframe_size: section.number("keyframe_size", 1.0, 30.0).unwrap_or(default.keyframe_size),
        audio_kbps: kbps.filter(|_| sound),
        dtx: section.switch("dtx").unwrap_or(default.dtx),
    }
}

fn read_layers(section: &Section<'_>) -> Vec<Layer> {
    let layers: Vec<Layer> = section
        .tables("video")
        .into_iter()
        .filter_map(|table| {
            let (width, kbps) = (table.whole("w", 16, 8192), table.number("kbps", 10.0, 200_000.0));
            if kbps.is_none() && !table.has("kbps") {
                table.refuse("kbps", "missing", LAYERS);
            }
            table.finish();
            Some(Layer { width: width.unwrap_or(1280) as u32, kbps: kbps? })
        })
        .collect();
    if layers.is_empty() || layers.len() > 3 {
        section.refuse("video", format!("{} layers", layers.len()), LAYERS);
    }
    layers.into_iter().take(3).collect()
}

/// What members of a group take; `otherwise` where nothing is said.
pub(super) fn read_takes(section: &Section<'_>, otherwise: Option<Takes>) -> Option<Takes> {
    use super::tree::Value;
    let accepted = "0, 1, 2, \"top\", or \"none\" for sound alone";
    let layer = section.get("layer", accepted, |value| match value {
        Value::Number(number) if [0.0, 1.0, 2.0].contains(number) => Some(Some(*number as u8)),
        Value::Text(text) if text == "top" => Some(Some(2)),
        Value::Text(text) if text == "none" => Some(None),
        _ => None,
    });
    let hears = section.switch("hears");
    match (layer, otherwise) {
        (None, None) if hears.is_none() => None,
        (None, otherwise) => {
            let layer = otherwise.and_then(|takes| takes.layer);
            Some(Takes { layer, audio: hears.unwrap_or(true) })
        }
        (Some(layer), _) => Some(Takes { layer, audio: hears.unwrap_or(true) }),
    }
}
