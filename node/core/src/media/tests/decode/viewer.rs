//! A viewer who changes his mind all the time, and what reaches him, put in order as a receiver does.

use std::collections::BTreeMap;

use crate::media::codec::Codec;
use crate::media::forward::{Forwarder, Rewrite};
use crate::media::track::Track;

/// Pictures between two changes of mind, on average.
const PATIENCE: u64 = 4;

/// How packets left, and their payloads.
pub type Packets = Vec<(Rewrite, Vec<u8>)>;

/// Random numbers of a seed.
pub struct Dice(pub u64);

impl Dice {
    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// See the module.
pub struct Viewer {
    dice: Dice,
    forwarder: Forwarder,
    received: BTreeMap<u64, (Rewrite, Vec<u8>)>,
    /// Changes of layers that took place: up, down.
    changes: (u32, u32),
    layers: u64,
}

impl Viewer {
    /// One who may take so many layers, and as many temporal ones.
    pub fn new(seed: u64, codec: Codec, layered: bool, layers: u64) -> Self {
        let mut forwarder = Forwarder::new(codec, layered);
        forwarder.set_target(Some(0));
        let dice = Dice(seed);
        Self { dice, forwarder, received: BTreeMap::new(), changes: (0, 0), layers }
    }

    /// May wish for other layers.
    pub fn think(&mut self) {
        if self.dice.below(PATIENCE) == 0 {
            self.forwarder.set_target(Some(self.dice.below(self.layers) as u8));
        }
        if self.dice.below(PATIENCE) == 0 {
            self.forwarder.set_temporal(self.dice.below(3) as u8);
        }
    }

    /// The highest layer that this viewer takes or is about to take.
    pub fn highest(&self) -> u8 {
        self.forwarder.current().max(self.forwarder.target()).unwrap_or(0)
    }

    /// Takes what a track has in its bursts.
    pub fn take(&mut self, track: &Track) {
        for (stream, layer) in (0..).zip(&track.layers) {
            for queued in &layer.burst {
                let before = self.forwarder.current();
                let rewrite = self.forwarder.forward(stream, queued);
                let after = self.forwarder.current();
                self.changes.0 += u32::from(before.is_some() && after > before);
                self.changes.1 += u32::from(after < before);
                let Some(rewrite) = rewrite else { continue };
                let number = rewrite.sequence;
                let old = self.received.insert(number, (rewrite, queued.packet.payload.to_vec()));
                assert!(old.is_none(), "number {number} came twice");
            }
        }
    }

    /// Viewers change their layers often enough to mean something.
    pub fn count_changes(viewers: &[Self]) {
        let (up, down) = viewers.iter().fold((0, 0), |(up, down), it| (up + it.changes.0, down + it.changes.1));
        assert!(up >= 5 && down >= 5, "{up} changes up and {down} down");
    }

    /// The payloads of each picture and its time, in order. Each picture has its end, and no number is missing.
    pub fn pictures(&self) -> Vec<(u32, Packets)> {
        let first = *self.received.keys().next().expect("something came");
        assert!(self.received.keys().copied().eq(first..first + self.received.len() as u64), "a number is missing");
        let mut pictures: Vec<(u32, Packets)> = Vec::new();
        for (rewrite, payload) in self.received.values().filter(|(rewrite, _)| !rewrite.blank) {
            let time = rewrite.timestamp;
            match pictures.last_mut() {
                Some((last, packets)) if *last == time => packets.push((rewrite.clone(), payload.clone())),
                _ => pictures.push((time, vec![(rewrite.clone(), payload.clone())])),
            }
        }
        for (time, packets) in &pictures {
            let (last, others) = packets.split_last().unwrap();
            let whole = last.0.marker && others.iter().all(|(rewrite, _)| !rewrite.marker);
            let seen = |(rewrite, payload): &(Rewrite, Vec<u8>)| (rewrite.sequence, rewrite.marker, payload.len());
            assert!(whole, "the end of picture {time}: {:?}", packets.iter().map(seen).collect::<Vec<_>>());
        }
        pictures
    }
}
