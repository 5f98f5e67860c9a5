//! What a node takes of a layer for its people: which packets came in time, and whether the picture stands.

use super::fault::Pause;
use super::late::Late;
use super::track::Stream;

/// A picture is no use when it is later than this beyond the best path, ns.
const VIDEO_IN_TIME: u64 = 300_000_000;
/// The same for sound.
const AUDIO_IN_TIME: u64 = 120_000_000;
/// Packets published within this time after the first count as the start, ns.
const START: u64 = 2_000_000_000;

/// See the module. What each packet needs comes first: two lines of the processor's cache.
#[derive(Clone, Debug)]
#[repr(C)]
pub(super) struct Watch {
    /// The first number about which nothing is settled.
    next: u64,
    highest: u64,
    /// Numbers from `next` on that came, by number modulo the stream's ring.
    seen: Vec<u64>,
    /// The delay of the best path, ns.
    pub(super) best: u64,
    /// The node's room.
    pub(super) local: usize,
    pub(super) arrived_at: Option<u64>,
    /// First number that the origin sent here, and when.
    pub(super) begin: Option<(u64, u64)>,
    /// What a fault does to it.
    pub(super) pause: Option<Box<Pause>>,
    pub(super) is_audio: bool,
    /// The picture can be decoded.
    pub(super) synced: bool,
    /// It asks for keyframes until one comes.
    pub(super) asks: bool,
    pub(super) reported: bool,
    pub(super) freezes: u32,
    /// When it could first be shown or heard.
    pub(super) usable_at: Option<u64>,
    /// Number of the newest keyframe.
    pub(super) key: u64,
    /// When the node began to want it.
    pub(super) since: u64,
    /// When it was last seen to have a way from the publisher's node.
    pub(super) fed_at: Option<u64>,
    /// Since when it has none though it had, while nodes are merely short of something.
    pub(super) lost_way_at: Option<u64>,
    pub(super) tally: Tally,
    /// Since when it stands.
    pub(super) frozen: Option<u64>,
    /// What may still come late: with faults a parent sends again what another one lost.
    pub(super) late: Option<Box<Late>>,
}

/// What nodes take of a layer, by node: few, and looked at with each packet.
#[derive(Debug, Default)]
pub(super) struct Watches(Vec<Taker>);

#[derive(Debug)]
#[repr(C, align(64))]
struct Taker {
    node: usize,
    watch: Watch,
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, node: usize) -> Option<&Watch> {
        self.find(node).ok().map(|place| &self.0[place].watch)
    }

    pub(super) fn get_mut(&mut self, node: usize) -> Option<&mut Watch> {
        let place = self.find(node).ok()?;
        Some(&mut self.0[place].watch)
    }

    pub(super) fn insert(&mut self, node: usize, watch: Watch) {
        match self.find(node) {
            Ok(place) => self.0[place].watch = watch,
            Err(place) => self.0.insert(place, Taker { node, watch }),
        }
    }

    pub(super) fn remove(&mut self, node: usize) -> Option<Watch> {
        self.find(node).ok().map(|place| self.0.remove(place).watch)
    }

    /// In the order of nodes, here and below.
    pub(super) fn nodes(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|taker| taker.node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Watch)> {
        self.0.iter().map(|taker| (taker.node, &taker.watch))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Watch)> {
        self.0.iter_mut().map(|taker| (taker.node, &mut taker.watch))
    }

    fn find(&self, node: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, |taker| taker.node)
    }
}

/// Packets that are settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) delivered: u64,
    pub(super) missed: u64,
    /// Of these within the first two seconds.
    pub(super) start_delivered: u64,
    pub(super) start_missed: u64,
}

/// How a packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// As the next or a later one.
    Fresh,
    /// After later ones.
    Late,
    /// So late that it was given up, or from before the beginning.
    TooLate,
    /// Again.
    Twice,
}

impl Watch {
    pub(super) fn new(local: usize, since: u64, best: u64, is_audio: bool) -> Self {
        Self {
            local,
            since,
            fed_at: None,
            lost_way_at: None,
            best,
            is_audio,
            begin: None,
            next: 0,
            highest: 0,
            seen: Vec::new(),
            tally: Tally::default(),
            arrived_at: None,
            usable_at: None,
            synced: is_audio,
            key: 0,
            frozen: None,
            asks: false,
            freezes: 0,
            reported: false,
            late: None,
            pause: None,
        }
    }

    /// From this number on everything is expected.
    pub(super) fn begin(&mut self, number: u64, now: u64) {
        if self.begin.is_none() {
            (self.begin, self.next) = (Some((number, now)), number);
        }
    }

    /// A packet came.
    pub(super) fn take(&mut self, stream: &Stream, number: u64, sent: u64, now: u64) -> Came {
        self.begin(number, now);
        if number < self.next {
            self.come_late(number);
            return Came::TooLate;
        }
        let words = (stream.length() / 64) as usize;
        if self.seen.len() < words {
            self.seen.resize(words, 0);
        }
        let (word, bit) = self.place(number);
        if self.seen[word] & bit != 0 {
            return Came::Twice;
        }
        if now > sent + self.best + self.in_time() {
            self.come_late(number);
            return Came::TooLate;
        }
        self.seen[word] |= bit;
        let came = if number > self.highest { Came::Fresh } else { Came::Late };
        self.highest = self.highest.max(number);
        came
    }

    /// Settles packets that cannot come in time any more; those sent from `from` on count. Gives how many were missed,
    /// and the last of them.
    pub(super) fn settle(&mut self, stream: &Stream, layer: u8, now: u64, from: u64) -> (u64, u64) {
        let (Some((_, began)), waits) = (self.begin, self.best + self.in_time()) else { return (0, 0) };
        let mut missed = (0, 0);
        while self.next < stream.next {
            let number = self.next;
            let Some(sent) = stream.sent(number) else {
                self.next = number.max(stream.next.saturating_sub(stream.length()) - 1) + 1;
                continue;
            };
            if sent.at + waits > now {
                break;
            }
            self.next += 1;
            let came = self.clear(number);
            if sent.layer != layer {
                continue;
            }
            if !came {
                missed = (missed.0 + 1, number);
                if let Some(late) = &mut self.late {
                    late.miss(number, sent.at + waits);
                }
            }
            if sent.at >= from {
                let is_start = sent.at < began + START;
                *(if came { &mut self.tally.delivered } else { &mut self.tally.missed }) += 1;
                *(if came { &mut self.tally.start_delivered } else { &mut self.tally.start_missed }) +=
                    u64::from(is_start);
            }
        }
        missed
    }

    fn come_late(&mut self, number: u64) {
        if let Some(late) = &mut self.late {
            late.come(number);
        }
    }

    fn in_time(&self) -> u64 {
        if self.is_audio { AUDIO_IN_TIME } else { VIDEO_IN_TIME }
    }

    fn clear(&mut self, number: u64) -> bool {
        if self.seen.is_empty() {
            return false;
        }
        let (word, bit) = self.place(number);
        let came = self.seen[word] & bit != 0;
        self.seen[word] &= !bit;
        came
    }

    fn place(&self, number: u64) -> (usize, u64) {
        ((number / 64) as usize & (self.seen.len() - 1), 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_packet_counts_once_and_what_does_not_come_in_time_is_missed() {
        let mut stream = Stream::new(100.0, 70_000);
        let mut watch = Watch::new(0, 0, 40 * MS, false);
        let numbers: Vec<u64> = (0..10).map(|at| stream.note(at * 10 * MS, 0)).collect();
        let take =
            |watch: &mut Watch, at: usize, now: u64| watch.take(&stream, numbers[at], at as u64 * 10 * MS, now * MS);
        watch.begin(numbers[0], 0);
        for at in [0, 1, 3, 4] {
            assert_eq!(take(&mut watch, at, at as u64 * 10 + 40), Came::Fresh);
        }
        assert_eq!(take(&mut watch, 2, 130), Came::Late);
        assert_eq!(take(&mut watch, 2, 131), Came::Twice);
        assert_eq!(take(&mut watch, 5, 391), Came::TooLate, "sent at 50, due at 390");
        for at in 6..10 {
            take(&mut watch, at, at as u64 * 10 + 40);
        }
        assert_eq!(watch.settle(&stream, 0, 429 * MS, 0), (1, numbers[5]));
        assert_eq!((watch.tally.delivered, watch.tally.missed), (8, 1), "the last is not due yet");
        assert_eq!(watch.settle(&stream, 0, 430 * MS, 0), (0, 0));
        assert_eq!(watch.tally.delivered, 9);
    }

    #[test]
    fn a_long_silence_of_a_node_does_not_keep_it_from_settling() {
        let mut stream = Stream::new(10.0, 70_000);
        let mut watch = Watch::new(0, 0, 40 * MS, false);
        watch.begin(70_000, 0);
        (0..2000).for_each(|at| {
            stream.note(at * MS, 0);
        });
        watch.settle(&stream, 0, 9_000 * MS, 0);
        assert_eq!(watch.tally.missed, stream.length(), "those that are remembered");
    }
}
