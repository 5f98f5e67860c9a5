//! One sound in the forms that its viewers take: as it came, without redundancy, or with redundancy added here.
//!
//! Links carry what the publisher sent, once; the forms are made at the node of the viewers. A frame that was taken out
//! of a later packet leaves under its own number and time, and the lost packet is not sent again should it come after
//! all: no number leaves twice with different content.

use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;

use super::codec::Codec;
use super::place::Queued;
use super::red::{OFFSET_MAX, OLDER_BYTES_MAX, Older, Red, build};

/// Numbers that are remembered: more than half a second of sound, which is longer than anything is repaired.
const REMEMBERED: usize = 32;
/// A step beyond which the source has begun anew.
const JUMP: u64 = 3_000;
/// Older frames that are added: two lost packets in a row are made good.
const ADDED: usize = 2;
/// The longest payload that gets redundancy: beyond, a packet would no longer fit the path.
const WITH_REDUNDANCY_BYTES_MAX: usize = 1_100;

/// Packets of one burst.
pub(crate) type Burst = Vec<Queued>;

/// The forms of one sound.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    /// The current burst without redundancy, once the sound has come with it.
    plain: Burst,
    /// The current burst with redundancy added where it came without.
    added: Burst,
    /// It has come with redundancy.
    is_redundant: bool,
    /// Number and time of the newest packets, each at its number modulo the length.
    seen: [Option<(u64, u32)>; REMEMBERED],
    highest: Option<u64>,
    /// The newest plain packets, oldest first.
    past: [Option<Packet>; ADDED],
    scratch: Vec<u8>,
}

/// What viewers need of a burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    /// Somebody takes no redundancy.
    pub plain: bool,
    /// Somebody who takes it loses packets.
    pub added: bool,
}

/// Which form a viewer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it came.
    AsCame,
    /// Without redundancy.
    Plain,
    /// With it.
    Added,
}

impl Forms {
    /// Makes the forms of a burst. Gives how many packets were malformed.
    pub fn take(&mut self, burst: &Burst, needed: Needed) -> u64 {
        self.plain.clear();
        self.added.clear();
        let mut malformed = 0;
        for Queued { packet, captured, .. } in burst {
            self.is_redundant |= packet.redundant;
            let came = self.has(packet.sequence);
            if packet.redundant && needed.plain {
                malformed += u64::from(!self.unfold(packet, *captured, came));
            } else if !came && !packet.redundant && needed.plain && self.is_redundant {
                self.plain.push(Queued::alone(packet.clone(), *captured));
            }
            if needed.added && !packet.redundant {
                let packet = self.with_older(packet);
                self.added.push(Queued::alone(packet, *captured));
            }
            if !packet.redundant {
                self.remember_plain(packet);
            }
            self.note(packet.sequence, packet.timestamp);
        }
        malformed
    }

    /// The burst in one form.
    pub fn burst<'a>(&'a self, form: Form, came: &'a Burst) -> &'a Burst {
        match form {
            Form::Plain if self.is_redundant => &self.plain,
            Form::Added if !self.is_redundant => &self.added,
            _ => came,
        }
    }

    /// Takes the packet's own frame out, and before it the older ones whose packets are missing. False when it cannot be
    /// read.
    fn unfold(&mut self, packet: &Packet, captured: Instant, came: bool) -> bool {
        let Some(red) = Red::parse(&packet.payload) else { return false };
        let older = red.older();
        for (index, older) in older.iter().enumerate() {
            // A payload says when its frames were, not their numbers; they are those of the packets right before.
            let back = (red.older().len() - index) as u64;
            let Some(sequence) = packet.sequence.checked_sub(back) else { continue };
            let timestamp = packet.timestamp.wrapping_sub(older.offset);
            if !self.is_missing(sequence, timestamp) {
                continue;
            }
            self.note(sequence, timestamp);
            let before =
                Duration::from_micros(u64::from(older.offset) * 1_000_000 / u64::from(Codec::Opus.clock_rate()));
            let found = Packet {
                sequence,
                timestamp,
                marker: false,
                redundant: false,
                skipped: 0,
                payload: older.frame.into(),
                ..packet.clone()
            };
            self.plain.push(Queued::alone(found, captured.checked_sub(before).unwrap_or(captured)));
        }
        if !came {
            let own = Packet { redundant: false, payload: red.own.into(), ..packet.clone() };
            self.plain.push(Queued::alone(own, captured));
        }
        true
    }

    /// Whether a frame is of a packet that has not come: its number has not been seen, and it is newer than the last
    /// one before it that was.
    fn is_missing(&self, sequence: u64, timestamp: u32) -> bool {
        let Some(highest) = self.highest else { return false };
        if self.has(sequence) || sequence.abs_diff(highest) > JUMP {
            return false;
        }
        let mut before = (1..=REMEMBERED as u64).filter_map(|back| self.seen_at(sequence.checked_sub(back)?));
        before.next().is_some_and(|earlier| timestamp.wrapping_sub(earlier).cast_signed() > 0)
    }

    /// A plain packet with those right before it laid in; as it is when they are not at hand or it is too long.
    fn with_older(&mut self, packet: &Packet) -> Packet {
        let own = packet.payload.len();
        let newest_first = self.past.iter().flatten().rev();
        let (mut bytes, mut count) = (own, 0);
        for (back, older) in (1..).zip(newest_first) {
            let offset = packet.timestamp.wrapping_sub(older.timestamp);
            let follows = older.sequence + back == packet.sequence && (1..=OFFSET_MAX).contains(&offset);
            bytes += older.payload.len();
            if !follows || older.payload.len() > OLDER_BYTES_MAX || bytes > WITH_REDUNDANCY_BYTES_MAX {
                break;
            }
            count += 1;
        }
        if own == 0 || bytes > WITH_REDUNDANCY_BYTES_MAX && count == 0 {
            return packet.clone();
        }
        let kept = self.past.iter().flatten();
        let skipped = kept.clone().count() - count;
        let older = kept
            .skip(skipped)
            .map(|older| Older { offset: packet.timestamp.wrapping_sub(older.timestamp), frame: &older.payload });
        let payload = build(&mut self.scratch, older, &packet.payload);
        Packet { redundant: true, payload, ..packet.clone() }
    }

    fn remember_plain(&mut self, packet: &Packet) {
        let is_newer = self.past.iter().flatten().all(|older| older.sequence < packet.sequence);
        let is_near = self.past.iter().flatten().all(|older| older.sequence.abs_diff(packet.sequence) <= JUMP);
        if is_newer || !is_near {
            self.past.rotate_left(1);
            self.past[ADDED - 1] = Some(packet.clone());
        }
    }

    /// Whether a number was seen, or is too old to tell.
    fn has(&self, sequence: u64) -> bool {
        let Some(highest) = self.highest else { return false };
        let is_old = sequence + REMEMBERED as u64 <= highest && highest - sequence <= JUMP;
        is_old || self.seen_at(sequence).is_some()
    }

    fn seen_at(&self, sequence: u64) -> Option<u32> {
        let slot = self.seen[(sequence % REMEMBERED as u64) as usize];
        slot.filter(|&(number, _)| number == sequence).map(|(_, timestamp)| timestamp)
    }

    fn note(&mut self, sequence: u64, timestamp: u32) {
        let begins = self.highest.is_none_or(|highest| sequence.abs_diff(highest) > JUMP);
        if begins {
            self.seen = [None; REMEMBERED];
        }
        if begins || self.highest.is_none_or(|highest| sequence + REMEMBERED as u64 > highest) {
            self.seen[(sequence % REMEMBERED as u64) as usize] = Some((sequence, timestamp));
        }
        self.highest = if begins { Some(sequence) } else { self.highest.max(Some(sequence)) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: u32 = 960;
    const PLAIN: Needed = Needed { plain: true, added: false };
    const ADDED_TOO: Needed = Needed { plain: false, added: true };

    fn frame(sequence: u64) -> Vec<u8> {
        vec![sequence as u8; 40]
    }

    fn plain(sequence: u64, at: Instant) -> (Packet, Instant) {
        let packet = Packet {
            sequence,
            timestamp: sequence as u32 * FRAME,
            marker: false,
            key: false,
            redundant: false,
            skipped: 0,
            extensions: Default::default(),
            payload: frame(sequence).into(),
            arrived: at,
        };
        (packet, at)
    }

    /// A packet as a browser sends it, with `depth` frames before its own.
    fn redundant(sequence: u64, depth: u64, at: Instant) -> (Packet, Instant) {
        let frames: Vec<_> = (1..=depth).rev().map(|back| (back as u32 * FRAME, frame(sequence - back))).collect();
        let older = frames.iter().map(|(offset, frame)| Older { offset: *offset, frame });
        let payload = build(&mut Vec::new(), older, &frame(sequence));
        let (packet, at) = plain(sequence, at);
        (Packet { redundant: true, payload, ..packet }, at)
    }

    fn laid(packets: Vec<(Packet, Instant)>) -> Burst {
        packets.into_iter().map(|(packet, captured)| Queued::alone(packet, captured)).collect()
    }

    fn numbers(burst: &Burst) -> Vec<u64> {
        for Queued { packet, .. } in burst {
            assert_eq!((packet.timestamp, packet.redundant), (packet.sequence as u32 * FRAME, false));
            assert_eq!(packet.payload[..], frame(packet.sequence)[..], "the frame that belongs to the number");
        }
        burst.iter().map(|queued| queued.packet.sequence).collect()
    }

    fn unfolded(sequences: &[u64], depth: u64) -> Vec<u64> {
        let (mut forms, at) = (Forms::default(), Instant::now());
        let mut given = Vec::new();
        for &sequence in sequences {
            let burst = laid(vec![redundant(sequence, depth, at)]);
            assert_eq!(forms.take(&burst, PLAIN), 0);
            given.extend(numbers(forms.burst(Form::Plain, &burst)));
        }
        given
    }

    #[test]
    fn who_takes_no_redundancy_gets_each_frame_once() {
        assert_eq!(unfolded(&[100, 101, 102, 103], 1), [100, 101, 102, 103]);
        assert_eq!(unfolded(&[100, 101, 102, 103], 2), [100, 101, 102, 103]);
    }

    #[test]
    fn a_lost_packet_is_made_good_by_the_next_one() {
        assert_eq!(unfolded(&[100, 102, 103, 106], 1), [100, 101, 102, 103, 105, 106], "one frame back, no more");
        assert_eq!(unfolded(&[100, 103], 2), [100, 101, 102, 103]);
    }

    #[test]
    fn a_packet_that_was_late_and_not_lost_does_not_leave_twice() {
        assert_eq!(unfolded(&[100, 102, 101, 103, 99], 1), [100, 101, 102, 103, 99]);
        assert_eq!(unfolded(&[100, 102, 140, 102], 1), [100, 101, 102, 140], "nor when it is very late");
    }

    #[test]
    fn a_source_that_begins_anew_is_followed() {
        assert_eq!(unfolded(&[60_000, 60_001, 7, 9], 1), [60_000, 60_001, 7, 8, 9]);
    }

    #[test]
    fn a_frame_is_not_taken_for_a_packet_that_it_is_not_of() {
        let (mut forms, at) = (Forms::default(), Instant::now());
        forms.take(&laid(vec![redundant(100, 1, at)]), PLAIN);
        // 101 was too long for redundancy and was lost; what 102 carries is the frame of 100 once more.
        let (mut packet, at) = redundant(102, 0, at);
        let again = [Older { offset: 2 * FRAME, frame: &frame(100) }];
        packet.payload = build(&mut Vec::new(), again.into_iter(), &frame(102));
        let burst = laid(vec![(packet, at)]);
        forms.take(&burst, PLAIN);
        assert_eq!(numbers(forms.burst(Form::Plain, &burst)), [102]);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_not_sent() {
        let (mut forms, at) = (Forms::default(), Instant::now());
        let (packet, at) = redundant(100, 1, at);
        let burst = laid(vec![(Packet { payload: [0xff; 40].into(), ..packet }, at)]);
        assert_eq!(forms.take(&burst, PLAIN), 1);
        assert!(forms.burst(Form::Plain, &burst).is_empty());
        assert_eq!(forms.burst(Form::AsCame, &burst).len(), 1);
    }

    #[test]
    fn redundancy_is_added_from_the_packets_right_before() {
        let (mut forms, at) = (Forms::default(), Instant::now());
        let older = |forms: &mut Forms, sequence| {
            let burst = laid(vec![plain(sequence, at)]);
            forms.take(&burst, ADDED_TOO);
            let packet = &forms.burst(Form::Added, &burst)[0].packet;
            assert!(packet.redundant);
            let red = Red::parse(&packet.payload).unwrap();
            assert_eq!(red.own, frame(sequence));
            red.older().iter().map(|older| sequence - u64::from(older.offset / FRAME)).collect::<Vec<_>>()
        };
        assert_eq!(older(&mut forms, 100), [0; 0]);
        assert_eq!(older(&mut forms, 101), [100]);
        assert_eq!(older(&mut forms, 102), [100, 101]);
        assert_eq!(older(&mut forms, 104), [0; 0], "what is missing here cannot be laid in, nor what is before it");
        assert_eq!(older(&mut forms, 105), [104]);
    }

    #[test]
    fn a_sound_without_redundancy_is_not_copied_for_who_takes_none() {
        let (mut forms, at) = (Forms::default(), Instant::now());
        let burst = laid(vec![plain(1, at), plain(2, at)]);
        forms.take(&burst, PLAIN);
        assert!(std::ptr::eq(forms.burst(Form::Plain, &burst), &burst));
    }

    proptest! {
        #[test]
        fn no_loss_or_order_makes_a_number_leave_twice_or_with_another_frame(
            steps in prop::collection::vec((0..6_u64, 0..4_u64), 1..200),
        ) {
            let mut base = 1_000;
            let mut sequences = Vec::new();
            for (step, late) in steps {
                base += step;
                sequences.push(base - late.min(base));
            }
            sequences.dedup();
            let mut once = std::collections::BTreeSet::new();
            sequences.retain(|sequence| once.insert(*sequence));
            let given = unfolded(&sequences, 2);
            let different: std::collections::BTreeSet<_> = given.iter().collect();
            prop_assert_eq!(different.len(), given.len());
        }
    }
}
