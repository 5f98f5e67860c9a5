//! Whether this node drains, and until when: asked by the operator's command or by SIGTERM, followed by the drain itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A drain that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// When it was asked for.
    pub since: Instant,
    /// When the node ends, whatever is left.
    pub deadline: Instant,
}

/// The order as it stands. Cheap to clone.
#[derive(Clone)]
pub struct Orders(Arc<watch::Sender<Option<Order>>>);

impl Default for Orders {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Orders {
    /// Asks for a drain. Asked twice, the earlier of the deadlines counts. Says whether it was on already.
    pub fn drain(&self, now: Instant, within: Duration) -> bool {
        let deadline = now + within;
        let mut was_on = false;
        self.0.send_modify(|order| {
            was_on = order.is_some();
            let since = order.map_or(now, |order| order.since);
            let deadline = order.map_or(deadline, |order| order.deadline.min(deadline));
            *order = Some(Order { since, deadline });
        });
        was_on
    }

    /// Takes the order back. Says whether there was one.
    pub fn undrain(&self) -> bool {
        self.0.send_replace(None).is_some()
    }

    /// The order, if the node drains.
    pub fn current(&self) -> Option<Order> {
        *self.0.borrow()
    }

    /// Follows changes.
    pub fn follow(&self) -> watch::Receiver<Option<Order>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_orders_the_earlier_deadline_counts_and_an_order_can_be_taken_back() {
        let (orders, now) = (Orders::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(!orders.drain(now, 60 * second));
        assert!(orders.drain(now + second, 5 * second));
        assert!(orders.drain(now + 2 * second, 600 * second));
        assert_eq!(orders.current(), Some(Order { since: now, deadline: now + 6 * second }));
        assert!(orders.undrain() && !orders.undrain());
        assert_eq!(orders.current(), None);
    }
}
