//! A session that receives a track: where it is written, which layer, and what the client has use for.

use std::collections::VecDeque;
use std::time::Instant;

use origo_auth::TrackSid;

use super::allocate::Rank;
use super::codec::Codec;
use super::egress::Stream;
use super::forward::Forwarder;
use super::keyframe::Asks;
use super::loudest::Place;
use super::peer::Mid;
use super::place::Queued;
use super::redundancy::Form;
use super::track::LAYERS;
use super::{Redundancy, TrackSettings};
use crate::SessionId;

/// A layer that is this much smaller than what it is shown as, in percent, still does: nobody sees the difference.
const NEARLY_COVERS_PERCENT: u64 = 90;
/// Packets of a sound that are held: more than a second, by which no two ways differ.
const HELD_MAX: usize = 64;
/// The shorter sides of layers whose size is unknown, as LiveKit's clients choose them; the last has no bound.
const USUAL_SIDES: [u64; LAYERS] = [180, 360, u64::MAX];
/// What is taken to be shown for each wish, in pixels, when the client told no size.
const USUAL_PIXELS: [u64; LAYERS] = [320 * 180, 640 * 360, 1280 * 720];

/// A session that receives a track.
pub(crate) struct Viewer {
    /// The session.
    pub session: SessionId,
    /// The track as which the client knows it.
    pub name: TrackSid,
    /// Its connection.
    pub peer: usize,
    /// Where to write, once the client can receive it.
    pub stream: Option<Stream>,
    /// The track that is written there until this one begins, and since when: the same from the node where its publisher
    /// was before.
    pub succeeds: Option<(TrackSid, Instant)>,
    /// Since when another track goes on in its place; only what comes late is still written.
    pub succeeded: Option<Instant>,
    /// The newest packets of a sound that is to go on in another's place, oldest first.
    pub held: VecDeque<Queued>,
    /// The section of that stream.
    pub mid: Option<Mid>,
    /// Which layer, and with which numbers.
    pub forwarder: Forwarder,
    /// How the client shows it.
    pub settings: TrackSettings,
    /// It is a shared screen.
    pub screen: bool,
    /// The client was told that its way has no room for it.
    pub paused: bool,
    /// When it began to see something, since it was last hidden.
    pub begun: Option<Instant>,
    /// The keyframes that it asks for.
    pub asks: Asks,
    /// Of a sound: whether it is among those that its session gets.
    pub place: Place,
    /// Its session has no section for it, because others are listed: see [`super::shortlist`].
    pub unlisted: bool,
}

impl Viewer {
    /// A viewer to whom nothing can be written yet.
    pub fn new(session: SessionId, name: TrackSid, peer: usize, forwarder: Forwarder, screen: bool) -> Self {
        let settings = TrackSettings::default();
        Self {
            session,
            name,
            peer,
            stream: None,
            succeeds: None,
            succeeded: None,
            held: VecDeque::new(),
            mid: None,
            forwarder,
            settings,
            screen,
            paused: false,
            begun: None,
            asks: Asks::default(),
            place: Place::default(),
            unlisted: false,
        }
    }

    /// Writes from now on to another stream, whose numbers begin anew; `None` stops.
    pub fn set_stream(&mut self, mid: Mid, stream: Option<Stream>, (codec, layered): (Codec, bool)) {
        let target = self.forwarder.target();
        self.forwarder = Forwarder::new(codec, layered);
        self.forwarder.set_target(target);
        self.stream = stream;
        self.mid = stream.map(|_| mid);
    }

    /// Keeps a burst of a sound until it is known with which packet it goes on in another's place.
    pub fn hold(&mut self, burst: &[Queued]) {
        self.held.extend(burst.iter().map(|queued| Queued::alone(queued.packet.clone(), queued.captured)));
        self.held.drain(..self.held.len().saturating_sub(HELD_MAX));
    }

    /// In which form it gets a sound. Redundancy costs bandwidth, so a sound that comes without gets it only where
    /// packets are lost.
    pub fn form(&self, redundancy: Redundancy, loses: bool) -> Form {
        match (self.stream.and_then(|stream| stream.redundant_type), redundancy) {
            (_, Redundancy::Sealed) => Form::AsCame,
            (None, _) => Form::Plain,
            (Some(_), Redundancy::Allowed) if loses => Form::Added,
            (Some(_), _) => Form::AsCame,
        }
    }

    /// The highest layer that the client has use for: the smallest that covers what it shows, of the `sent` layers.
    pub fn useful_layer(&self, sizes: &[Option<(u16, u16)>; LAYERS], sent: usize) -> usize {
        let top = sent.clamp(1, LAYERS) - 1;
        let shown = u64::from(self.settings.width.min(self.settings.height));
        if shown == 0 {
            return top.min(usize::from(self.settings.quality));
        }
        let covers = |&layer: &usize| {
            let side = sizes[layer].map_or(USUAL_SIDES[layer], |(width, height)| width.min(height).into());
            side >= shown * NEARLY_COVERS_PERCENT / 100
        };
        (0..top).find(covers).unwrap_or(top)
    }

    /// When it is served among the client's tracks; `speaker` is where its publisher stands among the speakers.
    pub fn rank(&self, speaker: u64) -> Rank {
        let TrackSettings { width, height, quality, priority, .. } = self.settings;
        let usual = USUAL_PIXELS[usize::from(quality).min(LAYERS - 1)];
        let pixels = match u64::from(width) * u64::from(height) {
            0 => usual,
            pixels => pixels,
        };
        Rank { screen: self.screen, priority, speaker, ..Rank::shown(pixels) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(settings: TrackSettings) -> Viewer {
        Viewer {
            settings,
            ..Viewer::new(SessionId(1), "TR_abcdefghjkmn".parse().unwrap(), 0, Forwarder::new(Codec::Vp8, false), false)
        }
    }

    fn shown(width: u32, height: u32) -> Viewer {
        viewer(TrackSettings { width, height, ..TrackSettings::default() })
    }

    #[test]
    fn the_smallest_layer_that_covers_what_is_shown_is_enough() {
        let sizes = [Some((320, 180)), Some((640, 360)), Some((1280, 720))];
        for (shown, layer) in [
            (shown(160, 90), 0),
            (shown(320, 200), 0),
            (shown(330, 210), 1),
            (shown(640, 360), 1),
            (shown(450, 800), 2),
            (shown(4_000, 3_000), 2),
        ] {
            assert_eq!(shown.useful_layer(&sizes, 3), layer, "{:?}", shown.settings);
        }
        assert_eq!(shown(640, 360).useful_layer(&sizes, 1), 0, "there is no other");
    }

    #[test]
    fn layers_of_unknown_size_are_taken_to_be_of_the_usual_size() {
        assert_eq!(shown(320, 180).useful_layer(&[None; 3], 3), 0);
        assert_eq!(shown(640, 360).useful_layer(&[None; 3], 3), 1);
        assert_eq!(shown(1_280, 720).useful_layer(&[None; 3], 3), 2);
    }

    #[test]
    fn without_a_size_the_wished_quality_counts() {
        for (quality, layer) in [(0, 0), (1, 1), (2, 2)] {
            let viewer = viewer(TrackSettings { quality, ..TrackSettings::default() });
            assert_eq!(viewer.useful_layer(&[None; 3], 3), layer);
            assert_eq!(viewer.useful_layer(&[None; 3], 2), layer.min(1));
        }
    }
}
