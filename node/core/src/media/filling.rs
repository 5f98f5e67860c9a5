//! Ways whose width is looked for: what fills them while our own estimator looks, and what it says.

use super::own::Padding;
use super::peer::PeerEvent;
use super::worker::Worker;

/// Packets that fill one way at one time: what a send carries, and no more than a policer bears.
const AT_ONCE_MAX: usize = 16;

impl Worker {
    /// Tells every estimator of ours the time.
    pub(super) fn sweep_estimators(&mut self) {
        if !self.setup.bwe {
            return;
        }
        for index in self.peers.indexes() {
            self.hear_estimator(index);
        }
    }

    /// Takes what a connection's estimator of ours has to say.
    pub(super) fn hear_estimator(&mut self, index: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(index).filter(|peer| !peer.dead) else { return };
        let looks = peer.tick_estimator(now);
        if let Some(bps) = peer.estimate(now) {
            self.take_peer_event(index, PeerEvent::Estimate(bps));
        }
        if looks {
            self.enqueue(index);
        }
    }

    /// Sends what is to fill a connection's way by now.
    pub(super) fn fill_way(&mut self, index: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(index) else { return };
        for _ in 0..AT_ONCE_MAX {
            let Some(padding) = peer.padding(now) else { return };
            let kept = match &padding {
                Padding::Again(again) => {
                    let track = self.tracks.get(again.kept.track as usize);
                    track.and_then(|track| track.ring.get(again.kept)).map(|packet| (again, packet))
                }
                Padding::Blank => None,
            };
            if let Err(refused) = peer.fill(now, &mut self.outbox, kept) {
                return self.stats.count_dropped("padding", refused.reason());
            }
        }
    }
}
