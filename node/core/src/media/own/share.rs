//! How much of what a client asks for again it gets.

/// What may be sent again at once, and of all that is sent: a client that asks for everything costs a quarter more.
pub(super) const AGAIN_BYTES_MAX: usize = 256 * 1024;
const AGAIN_SHARE: usize = 4;
/// What is left of the former when a queue of our own has stood: the end of a picture that did not fit, and not all that
/// has piled up meanwhile, which would fill the way anew.
const LEFT_BYTES: usize = 8 * 1_250;
/// What may be sent again at once while that queue stands: a few packets, such as the beginning of a keyframe.
const FULL_BYTES: usize = 6_000;

/// One connection's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    saved_bytes: usize,
    /// The same with the bound of a full way.
    full_way_bytes: usize,
    is_full: bool,
}

impl Share {
    /// Nothing was asked for yet.
    pub fn new() -> Self {
        Self { saved_bytes: AGAIN_BYTES_MAX / 4, full_way_bytes: FULL_BYTES, is_full: false }
    }

    /// Whether what leaves waits in a queue of our own. There most of what is sent again is dropped as what it repeats was,
    /// takes the room of what is new, and keeps the queue from getting empty.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The way became full, or is not any more.
    pub fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
        if is_full {
            self.saved_bytes = self.saved_bytes.min(LEFT_BYTES);
        }
    }

    /// So many bytes left for the first time.
    pub fn earn(&mut self, bytes: usize) {
        self.saved_bytes = (self.saved_bytes + bytes / AGAIN_SHARE).min(AGAIN_BYTES_MAX);
        self.full_way_bytes = (self.full_way_bytes + bytes / AGAIN_SHARE).min(FULL_BYTES);
    }

    /// Whether so many may leave again.
    pub fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.saved_bytes || self.is_full && bytes > self.full_way_bytes {
            return false;
        }
        self.saved_bytes -= bytes;
        self.full_way_bytes = self.full_way_bytes.saturating_sub(bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many packets of 1,000 bytes may leave again at once.
    fn at_once(share: &mut Share) -> usize {
        (0..1_000).take_while(|_| share.take(1_000)).count()
    }

    #[test]
    fn a_quarter_of_what_leaves_may_leave_again_and_what_is_not_used_is_saved_up() {
        let mut share = Share::new();
        assert_eq!(at_once(&mut share), 65);
        (0..40).for_each(|_| share.earn(1_000));
        assert_eq!(at_once(&mut share), 10);
    }

    #[test]
    fn into_a_full_way_little_goes_of_what_was_saved_up_and_of_that_little_is_left_later() {
        let mut share = Share::new();
        share.set_full(true);
        assert_eq!(at_once(&mut share), 6);
        (0..6).for_each(|_| share.earn(1_000));
        share.set_full(true);
        assert_eq!(at_once(&mut share), 1);
        share.set_full(false);
        assert_eq!(at_once(&mut share), 4, "the end of a slide after which nothing else is sent");
    }
}
