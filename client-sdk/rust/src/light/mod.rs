//! The cheap way to receive: what a viewer of a load run needs of each packet, and no more.
//!
//! ICE, DTLS and data channels stay with str0m. Of a media packet, RTP's clear header is read, the first bytes of the
//! payload are decrypted for the stamp, and one packet in [`VERIFY_EVERY`] is authenticated whole; repairs and padded
//! packets always are. What the server needs to hear goes back as from any receiver: TWCC, receiver reports, NACK, PLI.

mod header;
mod rtcp;
mod srtp;
mod stream;
mod tap;
mod twcc;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::MediaKind;
use crate::reception::{Packet, Reception};
use header::Header;
use srtp::{Inbound, Outbound};
use stream::{Sequence, Stream};
use tap::Tap;

pub(crate) use tap::build;

/// One packet in so many is authenticated; it shows that the server seals, at a sixty-fourth of the cost.
const VERIFY_EVERY: u32 = 64;
/// TWCC feedback goes out that often.
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);
/// Receiver reports go out that often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Streams that one connection may bring: a section each, and its repairs.
const STREAMS_MAX: usize = 1024;

/// What the server negotiated that a packet's clear header refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Id of the header extension with the transport-wide sequence number.
    pub(crate) transport_sequence: Option<u8>,
    /// Id of the header extension with the mid.
    pub(crate) mid: Option<u8>,
    /// Payload types of repairs.
    pub(crate) repairs: Vec<u8>,
}

/// Where a stream belongs.
#[derive(Debug)]
enum Lane {
    Media(Stream),
    /// Repairs of the stream with that SSRC, in a numbering of their own.
    Repair(Sequence),
}

/// The media half of one connection, past str0m.
#[derive(Debug)]
pub(crate) struct Light {
    tap: Tap,
    keys: Option<(Inbound, Outbound)>,
    terms: Terms,
    lanes: BTreeMap<u32, Lane>,
    /// Main SSRC of each reception, for its repairs.
    ssrc_by_reception: BTreeMap<usize, u32>,
    recorder: twcc::Recorder,
    server: Option<SocketAddr>,
    ssrc: u32,
    packets: u32,
    next_feedback_at: Instant,
    next_report_at: Instant,
    nack_at: Option<Instant>,
}

impl Light {
    /// Takes over from a connection that was built with `tap`.
    pub(crate) fn new(tap: Tap, now: Instant) -> Self {
        Self {
            tap,
            keys: None,
            terms: Terms::default(),
            lanes: BTreeMap::new(),
            ssrc_by_reception: BTreeMap::new(),
            recorder: twcc::Recorder::new(now),
            server: None,
            ssrc: rand::random::<u32>() | 1,
            packets: 0,
            next_feedback_at: now + FEEDBACK_INTERVAL,
            next_report_at: now + REPORT_INTERVAL,
            nack_at: None,
        }
    }

    /// Notes what a negotiation settled.
    pub(crate) fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Forgets the streams of a reception that has ended.
    pub(crate) fn forget(&mut self, reception: usize) {
        if let Some(ssrc) = self.ssrc_by_reception.remove(&reception) {
            self.lanes.remove(&ssrc);
        }
    }

    /// Whether this datagram is ours to read: SRTP under keys that are known.
    pub(crate) fn takes(&mut self, datagram: &[u8]) -> bool {
        header::is_rtp(datagram) && self.has_keys()
    }

    /// Connections with another profile than AES-GCM have none, and stay with str0m.
    fn has_keys(&mut self) -> bool {
        if self.keys.is_none() {
            self.keys = self.tap.master().and_then(|master| srtp::keys(&master));
        }
        self.keys.is_some()
    }

    /// Reads a media packet. `find` tells which reception a stream belongs to, by SSRC and by mid when it says one.
    pub(crate) fn handle_media(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        find: impl FnOnce(u32, Option<&str>) -> Option<usize>,
    ) -> Option<Packet> {
        let header = Header::parse(datagram)?;
        self.server = Some(from);
        if let Some(sequence) = self.terms.transport_sequence.and_then(|id| header.extension_u16(datagram, id)) {
            self.recorder.note(sequence, now);
        }
        if !self.lanes.contains_key(&header.ssrc) {
            self.place(&header, datagram, now, find)?;
        }
        self.packets = self.packets.wrapping_add(1);
        match self.lanes.get_mut(&header.ssrc)? {
            Lane::Media(_) => self.media(&header, datagram, now),
            Lane::Repair(_) => self.repair(&header, datagram),
        }
    }

    fn place(
        &mut self,
        header: &Header,
        datagram: &[u8],
        now: Instant,
        find: impl FnOnce(u32, Option<&str>) -> Option<usize>,
    ) -> Option<()> {
        let mid = self.terms.mid.and_then(|id| header.extension(datagram, id));
        let reception = find(header.ssrc, mid.and_then(|mid| std::str::from_utf8(mid).ok()))?;
        if self.lanes.len() >= STREAMS_MAX {
            return None;
        }
        if self.terms.repairs.contains(&header.payload_type) {
            self.lanes.insert(header.ssrc, Lane::Repair(Sequence::of(reception)));
            return Some(());
        }
        if let Some(before) = self.ssrc_by_reception.insert(reception, header.ssrc) {
            self.lanes.remove(&before);
        }
        self.lanes.insert(header.ssrc, Lane::Media(Stream::new(header.ssrc, reception, now)));
        Some(())
    }

    fn media(&mut self, header: &Header, datagram: &[u8], now: Instant) -> Option<Packet> {
        let Some(Lane::Media(stream)) = self.lanes.get_mut(&header.ssrc) else { return None };
        let (inbound, _) = self.keys.as_ref()?;
        let index = stream.sequence.extend(header.sequence);
        let mut packet = Packet::new(stream.sequence.reception, datagram.len() - header.payload_at);
        if header.padded || self.packets.is_multiple_of(VERIFY_EVERY) {
            let payload = inbound.open(header, index, datagram)?;
            packet.fill(unpadded(header, &payload)?);
        } else {
            packet.len = packet.len.checked_sub(srtp::TAG_BYTES)?;
            packet.fill_prefix(|prefix| inbound.peek(header, index, datagram, prefix))?;
        }
        stream.note(index, header.timestamp, now);
        if let Some(at) = stream.next_nack_at() {
            self.nack_at = Some(self.nack_at.map_or(at, |known| known.min(at)));
        }
        Some(packet)
    }

    /// RFC 4588: the first two bytes are the sequence number of the packet that is sent again.
    fn repair(&mut self, header: &Header, datagram: &[u8]) -> Option<Packet> {
        let Some(Lane::Repair(sequence)) = self.lanes.get_mut(&header.ssrc) else { return None };
        let index = sequence.extend(header.sequence);
        let reception = sequence.reception;
        let payload = self.keys.as_ref()?.0.open(header, index, datagram)?;
        let payload = unpadded(header, &payload)?;
        let (original, payload) = payload.split_at_checked(2)?;
        let main = self.ssrc_by_reception.get(&reception)?;
        let Some(Lane::Media(stream)) = self.lanes.get_mut(main) else { return None };
        stream.repaired(u16::from_be_bytes([original[0], original[1]]));
        let mut packet = Packet::new(reception, payload.len());
        packet.repair = true;
        packet.fill(payload);
        Some(packet)
    }

    /// Takes a control packet of the server, for the times of its sender reports. str0m reads it too.
    pub(crate) fn handle_control(&mut self, now: Instant, datagram: &[u8]) {
        if !header::is_rtcp(datagram) || !self.has_keys() {
            return;
        }
        let report = self.keys.as_ref().and_then(|(inbound, _)| inbound.open_control(datagram));
        if let Some((ssrc, ntp)) = report.as_deref().and_then(rtcp::sender_report)
            && let Some(Lane::Media(stream)) = self.lanes.get_mut(&ssrc)
        {
            stream.heard(ntp, now);
        }
    }

    /// When feedback is due next.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.server?;
        let next = self.next_feedback_at.min(self.next_report_at);
        Some(self.nack_at.map_or(next, |at| at.min(next)))
    }

    /// The feedback that is due, sealed, and where it goes.
    pub(crate) fn poll(&mut self, now: Instant, receptions: &[Reception]) -> Option<(SocketAddr, Vec<u8>)> {
        if self.timeout()? > now {
            return None;
        }
        let server = self.server?;
        let mut compound = rtcp::Compound::new(self.ssrc);
        if now >= self.next_report_at {
            self.next_report_at = now + REPORT_INTERVAL;
            self.streams().for_each(|stream| compound.report(stream.report(now)));
        }
        let mut compound = compound.begin();
        self.ask_again(now, receptions, &mut compound);
        if now >= self.next_feedback_at {
            self.next_feedback_at = now + FEEDBACK_INTERVAL;
            if let Some(feedback) = self.recorder.take() {
                let media = self.lanes.keys().next().copied().unwrap_or_default();
                compound.transport_feedback(media, &feedback);
            }
        }
        let plain = compound.finish()?;
        Some((server, self.keys.as_mut()?.1.seal_control(plain, self.ssrc)))
    }

    fn ask_again(&mut self, now: Instant, receptions: &[Reception], compound: &mut rtcp::Begun) {
        if self.nack_at.is_none_or(|at| at > now) {
            return;
        }
        self.nack_at = None;
        for stream in self.lanes.values_mut().filter_map(Lane::media_mut) {
            let is_video =
                receptions.get(stream.sequence.reception).is_some_and(|found| found.what.kind == MediaKind::Video);
            if !is_video {
                stream.forgive();
                continue;
            }
            compound.nack(stream.ssrc, &stream.due(now));
            if stream.wants_keyframe(now) {
                compound.picture_loss(stream.ssrc);
            }
            if let Some(at) = stream.next_nack_at() {
                self.nack_at = Some(self.nack_at.map_or(at, |known: Instant| known.min(at)));
            }
        }
    }

    fn streams(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.lanes.values_mut().filter_map(Lane::media_mut)
    }
}

impl Lane {
    fn media_mut(&mut self) -> Option<&mut Stream> {
        match self {
            Lane::Media(stream) => Some(stream),
            Lane::Repair(_) => None,
        }
    }
}

/// A payload without its padding (RFC 3550, section 5.1).
fn unpadded<'a>(header: &Header, payload: &'a [u8]) -> Option<&'a [u8]> {
    if !header.padded {
        return Some(payload);
    }
    let padding = usize::from(*payload.last()?);
    payload.get(..payload.len().checked_sub(padding)?)
}
