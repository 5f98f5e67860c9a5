//! What a worker tells the rooms: at once and always, except that clients' data waits within a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use origo_node_core::media::{Channel, Event};
use tokio::sync::mpsc;

/// Bytes of clients' messages that may wait for the rooms. They take some hundred thousand messages in a second, so
/// that only a flood comes near it.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// What a message in the queue costs besides its bytes.
const MESSAGE_OVERHEAD: usize = 256;

/// Where events go.
#[derive(Clone)]
pub(super) struct Reports {
    events: mpsc::UnboundedSender<Event>,
    waiting: Arc<AtomicUsize>,
}

/// A message that waits: it counts until the rooms are done with it.
struct Waiting {
    message: Bytes,
    waiting: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.message.len() + MESSAGE_OVERHEAD, Ordering::Relaxed);
    }
}

impl Reports {
    pub fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self { events, waiting: Arc::new(AtomicUsize::new(0)) }
    }

    /// Tells an event. A message beyond the bound is dropped and false; if it was reliable its sender is told to join
    /// anew.
    pub fn send(&self, event: Event) -> bool {
        let (event, taken) = match event {
            Event::Data { session, channel, packet } => match (self.count(packet), channel) {
                (Some(packet), _) => (Event::Data { session, channel, packet }, true),
                (None, Channel::Reliable) => (Event::FellBehind(session), false),
                (None, Channel::Lossy) => return false,
            },
            event => (event, true),
        };
        // Rooms that have ended do not want to hear.
        let _ = self.events.send(event);
        taken
    }

    fn count(&self, message: Bytes) -> Option<Bytes> {
        let cost = message.len() + MESSAGE_OVERHEAD;
        if self.waiting.load(Ordering::Relaxed) + cost > WAITING_BYTES_MAX {
            return None;
        }
        self.waiting.fetch_add(cost, Ordering::Relaxed);
        Some(Bytes::from_owner(Waiting { message, waiting: Arc::clone(&self.waiting) }))
    }
}

#[cfg(test)]
mod tests {
    use origo_node_core::SessionId;

    use super::*;

    fn data(session: u64, channel: Channel) -> Event {
        Event::Data { session: SessionId(session), channel, packet: Bytes::from(vec![7; 1 << 20]) }
    }

    #[test]
    fn a_flood_of_data_is_bounded_and_its_sender_is_told_to_join_anew() {
        let (events, mut said) = mpsc::unbounded_channel();
        let reports = Reports::new(events);
        let taken = (0..100).filter(|_| reports.send(data(1, Channel::Lossy))).count();
        assert_eq!(taken, 63);
        assert!(!reports.send(data(2, Channel::Reliable)));
        assert!(reports.send(Event::ChannelsOpen(SessionId(3))), "all else is told");
        for _ in 0..taken {
            assert_eq!(said.try_recv(), Ok(data(1, Channel::Lossy)));
        }
        assert_eq!(said.try_recv(), Ok(Event::FellBehind(SessionId(2))));
        assert_eq!(said.try_recv(), Ok(Event::ChannelsOpen(SessionId(3))));
        assert!(reports.send(data(2, Channel::Reliable)), "what was taken does not count any more");
    }
}
