//! The packet datagram of `docs/wire.md` 2.1: a compact RTP packet under a flow number.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut};

use super::outgoing::HEAD_BYTES;
use super::{Class, Datagram, Extensions, Flow, Packet};
use crate::wire::{Malformed, varint};

const CLASS: u8 = 0x03;
const RETRANSMISSION: u8 = 0x04;
/// Of video: begins a keyframe. Of audio: carries redundancy.
const KEY: u8 = 0x08;
const MARKER: u8 = 0x10;
const SKIPPED: u8 = 0x20;
const EXTENSIONS: u8 = 0x40;
const SENT: u8 = 0x80;

const AUDIO_LEVEL: u8 = 0x01;
const ORIENTATION: u8 = 0x02;
const DEPENDENCY: u8 = 0x04;
const CAPTURE_TIME: u8 = 0x08;
const PLAYOUT_DELAY: u8 = 0x10;
const UNKNOWN_EXTENSIONS: u8 = 0xe0;

/// Longest head: flow 8, flags 1, numbers 4, time 4, skipped 8, RTP 6, extensions 1 + 1 + 1 + 256 + 8 + 3.
const HEAD_BYTES_MAX: usize = 300;

/// What stands before the RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) flow: Flow,
    pub(super) class: Class,
    /// The class's number, or that of the retransmission.
    pub(super) hop_seq: u16,
    /// The class's number of the packet that this repairs.
    pub(super) original: Option<u16>,
    /// When it was sent, by the sender's clock of reports.
    pub(super) sent: Option<u32>,
}

/// A packet as it goes on the wire the first time.
pub(super) fn encode(head: &Head, packet: &Packet) -> Datagram {
    let Extensions { dependency, capture_time, playout_delay, .. } = &packet.extensions;
    let payload = packet.payload.clone();
    if dependency.is_none() && capture_time.is_none() && playout_delay.is_none() {
        // Flow 8, flags 1, number 2, time 4, skipped 4, RTP 6, extensions 1 + 1 + 1.
        const { assert!(HEAD_BYTES >= 28) };
        let mut room = [0; HEAD_BYTES];
        let left = write_head(&mut room, head, packet);
        return Datagram::short(HEAD_BYTES - left, room, payload);
    }
    let mut room = [0; HEAD_BYTES_MAX];
    let left = write_head(&mut room, head, packet);
    Datagram::new(&room[..HEAD_BYTES_MAX - left], payload)
}

/// Writes what stands before the payload; says how much room is left.
fn write_head(mut out: &mut [u8], head: &Head, packet: &Packet) -> usize {
    let &Head { flow, class, hop_seq, original: _, sent } = head;
    let extended = extensions_present(&packet.extensions);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    varint::write(flow.0.into(), &mut out);
    out.put_u8(
        class as u8
            | flag(if class == Class::Audio { packet.redundant } else { packet.key }, KEY)
            | flag(packet.marker, MARKER)
            | flag(packet.skipped != 0, SKIPPED)
            | flag(extended != 0, EXTENSIONS)
            | flag(sent.is_some(), SENT),
    );
    out.put_u16(hop_seq);
    if let Some(sent) = sent {
        out.put_u32(sent);
    }
    if packet.skipped != 0 {
        varint::write(packet.skipped.into(), &mut out);
    }
    out.put_u16(packet.sequence as u16);
    out.put_u32(packet.timestamp);
    if extended != 0 {
        encode_extensions(&mut out, extended, &packet.extensions);
    }
    out.len()
}

/// The retransmission of a datagram that [`encode`] made.
pub(super) fn encode_again(datagram: &Datagram, retransmission: u16) -> Datagram {
    let sent = datagram.head();
    let (flow_bytes, flags) = flags_of(sent);
    let number = flow_bytes + 1..flow_bytes + 3;
    // The time of the first sending says nothing of this one.
    let rest = number.end + if flags & SENT != 0 { 4 } else { 0 };
    let mut room = [0; HEAD_BYTES_MAX + 2];
    let mut out = &mut room[..];
    out.put_slice(&sent[..flow_bytes]);
    out.put_u8((flags | RETRANSMISSION) & !SENT);
    out.put_u16(retransmission);
    out.put_slice(&sent[number]);
    out.put_slice(&sent[rest..]);
    let length = HEAD_BYTES_MAX + 2 - out.len();
    datagram.with_head(&room[..length])
}

/// The flow of a datagram that [`encode`] made.
pub(super) fn flow_of(sent: &Datagram) -> Flow {
    Flow(varint::read(&mut sent.head()).unwrap_or(0) as u32)
}

/// The packet in a datagram that [`encode`] made, with the low bits of its number.
pub(super) fn decode(sent: &Datagram, now: Instant) -> Result<(Flow, Packet), Malformed> {
    let mut head = sent.head();
    let flow = Flow(varint::read(&mut head).ok_or(Malformed("flow"))? as u32);
    let (_, flags) = decode_head(flow, &mut head)?;
    Ok((flow, decode_packet(flags, head, sent.shared(), now)?))
}

/// How many bytes the flow number takes, and the flags behind it.
fn flags_of(sent: &[u8]) -> (usize, u8) {
    let flow_bytes = 1 << (sent[0] >> 6);
    (flow_bytes, sent[flow_bytes])
}

fn extensions_present(extensions: &Extensions) -> u8 {
    let bit = |present: bool, bit: u8| if present { bit } else { 0 };
    // A descriptor that RTP's own header extension could not carry cannot have come from a client.
    let dependency = extensions.dependency.as_ref().is_some_and(|raw| raw.len() <= usize::from(u8::MAX));
    bit(extensions.audio_level.is_some(), AUDIO_LEVEL)
        | bit(extensions.orientation.is_some(), ORIENTATION)
        | bit(dependency, DEPENDENCY)
        | bit(extensions.capture_time.is_some(), CAPTURE_TIME)
        | bit(extensions.playout_delay.is_some(), PLAYOUT_DELAY)
}

fn encode_extensions(out: &mut impl BufMut, present: u8, extensions: &Extensions) {
    out.put_u8(present);
    if let Some((level, voice)) = extensions.audio_level {
        out.put_u8(u8::from(voice) << 7 | level & 0x7f);
    }
    if let Some(orientation) = extensions.orientation {
        out.put_u8(orientation);
    }
    if let Some(raw) = extensions.dependency.as_ref().filter(|_| present & DEPENDENCY != 0) {
        out.put_u8(raw.len() as u8);
        out.put_slice(raw);
    }
    if let Some(time) = extensions.capture_time {
        out.put_u64(time);
    }
    if let Some((minimum, maximum)) = extensions.playout_delay {
        let both = u32::from(minimum & 0xfff) << 12 | u32::from(maximum & 0xfff);
        out.put_slice(&both.to_be_bytes()[1..]);
    }
}

/// Reads the head of a packet; the flow number has been read already.
pub(super) fn decode_head(flow: Flow, bytes: &mut &[u8]) -> Result<(Head, u8), Malformed> {
    let flags = take_u8(bytes)?;
    let class = match flags & CLASS {
        1 => Class::Audio,
        2 => Class::Base,
        3 => Class::Enhancement,
        _ => return Err(Malformed("packet class")),
    };
    let hop_seq = take_u16(bytes)?;
    let original = if flags & RETRANSMISSION != 0 { Some(take_u16(bytes)?) } else { None };
    let sent = if flags & SENT != 0 { Some(bytes.try_get_u32().map_err(|_| Malformed("packet end"))?) } else { None };
    Ok((Head { flow, class, hop_seq, original, sent }, flags))
}

/// Reads the RTP packet behind the head; its sequence number is what the wire carries, not extended. The payload is
/// what is left, unless it lies in a piece of its own: then that is shared.
pub(super) fn decode_packet(
    flags: u8,
    mut rest: &[u8],
    payload: Option<&Arc<[u8]>>,
    now: Instant,
) -> Result<Packet, Malformed> {
    let bytes = &mut rest;
    let skipped = if flags & SKIPPED != 0 {
        let skipped = varint::read(bytes).ok_or(Malformed("packet end"))?;
        skipped.try_into().map_err(|_| Malformed("skipped numbers"))?
    } else {
        0
    };
    let is_audio = flags & CLASS == Class::Audio as u8;
    let sequence = take_u16(bytes)?.into();
    let timestamp = bytes.try_get_u32().map_err(|_| Malformed("packet end"))?;
    let extensions = if flags & EXTENSIONS != 0 { decode_extensions(bytes)? } else { Extensions::default() };
    Ok(Packet {
        sequence,
        timestamp,
        marker: flags & MARKER != 0,
        key: flags & KEY != 0 && !is_audio,
        redundant: flags & KEY != 0 && is_audio,
        skipped,
        extensions,
        payload: payload.map_or_else(|| Arc::from(*bytes), Arc::clone),
        arrived: now,
    })
}

fn decode_extensions(bytes: &mut &[u8]) -> Result<Extensions, Malformed> {
    let present = take_u8(bytes)?;
    if present & UNKNOWN_EXTENSIONS != 0 {
        return Err(Malformed("packet extensions"));
    }
    let mut extensions = Extensions::default();
    if present & AUDIO_LEVEL != 0 {
        let byte = take_u8(bytes)?;
        extensions.audio_level = Some((byte & 0x7f, byte & 0x80 != 0));
    }
    if present & ORIENTATION != 0 {
        extensions.orientation = Some(take_u8(bytes)?);
    }
    if present & DEPENDENCY != 0 {
        let length = take_u8(bytes)?;
        let (raw, rest) = bytes.split_at_checked(length.into()).ok_or(Malformed("packet end"))?;
        extensions.dependency = Some(raw.into());
        *bytes = rest;
    }
    if present & CAPTURE_TIME != 0 {
        extensions.capture_time = Some(bytes.try_get_u64().map_err(|_| Malformed("packet end"))?);
    }
    if present & PLAYOUT_DELAY != 0 {
        let (high, low) = (take_u8(bytes)?, take_u16(bytes)?);
        extensions.playout_delay = Some((u16::from(high) << 4 | low >> 12, low & 0xfff));
    }
    Ok(extensions)
}

fn take_u8(bytes: &mut &[u8]) -> Result<u8, Malformed> {
    bytes.try_get_u8().map_err(|_| Malformed("packet end"))
}

fn take_u16(bytes: &mut &[u8]) -> Result<u16, Malformed> {
    bytes.try_get_u16().map_err(|_| Malformed("packet end"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::golden::golden;

    fn packet(now: Instant) -> Packet {
        Packet {
            sequence: 4660,
            timestamp: 90_000,
            marker: false,
            key: true,
            redundant: false,
            skipped: 0,
            extensions: Extensions::default(),
            payload: [0xde, 0xad, 0xbe, 0xef].into(),
            arrived: now,
        }
    }

    fn decode(mut bytes: &[u8], now: Instant) -> Result<(Head, Packet), Malformed> {
        let flow = varint::read(&mut bytes).ok_or(Malformed("flow"))?;
        let (head, flags) = decode_head(Flow(flow as u32), &mut bytes)?;
        Ok((head, decode_packet(flags, bytes, None, now)?))
    }

    #[test]
    fn the_packets_of_the_document_are_written_and_read() {
        let now = Instant::now();
        let first = Head { flow: Flow(5), class: Class::Base, hop_seq: 258, original: None, sent: None };
        let sent = encode(&first, &packet(now));
        assert_eq!(sent.to_bytes(), golden("packet"));
        let timed = Head { sent: Some(1000), ..first };
        let sent_timed = encode(&timed, &packet(now));
        assert_eq!(sent_timed.to_bytes(), golden("packet_timed"));
        assert_eq!(decode(&sent_timed.to_bytes(), now).unwrap(), (timed, packet(now)));
        for sent in [sent, sent_timed] {
            assert_eq!(encode_again(&sent, 7).to_bytes(), golden("retransmission"));
            assert_eq!(flow_of(&sent), Flow(5));
        }
        let (head, again) = decode(&golden("retransmission"), now).unwrap();
        assert_eq!(head, Head { hop_seq: 7, original: Some(258), ..first });
        assert_eq!(again, packet(now));
        let audio = Packet {
            sequence: 100,
            timestamp: 960,
            marker: true,
            key: false,
            redundant: false,
            skipped: 2,
            extensions: Extensions { audio_level: Some((30, true)), capture_time: Some(1), ..Extensions::default() },
            payload: [0xaa, 0xbb].into(),
            arrived: now,
        };
        let head = Head { flow: Flow(300), class: Class::Audio, hop_seq: 0, original: None, sent: None };
        assert_eq!(encode(&head, &audio).to_bytes(), golden("audio"));
        assert_eq!(decode(&golden("audio"), now).unwrap().1, audio);
    }

    #[test]
    fn a_packet_cut_anywhere_before_its_payload_is_malformed() {
        let bytes = golden("audio");
        for end in 0..bytes.len() - 2 {
            assert!(decode(&bytes[..end], Instant::now()).is_err(), "{end}");
        }
    }

    fn extensions() -> impl Strategy<Value = Extensions> {
        let dependency = prop::option::of(prop::collection::vec(any::<u8>(), 0..256));
        let level = prop::option::of((0..128_u8, any::<bool>()));
        let delay = prop::option::of((0..4096_u16, 0..4096_u16));
        (level, any::<Option<u8>>(), dependency, any::<Option<u64>>(), delay).prop_map(
            |(audio_level, orientation, dependency, capture_time, playout_delay)| Extensions {
                audio_level,
                orientation,
                dependency: dependency.map(Into::into),
                capture_time,
                playout_delay,
            },
        )
    }

    proptest! {
        #[test]
        fn a_packet_reads_back_as_it_was_written(
            (flow, hop_seq, number) in (1..1_u32 << 30, any::<u16>(), any::<u16>()),
            (timestamp, marker, flagged, skipped, is_audio) in any::<(u32, bool, bool, u16, bool)>(),
            extensions in extensions(),
            time in any::<Option<u32>>(),
            payload in prop::collection::vec(any::<u8>(), 0..1300),
        ) {
            let now = Instant::now();
            let sequence = number.into();
            let payload = payload.into();
            let class = if is_audio { Class::Audio } else { Class::Enhancement };
            let (key, redundant) = (flagged && !is_audio, flagged && is_audio);
            let packet =
                Packet { sequence, timestamp, marker, key, redundant, skipped, extensions, payload, arrived: now };
            let first = Head { flow: Flow(flow), class, hop_seq, original: None, sent: time };
            let sent = encode(&first, &packet);
            let (head, read) = decode(&sent.to_bytes(), now).unwrap();
            prop_assert_eq!(&read, &packet);
            prop_assert_eq!(head, first);
            let (head, again) = decode(&encode_again(&sent, 9).to_bytes(), now).unwrap();
            prop_assert_eq!(again, packet);
            prop_assert_eq!(head, Head { hop_seq: 9, original: Some(hop_seq), sent: None, ..first });
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes, Instant::now());
        }
    }
}
