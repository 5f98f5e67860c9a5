//! How much a layer sends: bits, and frames of each temporal layer.

use std::time::{Duration, Instant};

use super::place::TEMPORAL_LAYERS;

/// Over how long rates are measured.
const WINDOW: Duration = Duration::from_secs(1);

/// Bits per second over the last whole window.
#[derive(Default)]
pub(crate) struct Rate {
    window: Option<Instant>,
    bytes: u64,
    /// None before the first window is over.
    pub bps: Option<u64>,
}

impl Rate {
    /// So many bytes came.
    pub fn add(&mut self, bytes: usize, now: Instant) {
        let window = *self.window.get_or_insert(now);
        let elapsed = now.saturating_duration_since(window);
        if elapsed >= WINDOW {
            let bps = (self.bytes * 8 * 1_000_000) / (elapsed.as_micros() as u64).max(1);
            // Half old, half new: a keyframe does not make a layer look twice as dear.
            self.bps = Some(self.bps.map_or(bps, |old| old.midpoint(bps)));
            self.window = Some(now);
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
    }
}

/// Frames per second up to each temporal layer, over the last whole window.
#[derive(Default)]
pub(crate) struct FrameRate {
    window: Option<Instant>,
    counted: [u32; TEMPORAL_LAYERS as usize],
    fps: Option<[u32; TEMPORAL_LAYERS as usize]>,
}

impl FrameRate {
    /// A frame came.
    pub fn add(&mut self, temporal: u8, now: Instant) {
        let window = *self.window.get_or_insert(now);
        let elapsed_ms = now.saturating_duration_since(window).as_millis() as u32;
        if elapsed_ms >= WINDOW.as_millis() as u32 {
            let mut sum = 0;
            self.fps = Some(std::mem::take(&mut self.counted).map(|frames| {
                sum += frames;
                (sum * 1_000).div_ceil(elapsed_ms)
            }));
            self.window = Some(now);
        }
        self.counted[usize::from(temporal.min(TEMPORAL_LAYERS - 1))] += 1;
    }

    /// Frames per second over all temporal layers.
    pub fn fps(&self) -> Option<u32> {
        self.fps.map(|fps| fps[fps.len() - 1])
    }

    /// The lowest temporal layer with enough frames. One frame in ten is not missed.
    pub fn layer_for(&self, fps: u32) -> Option<u8> {
        let rates = self.fps.filter(|_| fps > 0)?;
        rates.iter().position(|&rate| rate * 10 >= fps.saturating_mul(9)).map(|layer| layer as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_temporal_layer_with_enough_frames_is_found() {
        let begun = Instant::now();
        let mut rate = FrameRate::default();
        assert_eq!(rate.layer_for(30), None, "nothing is known yet");
        for frame in 0..61_u32 {
            rate.add([0, 2, 1, 2][frame as usize % 4], begun + Duration::from_micros(33_333) * frame);
        }
        for (fps, layer) in [(0, None), (5, Some(0)), (8, Some(0)), (15, Some(1)), (20, Some(2)), (60, None)] {
            assert_eq!(rate.layer_for(fps), layer, "{fps}");
        }
        assert_eq!(rate.fps(), Some(31), "rounded up");
    }
}
