//! Link messages of `docs/wire.md` 2.2: repair requests, reports, keyframe requests, sender reports.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Flow;
use crate::wire::{Malformed, varint};

const NACK: u64 = 1;
const REPORT: u64 = 2;
const KEYREQ: u64 = 3;
const SENDER_REPORT: u64 = 4;
const FEC: u64 = 5;

/// Longest bitmap of a NACK; the rest goes into another one.
pub(super) const NACK_BITMAP_BYTES_MAX: usize = 64;
/// Packets that one parity may cover.
pub(super) const FEC_PACKETS_MAX: usize = 32;
/// Longest datagram that a parity covers.
pub(super) const FEC_BYTES_MAX: usize = 1500;
/// A report takes 70 bytes, and goes 20 times a second over each link; whatever is longer is seldom.
const FIELDS_BYTES: usize = 80;
/// Layers in one keyframe request; a datagram holds no more.
const KEY_REQUEST_FLOWS_MAX: usize = 1500;

/// What the two ends of a media connection tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Send again: the number `first` of a class (1 to 3), and `first + 1 + i` for each bit i.
    Nack { class: u8, first: u16, bitmap: Vec<u8> },
    /// How the sender's receiving side stands.
    Report(Report),
    /// Layers that need a keyframe.
    KeyRequest(Vec<Flow>),
    /// How a publisher's clock stands.
    SenderReport { flow: Flow, ntp: u64, rtp: u32 },
    /// What repairs one lost packet among some.
    Parity(Parity),
}

/// See `docs/wire.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The sender's clock, µs, wrapping.
    pub(super) sent: u32,
    /// `sent` of the newest report received, 0 before the first.
    pub(super) echo: u32,
    /// From its receipt until now, µs.
    pub(super) since: u32,
    /// Audio, base, enhancement, retransmissions.
    pub(super) classes: [ClassReport; 4],
    /// What the path did.
    pub(super) path: PathReport,
}

/// What came over the path, whatever its class. Counters wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PathReport {
    /// Datagrams received.
    pub(super) datagrams: u32,
    /// Their bytes on the wire.
    pub(super) bytes: u32,
    /// Packets that the path lost, repaired or not.
    pub(super) missed: u32,
    /// Least one-way delay since the last report: receiver's clock less the sender's `sent`, µs, wrapping.
    pub(super) delay: u32,
    /// Among how many; 0 when `delay` says nothing.
    pub(super) delays: u16,
}

/// The XOR of some datagrams: see `docs/wire.md`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parity {
    /// Of audio, base and enhancement: the first number, and how many.
    pub(super) ranges: [(u16, u8); 3],
    /// XOR of the datagrams' lengths.
    pub(super) length: u16,
    /// XOR of the datagrams, each filled up with zeros.
    pub(super) bytes: Vec<u8>,
}

/// What was received of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassReport {
    /// Next number that is expected.
    pub(super) next: u16,
    /// Packets received.
    pub(super) received: u32,
    /// Packets lost for good.
    pub(super) lost: u32,
}

/// A datagram of one message.
pub(super) fn encode(out: &mut BytesMut, message: &Message) -> Bytes {
    let mut fields = BytesMut::with_capacity(FIELDS_BYTES);
    let kind = match message {
        Message::Nack { class, first, bitmap } => {
            fields.put_u8(*class);
            fields.put_u16(*first);
            fields.put_slice(bitmap);
            NACK
        }
        Message::Report(report) => {
            encode_report(&mut fields, report);
            REPORT
        }
        Message::KeyRequest(flows) => {
            flows.iter().for_each(|flow| varint::write(flow.0.into(), &mut fields));
            KEYREQ
        }
        Message::SenderReport { flow, ntp, rtp } => {
            varint::write(flow.0.into(), &mut fields);
            fields.put_u64(*ntp);
            fields.put_u32(*rtp);
            SENDER_REPORT
        }
        Message::Parity(parity) => {
            for (first, count) in parity.ranges {
                fields.put_u16(first);
                fields.put_u8(count);
            }
            fields.put_u16(parity.length);
            fields.put_slice(&parity.bytes);
            FEC
        }
    };
    varint::write(0, out);
    varint::write(kind, out);
    varint::write(fields.len() as u64, out);
    out.put_slice(&fields);
    out.split().freeze()
}

fn encode_report(out: &mut BytesMut, report: &Report) {
    out.put_u32(report.sent);
    out.put_u32(report.echo);
    out.put_u32(report.since);
    for class in &report.classes {
        out.put_u16(class.next);
        out.put_u32(class.received);
        out.put_u32(class.lost);
    }
    out.put_u32(report.path.datagrams);
    out.put_u32(report.path.bytes);
    out.put_u32(report.path.missed);
    out.put_u32(report.path.delay);
    out.put_u16(report.path.delays);
}

/// The next message of a datagram whose flow number, 0, has been read. `Ok(None)` for a type that is not known.
pub(super) fn decode(bytes: &mut &[u8]) -> Result<Option<Message>, Malformed> {
    const END: Malformed = Malformed("link message end");
    let kind = varint::read(bytes).ok_or(END)?;
    let length = varint::read(bytes).ok_or(END)?;
    let length = usize::try_from(length).map_err(|_| END)?;
    let (mut fields, rest) = bytes.split_at_checked(length).ok_or(END)?;
    *bytes = rest;
    let fields = &mut fields;
    Ok(Some(match kind {
        NACK => decode_nack(fields)?,
        REPORT => Message::Report(decode_report(fields).ok_or(Malformed("report"))?),
        KEYREQ => decode_key_request(fields)?,
        SENDER_REPORT => decode_sender_report(fields).ok_or(Malformed("sender report"))?,
        FEC => Message::Parity(decode_parity(fields).ok_or(Malformed("fec"))?),
        _ => return Ok(None),
    }))
}

fn decode_nack(fields: &mut &[u8]) -> Result<Message, Malformed> {
    let class = fields.try_get_u8().map_err(|_| Malformed("nack"))?;
    let first = fields.try_get_u16().map_err(|_| Malformed("nack"))?;
    if !(1..=3).contains(&class) || fields.len() > NACK_BITMAP_BYTES_MAX {
        return Err(Malformed("nack"));
    }
    Ok(Message::Nack { class, first, bitmap: fields.to_vec() })
}

fn decode_report(fields: &mut &[u8]) -> Option<Report> {
    let mut report = Report {
        sent: fields.try_get_u32().ok()?,
        echo: fields.try_get_u32().ok()?,
        since: fields.try_get_u32().ok()?,
        ..Report::default()
    };
    for class in &mut report.classes {
        class.next = fields.try_get_u16().ok()?;
        class.received = fields.try_get_u32().ok()?;
        class.lost = fields.try_get_u32().ok()?;
    }
    // A peer of an earlier version says nothing of the path.
    if fields.is_empty() {
        return Some(report);
    }
    report.path = PathReport {
        datagrams: fields.try_get_u32().ok()?,
        bytes: fields.try_get_u32().ok()?,
        missed: fields.try_get_u32().ok()?,
        delay: fields.try_get_u32().ok()?,
        delays: fields.try_get_u16().ok()?,
    };
    Some(report)
}

fn decode_parity(fields: &mut &[u8]) -> Option<Parity> {
    let mut parity = Parity::default();
    for range in &mut parity.ranges {
        *range = (fields.try_get_u16().ok()?, fields.try_get_u8().ok()?);
    }
    parity.length = fields.try_get_u16().ok()?;
    let packets: usize = parity.ranges.iter().map(|(_, count)| usize::from(*count)).sum();
    if !(1..=FEC_PACKETS_MAX).contains(&packets) || !(1..=FEC_BYTES_MAX).contains(&fields.len()) {
        return None;
    }
    parity.bytes = fields.to_vec();
    Some(parity)
}

fn decode_key_request(fields: &mut &[u8]) -> Result<Message, Malformed> {
    let mut flows = Vec::new();
    while !fields.is_empty() {
        if flows.len() >= KEY_REQUEST_FLOWS_MAX {
            return Err(Malformed("keyframe request"));
        }
        flows.push(flow_of(varint::read(fields)).ok_or(Malformed("keyframe request"))?);
    }
    Ok(Message::KeyRequest(flows))
}

fn decode_sender_report(fields: &mut &[u8]) -> Option<Message> {
    let flow = flow_of(varint::read(fields))?;
    Some(Message::SenderReport { flow, ntp: fields.try_get_u64().ok()?, rtp: fields.try_get_u32().ok()? })
}

fn flow_of(number: Option<u64>) -> Option<Flow> {
    u32::try_from(number?).ok().map(Flow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::golden::golden;

    fn decode_all(mut bytes: &[u8]) -> Result<Vec<Option<Message>>, Malformed> {
        assert_eq!(varint::read(&mut bytes), Some(0));
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            messages.push(decode(&mut bytes)?);
        }
        Ok(messages)
    }

    #[test]
    fn the_link_messages_of_the_document_are_written_and_read() {
        let class = |next, received, lost| ClassReport { next, received, lost };
        let classes = [class(3, 3, 0), class(10, 8, 2), class(0, 0, 0), class(0, 0, 0)];
        let path = PathReport { datagrams: 14, bytes: 12_000, missed: 2, delay: 40_000, delays: 9 };
        let ranges = [(3, 1), (258, 2), (0, 0)];
        let parity = Parity { ranges, length: 14 ^ 15 ^ 9, bytes: vec![0xde, 0xad, 0xbe, 0xef] };
        for (name, message) in [
            ("nack", Message::Nack { class: 2, first: 258, bitmap: vec![0x81] }),
            ("keyreq", Message::KeyRequest(vec![Flow(5), Flow(300)])),
            ("sender_report", Message::SenderReport { flow: Flow(5), ntp: 0x0102_0304_0506_0708, rtp: 90_000 }),
            ("report", Message::Report(Report { sent: 1000, echo: 900, since: 2500, classes, path })),
            ("fec", Message::Parity(parity)),
        ] {
            assert_eq!(encode(&mut BytesMut::new(), &message), golden(name), "{name}");
            assert_eq!(decode_all(&golden(name)), Ok(vec![Some(message)]), "{name}");
        }
    }

    #[test]
    fn an_unknown_message_is_skipped_and_what_follows_is_read() {
        let bytes = [&[0, 63, 2, 9, 9][..], &golden("keyreq")[1..]].concat();
        let known = Message::KeyRequest(vec![Flow(5), Flow(300)]);
        assert_eq!(decode_all(&bytes), Ok(vec![None, Some(known)]));
    }

    #[test]
    fn a_message_cut_short_is_malformed() {
        for name in ["nack", "keyreq", "sender_report", "report", "fec"] {
            let bytes = golden(name);
            for end in 2..bytes.len() {
                assert!(decode_all(&bytes[..end]).is_err(), "{name} {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while !rest.is_empty() && decode(&mut rest).is_ok() {}
        }
    }
}
