//! When a keyframe of a track's stream is asked for.

use std::time::{Duration, Instant};

use origo_cascade_core::MediaKind;

use super::track::Track;
use super::viewer::Viewer;

/// Keyframes that one viewer may ask for in a row, and how long it takes until it may ask for one more. A keyframe costs
/// everybody who watches the track; a viewer whose way is so bad that it needs more is helped by a lower layer.
const AT_ONCE: u32 = 5;
const ONE_MORE: Duration = Duration::from_secs(2);

/// Wishes so close to each other are one: a viewer says it again until it sees a keyframe.
const ONE_WISH: Duration = Duration::from_millis(500);

/// What a viewer may ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asks {
    /// When it last asked for one more, and what was left then, as the time in which it comes back.
    last: Option<(Instant, Duration)>,
}

impl Asks {
    /// It asks. False when it has asked too often.
    pub fn may(&mut self, now: Instant) -> bool {
        let most = ONE_MORE * AT_ONCE;
        let passed = self.last.map(|(at, _)| now.saturating_duration_since(at));
        if passed.is_some_and(|passed| passed < ONE_WISH) {
            return true;
        }
        let left = self.last.zip(passed).map_or(most, |((_, left), passed)| (left + passed).min(most));
        let Some(left) = left.checked_sub(ONE_MORE) else { return false };
        self.last = Some((now, left));
        true
    }
}

impl Track {
    /// Whether a keyframe of this stream is to be asked for by now: a wish was kept, a viewer still waits for a layer that
    /// it carries, or a packet that decoders need was not repaired in time.
    pub fn due_keyframe(&mut self, stream: usize, now: Instant) -> bool {
        // Of a barred layer nothing but a keyframe is waited for.
        let is_barred = self.layers[stream].barred_until.is_some();
        if self.layers[stream].gaps.give_up(now) && !is_barred && self.taken().contains(stream as u8) {
            self.layers[stream].key_pending = true;
            self.layers[stream].breaks(now);
        }
        let waits = |viewer: &Viewer| {
            let layer = viewer.forwarder.target().filter(|_| viewer.stream.is_some() && viewer.forwarder.waits());
            layer.is_some_and(|layer| {
                let first = viewer.forwarder.current().is_none();
                usize::from(self.stream_of(layer)) == stream && (first || self.may_begin(layer))
            })
        };
        let awaited =
            self.kind == MediaKind::Video && (self.layers[stream].key_pending || self.viewers.iter().any(waits));
        awaited && self.want_keyframe(stream, now)
    }

    /// Someone needs a keyframe of this stream: whether to ask for it right now. One that its publisher holds back while
    /// it sends others begins with a keyframe when it is sent again, and asking would only cost keyframes of the others.
    pub fn want_keyframe(&mut self, stream: usize, now: Instant) -> bool {
        let held_back = self.started && !self.layers[stream].flows && self.layers.iter().any(|layer| layer.flows);
        if self.is_local() && held_back {
            self.layers[stream].key_pending = true;
            return false;
        }
        self.layers[stream].want_keyframe(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_all_the_time_gets_one_keyframe_in_two_seconds_and_who_asks_rarely_all_of_them() {
        let start = Instant::now();
        let wishes = |every_ms: u64| {
            let mut asks = Asks::default();
            let (mut wishes, mut last) = (0, None);
            for ms in (0..20_000).step_by(every_ms as usize) {
                let now = start + Duration::from_millis(ms);
                if asks.may(now) && last.is_none_or(|last| now.duration_since(last) >= ONE_WISH) {
                    (wishes, last) = (wishes + 1, Some(now));
                }
            }
            wishes
        };
        assert_eq!(wishes(1), 14, "five at once, and nine more in 20 s");
        assert_eq!(wishes(2_000), 10);
    }
}
