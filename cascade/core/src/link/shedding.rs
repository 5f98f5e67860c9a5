//! Which layers give way when a link has no room for all: enhancement layers, the highest first, whole.
//!
//! Packets dropped here and there would spoil every picture; a layer that is left out spoils one, and its viewers are
//! shown the layer below. A layer comes back with a keyframe when there is room again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::machine::Serving;
use super::{Class, Flow};

/// What is kept fills this share of the rate: repairs and messages need the rest.
const FILL: f64 = 0.95;
/// A layer may try when so much more than it brought lately is allowed.
const MARGIN: f64 = 1.05;
/// A load's memory: a quarter of each new look.
const SMOOTH: f64 = 0.25;
/// A layer that gave way stays away this long, and twice as long each time that it had to again soon.
const AWAY_MIN: Duration = Duration::from_millis(500);
const AWAY_MAX: Duration = Duration::from_secs(8);
/// A layer that had to go again within this time after it came back came back too soon.
const TOO_SOON: Duration = Duration::from_secs(3);
/// A layer that is to come back waits so long for a keyframe; there may be no telling which packet begins one.
const KEYFRAME_WAIT: Duration = Duration::from_secs(1);

/// What one flow brings.
#[derive(Debug, Default)]
pub(super) struct Load {
    bytes: usize,
    bps: Option<f64>,
    class: Option<Class>,
    state: State,
    away: Duration,
    back_at: Option<Instant>,
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
    },
}

/// What changes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// These give way from now on.
    pub(super) away: Vec<Flow>,
    /// These come back; each needs a keyframe.
    pub(super) back: Vec<Flow>,
    /// What the link would have to allow for the next layer that is away; 0 when none is.
    pub(super) next_bps: f64,
}

impl Load {
    /// Counts a packet of the flow. False if it is to be dropped.
    pub(super) fn pass(&mut self, now: Instant, class: Class, bytes: usize, key: bool) -> bool {
        self.bytes += bytes;
        self.class = Some(class);
        match self.state {
            State::Goes => true,
            State::Away { .. } => false,
            State::Returns { at } => {
                let returns = key || now >= at;
                if returns {
                    (self.state, self.back_at) = (State::Goes, Some(now));
                }
                returns
            }
        }
    }

    /// Whether the flow has given way.
    pub(super) fn is_away(&self) -> bool {
        !matches!(self.state, State::Goes)
    }

    fn look(&mut self, span: Duration) {
        let now = std::mem::take(&mut self.bytes) as f64 * 8.0 / span.as_secs_f64().max(0.001);
        self.bps = match self.bps {
            Some(before) => Some(before + SMOOTH * (now - before)),
            None => (now > 0.0).then_some(now),
        };
    }

    fn bps(&self) -> f64 {
        self.bps.unwrap_or(0.0)
    }

    fn give_way(&mut self, now: Instant) {
        let too_soon = self.back_at.is_some_and(|at| now - at < TOO_SOON);
        self.away = if too_soon { (2 * self.away).min(AWAY_MAX) } else { AWAY_MIN };
        self.state = State::Away { until: now + self.away };
    }
}

/// Looks at all loads: `span` since the last look, what the link may send, and whether something waits too long.
pub(super) fn review(
    now: Instant,
    span: Duration,
    allowed_bps: f64,
    pressed: bool,
    serving: &mut BTreeMap<Flow, Serving>,
) -> Changes {
    serving.values_mut().for_each(|serving| serving.load.look(span));
    let goes = serving.values().filter(|serving| !matches!(serving.load.state, State::Away { .. }));
    let load: f64 = goes.map(|serving| serving.load.bps()).sum();
    let room = FILL * allowed_bps - load;
    let mut changes = Changes::default();
    if room < 0.0 && pressed {
        changes.away = send_away(now, -room, serving);
    } else if room > 0.0 && !pressed {
        changes.back = bring_back(now, room, serving);
    }
    let away = serving.iter().filter(|(_, serving)| matches!(serving.load.state, State::Away { .. }));
    let next = away.min_by_key(|(flow, serving)| (serving.layer.layer, **flow));
    changes.next_bps = next.map_or(0.0, |(_, serving)| MARGIN * (load + serving.load.bps()) / FILL);
    changes
}

fn send_away(now: Instant, mut excess: f64, serving: &mut BTreeMap<Flow, Serving>) -> Vec<Flow> {
    let may_go = |serving: &Serving| serving.load.class == Some(Class::Enhancement) && !serving.load.is_away();
    let mut candidates: Vec<(u8, Flow)> = serving
        .iter()
        .filter(|(_, serving)| may_go(serving))
        .map(|(flow, serving)| (serving.layer.layer, *flow))
        .collect();
    candidates.sort_unstable();
    let mut away = Vec::new();
    while excess > 0.0
        && let Some((_, flow)) = candidates.pop()
    {
        let Some(serving) = serving.get_mut(&flow) else { continue };
        excess -= serving.load.bps();
        serving.load.give_way(now);
        away.push(flow);
    }
    away
}

/// The lowest layer first.
fn bring_back(now: Instant, mut room: f64, serving: &mut BTreeMap<Flow, Serving>) -> Vec<Flow> {
    let may_come = |serving: &Serving| matches!(serving.load.state, State::Away { until } if until <= now);
    let mut candidates: Vec<(u8, Flow)> = serving
        .iter()
        .filter(|(_, serving)| may_come(serving))
        .map(|(flow, serving)| (serving.layer.layer, *flow))
        .collect();
    candidates.sort_unstable();
    let mut back = Vec::new();
    for (_, flow) in candidates {
        let Some(serving) = serving.get_mut(&flow) else { continue };
        room -= serving.load.bps();
        if room < 0.0 {
            break;
        }
        serving.load.state = State::Returns { at: now + KEYFRAME_WAIT };
        back.push(flow);
    }
    back
}
