//! Which layers give way when a link has no room for all: enhancement layers, the highest first, whole.
//!
//! Packets dropped here and there would spoil every picture; a layer that is left out spoils one, and its viewers are
//! shown the layer below. A layer comes back with a keyframe when there is room again.

use std::time::{Duration, Instant};

use super::flows::Flows;
use super::machine::Serving;
use super::{Class, Flow, Packet};

/// What is kept fills this share of the rate: repairs and messages need the rest.
const FILL: f64 = 0.95;
/// A layer may try when so much more than it brought lately is allowed.
const MARGIN: f64 = 1.05;
/// A load's memory: a quarter of each new look.
const SMOOTH: f64 = 0.25;
/// A keyframe counts as spread over this time: once in a while it is no rate.
const KEYFRAME_SPREAD: f64 = 1.0;
/// A keyframe is about so much of its layer's rate: it tells of a layer of which nothing else came yet.
const KEYFRAME_SPAN: f64 = 0.25;
/// A layer that gave way stays away this long, and twice as long each time that it had to again soon.
const AWAY_MIN: Duration = Duration::from_millis(500);
const AWAY_MAX: Duration = Duration::from_secs(8);
/// A layer that had to go again within this time after it came back came back too soon.
const TOO_SOON: Duration = Duration::from_secs(3);
/// A layer that is to come back waits so long for a keyframe; there may be no telling which packet begins one.
const KEYFRAME_WAIT: Duration = Duration::from_secs(1);

/// What one flow brings. What each packet needs comes last, side by side.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Load {
    back_at: Option<Instant>,
    away: Duration,
    bps: Option<f64>,
    /// Of keyframes, as far as they have not been counted yet.
    key_bytes: f64,
    state: State,
    /// RTP timestamp of the newest keyframe.
    keyframe: Option<u32>,
    bytes: u32,
    class: Option<Class>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Goes,
    Away {
        until: Instant,
    },
    /// Comes back with a keyframe, or then.
    Returns {
        at: Instant,
        asked: bool,
    },
}

/// What changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// These give way from now on.
    pub(super) away: Vec<Flow>,
    /// These come back; each needs a keyframe that nobody has been asked for.
    pub(super) back: Vec<Flow>,
    /// What the link would have to allow for the next layer that is away; 0 when none is.
    pub(super) next_bps: f64,
}

impl Load {
    /// Counts a packet of the flow. False if it is to be dropped.
    pub(super) fn pass(&mut self, now: Instant, class: Class, bytes: usize, packet: &Packet) -> bool {
        if packet.key {
            self.keyframe = Some(packet.timestamp);
        }
        if self.keyframe == Some(packet.timestamp) {
            self.key_bytes += bytes as f64;
        } else {
            self.bytes = self.bytes.saturating_add(bytes as u32);
        }
        self.class = Some(class);
        match self.state {
            State::Goes => true,
            State::Away { .. } => false,
            State::Returns { at, .. } => {
                let returns = packet.key || now >= at;
                if returns {
                    self.begin_anew(now);
                }
                returns
            }
        }
    }

    /// The stream that it is a layer of begins anew: if it is to come back, now.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        if matches!(self.state, State::Returns { .. }) {
            (self.state, self.back_at) = (State::Goes, Some(now));
        }
    }

    /// Whether the flow has given way.
    pub(super) fn is_away(&self) -> bool {
        !matches!(self.state, State::Goes)
    }

    /// Whoever sends the flow has been asked for a keyframe.
    pub(super) fn take_asked(&mut self) {
        if let State::Returns { asked, .. } = &mut self.state {
            *asked = true;
        }
    }

    fn look(&mut self, span: Duration) {
        let span = span.as_secs_f64().max(0.001);
        let bytes = f64::from(std::mem::take(&mut self.bytes));
        let counted = self.key_bytes * (span / KEYFRAME_SPREAD).min(1.0);
        let now = (bytes + counted) * 8.0 / span;
        self.bps = match self.bps {
            Some(before) => Some(before + SMOOTH * (now - before)),
            None if self.key_bytes > 0.0 => Some(self.key_bytes * 8.0 / KEYFRAME_SPAN),
            None => (now > 0.0).then_some(now),
        };
        self.key_bytes -= counted;
    }

    fn bps(&self) -> f64 {
        self.bps.unwrap_or(0.0)
    }

    fn give_way(&mut self, now: Instant, is_bounded: bool) {
        let too_soon = is_bounded && self.back_at.is_some_and(|at| now - at < TOO_SOON);
        self.away = if too_soon { (2 * self.away).min(AWAY_MAX) } else { AWAY_MIN };
        self.state = State::Away { until: now + self.away };
    }
}

/// What a link may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Bits per second, everything included.
    pub(super) allowed_bps: f64,
    /// The path has shown a bound: what does not fit now will not fit soon.
    pub(super) is_bounded: bool,
    /// Something waits too long.
    pub(super) is_pressed: bool,
}

/// Looks at all loads: `span` since the last look.
pub(super) fn review(now: Instant, span: Duration, of: Room, serving: &mut Flows<Serving>) -> Changes {
    serving.values_mut().for_each(|serving| serving.load.look(span));
    let goes = serving.values().filter(|serving| !matches!(serving.load.state, State::Away { .. }));
    let load: f64 = goes.map(|serving| serving.load.bps()).sum();
    let room = FILL * of.allowed_bps - load;
    let mut changes = Changes::default();
    if room < 0.0 && of.is_pressed {
        changes.away = send_away(now, -room, of.is_bounded, serving);
    } else if room > 0.0 && !of.is_pressed {
        bring_back(now, room, serving);
    }
    let waits = |serving: &Serving| matches!(serving.load.state, State::Returns { asked: false, .. });
    changes.back = serving.iter().filter(|(_, serving)| waits(serving)).map(|(flow, _)| flow).collect();
    let away = serving.iter().filter(|(_, serving)| matches!(serving.load.state, State::Away { .. }));
    let next = away.min_by_key(|(flow, serving)| (serving.layer.layer, *flow));
    changes.next_bps = next.map_or(0.0, |(_, serving)| MARGIN * (load + serving.load.bps()) / FILL);
    changes
}

fn send_away(now: Instant, mut excess: f64, is_bounded: bool, serving: &mut Flows<Serving>) -> Vec<Flow> {
    let may_go = |serving: &Serving| serving.load.class == Some(Class::Enhancement) && !serving.load.is_away();
    let mut candidates: Vec<(u8, Flow)> = serving
        .iter()
        .filter(|(_, serving)| may_go(serving))
        .map(|(flow, serving)| (serving.layer.layer, flow))
        .collect();
    candidates.sort_unstable();
    let mut away = Vec::new();
    while excess > 0.0
        && let Some((_, flow)) = candidates.pop()
    {
        let Some(serving) = serving.get_mut(flow) else { continue };
        excess -= serving.load.bps();
        serving.load.give_way(now, is_bounded);
        away.push(flow);
    }
    away
}

/// The lowest layer first.
fn bring_back(now: Instant, mut room: f64, serving: &mut Flows<Serving>) {
    let may_come = |serving: &Serving| matches!(serving.load.state, State::Away { until } if until <= now);
    let mut candidates: Vec<(u8, Flow)> = serving
        .iter()
        .filter(|(_, serving)| may_come(serving))
        .map(|(flow, serving)| (serving.layer.layer, flow))
        .collect();
    candidates.sort_unstable();
    for (_, flow) in candidates {
        let Some(serving) = serving.get_mut(flow) else { continue };
        room -= serving.load.bps();
        if room < 0.0 {
            break;
        }
        serving.load.state = State::Returns { at: now + KEYFRAME_WAIT, asked: false };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Extensions;
    use super::*;

    const LOOK: Duration = Duration::from_millis(50);

    fn packet(now: Instant, timestamp: u32, key: bool) -> Packet {
        Packet {
            sequence: 0,
            timestamp,
            marker: true,
            key,
            redundant: false,
            skipped: 0,
            extensions: Extensions::default(),
            payload: Arc::from([]),
            arrived: now,
        }
    }

    /// What a load of 1 Mb/s at 20 frames a second says after each look of 2 s, with keyframes of six frames in some.
    fn looks(keyframes: &[u32]) -> Vec<f64> {
        let (now, mut load) = (Instant::now(), Load::default());
        (0..40)
            .map(|frame| {
                let key = keyframes.contains(&frame);
                for part in 0..if key { 6 } else { 1 } {
                    let packet = packet(now, frame, key && part == 0);
                    load.pass(now, Class::Enhancement, 6250, &packet);
                }
                load.look(LOOK);
                load.bps()
            })
            .collect()
    }

    #[test]
    fn a_keyframe_is_no_rate_and_the_first_tells_of_a_layer_at_once() {
        let looks = looks(&[0, 20]);
        assert!((1.15e6..1.25e6).contains(&looks[0]), "{}", looks[0]);
        for (frame, bps) in looks.iter().enumerate() {
            assert!((0.9e6..1.3e6).contains(bps), "{frame}: {bps}");
        }
    }

    #[test]
    fn a_load_without_keyframes_is_what_it_brings() {
        for (frame, bps) in looks(&[]).into_iter().enumerate() {
            assert!((bps - 1e6).abs() < 1.0, "{frame}: {bps}");
        }
    }
}
