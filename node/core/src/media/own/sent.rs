//! How the newest packets of a stream left, so that they can be sent again: those of about the last second.
//!
//! What is remembered grows with the rate of the stream. A camera in its usual size sends some 250 packets a second, a
//! slide of a talk a few; the most that are remembered is what a track's ring holds.

/// Packets for which there is room at first, and at most; both are powers of two.
const ROOM: (usize, usize) = (64, 1_024);
/// A packet that left less than this ago is not forgotten while there may be more room: clients ask for what they miss
/// within some round trips, and again a few times.
const KEPT_MS: u16 = 1_000;

/// VP8's key index has five bits; the others tell that the packet had the marker, that its VP8 numbers differ from the
/// publisher's, and that it was sent again.
const KEY: u8 = 0x1f;
const MARKED: u8 = 0x20;
const RENUMBERED: u8 = 0x40;
const AGAIN: u8 = 0x80;

/// How a packet left, beside what the ring has of it. Every viewer has hundreds of them, so that each byte counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Where the ring has it.
    pub slot: u32,
    /// RTP timestamp.
    pub timestamp: u32,
    /// The low bits of its number: its place is taken anew long before they come again.
    number: u16,
    picture: u16,
    /// Milliseconds, wrapping, when it last left; 0 where nothing is remembered.
    left_ms: u16,
    tl0: u8,
    flags: u8,
}

impl Sent {
    /// One that leaves with or without the marker, with these VP8 numbers where they differ from the publisher's:
    /// picture, TL0 index, key index.
    pub fn new(slot: u32, timestamp: u32, marker: bool, numbers: Option<(u16, u8, u8)>) -> Self {
        let (picture, tl0, key) = numbers.unwrap_or_default();
        let marked = if marker { MARKED } else { 0 };
        let renumbered = if numbers.is_some() { RENUMBERED } else { 0 };
        Self { slot, timestamp, number: 0, picture, left_ms: 0, tl0, flags: key & KEY | marked | renumbered }
    }

    /// Whether it had the marker.
    pub fn marker(&self) -> bool {
        self.flags & MARKED != 0
    }

    /// Its VP8 numbers, where they differ from the publisher's.
    pub fn numbers(&self) -> Option<(u16, u8, u8)> {
        (self.flags & RENUMBERED != 0).then_some((self.picture, self.tl0, self.flags & KEY))
    }
}

/// What is remembered of one stream, each packet at its number modulo the length.
#[derive(Debug, Default)]
pub(super) struct Memory(Box<[Sent]>);

impl Memory {
    /// Whether nothing was ever to be remembered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// See [`super::Own::read_ahead`].
    pub fn read_ahead(&self, sequence: u64) -> u64 {
        if self.is_empty() { 0 } else { u64::from(self.0[self.place(sequence)].number) }
    }

    /// A packet leaves under this number.
    pub fn keep(&mut self, sequence: u64, now_ms: u64, sent: Sent) {
        let now_ms = stamp(now_ms);
        while self.is_short(sequence, now_ms) {
            self.grow();
        }
        let at = self.place(sequence);
        self.0[at] = Sent { number: sequence as u16, left_ms: now_ms, ..sent };
    }

    /// How a packet left; none when it is forgotten, or never left.
    pub fn get(&self, sequence: u64) -> Option<&Sent> {
        let sent = self.0.get(self.place(sequence))?;
        (sent.left_ms != 0 && sent.number == sequence as u16).then_some(sent)
    }

    /// A packet is to be sent again. False when it cannot be, or was sent again less than `pause_ms` ago.
    pub fn ask(&mut self, sequence: u64, now_ms: u64, pause_ms: u16) -> bool {
        if self.get(sequence).is_none() {
            return false;
        }
        let (at, now_ms) = (self.place(sequence), stamp(now_ms));
        let sent = &mut self.0[at];
        if sent.flags & AGAIN != 0 && now_ms.wrapping_sub(sent.left_ms) < pause_ms {
            return false;
        }
        (sent.flags, sent.left_ms) = (sent.flags | AGAIN, now_ms);
        true
    }

    /// Whether something that left a moment ago would be forgotten for this one.
    fn is_short(&self, sequence: u64, now_ms: u16) -> bool {
        let Some(old) = self.0.get(self.place(sequence)) else { return true };
        let is_young = old.left_ms != 0 && now_ms.wrapping_sub(old.left_ms) < KEPT_MS;
        is_young && old.number != sequence as u16 && self.0.len() < ROOM.1
    }

    fn grow(&mut self) {
        let room = if self.0.is_empty() { ROOM.0 } else { self.0.len() * 2 };
        let old = std::mem::replace(&mut self.0, vec![Sent::default(); room].into());
        for sent in old.into_iter().filter(|sent| sent.left_ms != 0) {
            self.0[usize::from(sent.number) % room] = sent;
        }
    }

    /// The length is a power of two, so that the low bits of a number say as much as all.
    fn place(&self, sequence: u64) -> usize {
        sequence as usize & self.0.len().wrapping_sub(1)
    }
}

/// A time that says that there is one.
fn stamp(now_ms: u64) -> u16 {
    (now_ms as u16).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends so many packets a second for so long, and tells for how much there is room then.
    fn room(memory: &mut Memory, from: u64, per_second: u64, seconds: u64) -> usize {
        for at in 0..per_second * seconds {
            let (sequence, now_ms) = (from + at, from * 7 + at * 1_000 / per_second);
            memory.keep(sequence, now_ms, Sent::new(sequence as u32, 0, false, None));
        }
        memory.0.len()
    }

    #[test]
    fn there_is_room_for_a_second_of_the_stream_up_to_what_the_ring_holds() {
        for (per_second, expected) in [(1, 64), (50, 64), (60, 64), (65, 128), (240, 256), (260, 512), (9_000, 1_024)] {
            assert_eq!(room(&mut Memory::default(), 1, per_second, 10), expected, "{per_second} packets a second");
        }
    }

    #[test]
    fn nothing_younger_than_a_second_is_forgotten_when_a_stream_grows_faster() {
        let mut memory = Memory::default();
        room(&mut memory, 1, 20, 10);
        // A burst, after which what came before it is to be there still.
        for sequence in 201..=500 {
            memory.keep(sequence, 9_960, Sent::new(sequence as u32 * 3, 5, true, None));
        }
        assert!((182..=200).all(|sequence| memory.get(sequence).is_some_and(|sent| sent.slot == sequence as u32)));
        assert!((201..=500).all(|sequence| memory.get(sequence).is_some_and(|sent| sent.slot == sequence as u32 * 3)));
        assert!(memory.get(501).is_none() && memory.get(0).is_none());
    }

    #[test]
    fn what_is_asked_for_is_given_once_in_a_while() {
        let mut memory = Memory::default();
        assert!(!memory.ask(1, 1, 10) && memory.is_empty());
        memory.keep(7, 65_536, Sent::new(1, 2, true, Some((300, 9, 31))));
        assert!(memory.ask(7, 65_540, 10), "at once");
        assert!(!memory.ask(7, 65_545, 10));
        assert!(memory.ask(7, 65_550, 10));
        assert!(!memory.ask(7 + 64, 65_550, 10) && !memory.ask(7 + 65_536 / 2, 65_550, 10));
        let sent = memory.get(7).unwrap();
        assert_eq!((sent.slot, sent.timestamp, sent.marker(), sent.numbers()), (1, 2, true, Some((300, 9, 31))));
    }

    #[test]
    fn a_record_takes_sixteen_bytes() {
        assert_eq!(size_of::<Sent>(), 16);
    }
}
