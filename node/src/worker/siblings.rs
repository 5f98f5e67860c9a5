//! How the threads of one node's workers reach each other.

use std::sync::Arc;

use crossbeam_channel::Sender;
use mio::Waker;
use origo_cascade_core::link::Received;
use origo_node_core::media::{Ask, Command};

/// Batches that may wait for a worker. Each is what one burst of a sibling brings.
pub(super) const WAITING_MAX: usize = 1024;
/// From so many on the upper layers of pictures are left out: the worker is far behind, and what is left has room.
const CROWDED: usize = WAITING_MAX / 2;

/// Another worker, as one sees it.
pub(super) struct Sibling {
    pub batches: Sender<Vec<Received>>,
    pub commands: Sender<Command>,
    pub waker: Arc<Waker>,
}

impl Sibling {
    /// Hands over what a burst has for it; never waits. Says how much of it is lost, because the worker does not keep up.
    pub fn hand(&self, mut batch: Vec<Received>) -> usize {
        let all = batch.len();
        if self.batches.len() >= CROWDED {
            batch.retain(is_needed);
        }
        let lost = all - batch.len();
        if batch.is_empty() {
            return lost;
        }
        match self.batches.try_send(batch) {
            Ok(()) => {
                self.wake();
                lost
            }
            Err(refused) => lost + refused.into_inner().len(),
        }
    }

    /// Asks for a track, or that it be no more. False when its queue is full.
    pub fn ask(&self, ask: Ask) -> bool {
        let taken = self.commands.try_send(Command::Sibling(ask)).is_ok();
        self.wake();
        taken
    }

    fn wake(&self) {
        // A failed wake-up is made up for by the next: the thread sleeps 250 ms at most.
        let _ = self.waker.wake();
    }
}

/// Sound, the lowest layers, keyframes, and all that is no packet.
fn is_needed(received: &Received) -> bool {
    match received {
        Received::Packet { layer, packet } => layer.layer == 0 || packet.key,
        Received::Keyframe { .. } | Received::SenderReport { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use origo_cascade_core::TrackLayer;
    use origo_cascade_core::link::Packet;

    use super::*;

    fn packet(layer: u8, key: bool) -> Received {
        let packet = Packet {
            sequence: 1,
            timestamp: 1,
            marker: true,
            key,
            redundant: false,
            skipped: 0,
            extensions: Default::default(),
            payload: [1, 2, 3].as_slice().into(),
            arrived: Instant::now(),
        };
        Received::Packet { layer: TrackLayer { track: "TR_abcdefghjkmn".parse().unwrap(), layer }, packet }
    }

    #[test]
    fn one_who_falls_behind_gets_the_lowest_layers_alone_and_then_nothing_and_all_is_counted() {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let (batches, waiting) = crossbeam_channel::bounded(WAITING_MAX);
        let (commands, asked) = crossbeam_channel::bounded(1);
        let sibling = Sibling { batches, commands, waker };
        let batch = || vec![packet(0, false), packet(1, false), packet(2, true)];
        let lost: Vec<usize> = (0..WAITING_MAX + 2).map(|_| sibling.hand(batch())).collect();
        let expected = [vec![0; CROWDED], vec![1; WAITING_MAX - CROWDED], vec![3; 2]].concat();
        assert_eq!(lost, expected);
        assert_eq!(waiting.try_iter().map(|batch| batch.len()).sum::<usize>(), 3 * CROWDED + 2 * CROWDED);
        let track = "TR_abcdefghjkmn".parse().unwrap();
        assert!(sibling.ask(Ask::End { from: 0, track }), "asks have their own queue");
        assert!(!sibling.ask(Ask::End { from: 0, track }));
        assert_eq!(asked.len(), 1);
    }
}
