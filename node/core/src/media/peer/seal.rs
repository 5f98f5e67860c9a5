//! Where a connection's media leave by our own way: its keys, and what of str0m's datagrams may leave.

use std::time::{Duration, Instant};

use origo_cascade_core::link::Packet;
use str0m::Reason;
use str0m::bwe::Bitrate;
use str0m::media::MediaKind;
use str0m::net::DatagramSend;
use str0m::rtp::Extension;

use super::header::{DEPENDENCY_DESCRIPTOR_URI, DescriptorSerializer};
use super::setup::FIRST_ESTIMATE;
use super::{Mid, Peer, profile};
use crate::media::codec::Codec;
use crate::media::demux::Source;
use crate::media::egress::{Outbox, Outgoing, Sender, Stream, Written};
use crate::media::own::{Again, Heard, Ids, Own, Padding, Refused, Terms};

/// How much later str0m is told the time where its estimator alone wants to know it.
const REST: Duration = Duration::from_millis(175);
/// For so long after data came or left they count as under way.
const TALK: Duration = Duration::from_secs(2);

/// What becomes of a datagram of str0m's.
pub(super) enum Leaving {
    /// It leaves so.
    Datagram(DatagramSend),
    /// We say it ourselves.
    Nothing,
    /// It is none that str0m may send.
    NotOurs,
}

/// Second bytes of RTCP packets that share a port with RTP (RFC 5761 4).
fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

impl Peer {
    /// Takes over the keys if the call before ended the handshake. Before any datagram that str0m sealed with them is
    /// looked at, so that none leaves as it is.
    pub(super) fn take_keys(&mut self, now: Instant) {
        let Some(chosen) = profile::take() else { return };
        self.profile = chosen.name;
        // Keys that come again would be the same ones, and a second writer.
        if self.wants_own && self.own.is_none() {
            self.own = chosen.keying.and_then(|keying| Own::new(keying, now, self.estimates)).map(Box::new);
            if self.own.is_some() {
                self.paced = false;
                self.rest_estimator();
                self.agree();
            } else {
                self.wants_own = false;
                self.show_streams();
            }
        }
    }

    /// str0m's estimator has nothing to do where media leave by our own way: it hears of no packet. One that has begun to
    /// wish for something would look for it, with packets of padding that it seals and that nobody sends; one that was
    /// never told of a wish does not.
    fn rest_estimator(&mut self) {
        let mut estimator = self.rtc.bwe();
        estimator.reset(FIRST_ESTIMATE);
        estimator.set_bitrate(Bitrate::ZERO, Bitrate::ZERO);
    }

    /// When str0m is to be told the time, which asks for it at `at`. Its estimator asks for each 25 ms, which it does not
    /// need where it rests. It does not tell what else waits, so a client to whom data are under way is looked after in time.
    pub(super) fn rest_until(&self, at: Instant) -> Instant {
        let rests = self.own.is_some() && self.rtc.last_timeout_reason() == Reason::BweDelayControl;
        if rests && self.connected && at >= self.data_at + TALK { at + REST } else { at }
    }

    /// What leaves of a datagram of str0m's: where media leave by our own way no RTP, and RTCP sealed anew.
    pub(super) fn leave(&mut self, destination: Source, datagram: DatagramSend) -> Leaving {
        let Some(own) = &mut self.own else { return Leaving::Datagram(datagram) };
        match datagram[..] {
            // DTLS goes where ICE has agreed on, as all of str0m's but STUN does.
            [20..=63, ..] => own.set_destination(destination),
            [128..=191, ..] if is_rtcp(&datagram) => {
                own.set_destination(destination);
                return match own.say(self.clock, &datagram) {
                    Some(right) if right.is_empty() => Leaving::Nothing,
                    Some(right) => Leaving::Datagram(right.into()),
                    None => Leaving::NotOurs,
                };
            }
            [128..=191, ..] => return Leaving::NotOurs,
            _ => {}
        }
        Leaving::Datagram(datagram)
    }

    /// Takes a datagram if it is RTCP that we read by ourselves; none if it is str0m's alone. It is opened in `space`,
    /// which is reused.
    pub fn hear(
        &mut self,
        now: Instant,
        source: Source,
        datagram: &[u8],
        space: &mut Vec<u8>,
    ) -> Option<Result<Heard, &'static str>> {
        let own = self.own.as_mut().filter(|_| is_rtcp(datagram))?;
        Some(own.hear(now, source, datagram, space).ok_or("forged or replayed"))
    }

    /// Reads a little of what sending needs: of the connection three turns before its own, of its way out two turns before,
    /// of its streams one, so that each step finds near what the one before has read.
    pub fn read_ahead(&self, turns: usize) -> u64 {
        match (&self.own, turns) {
            (Some(own), 1) => own.read_stream_ahead(),
            (Some(own), 2) => own.read_ahead(),
            (own, _) => u64::from(own.is_some()),
        }
    }

    /// Whether it is for a report on what we send that it would be looked at then, and for nothing more urgent.
    pub fn wants_report(&mut self, now: Instant, at: Instant) -> bool {
        let Some(own) = self.own.as_mut().filter(|own| at > now && own.said_at(now) != Some(at)) else { return false };
        own.report_at(now) == Some(at) || self.rtc.last_timeout_reason() == Reason::Feedback
    }

    /// Reports on what we send, if it is time to: see [`Own::report`].
    pub fn report(&mut self, now: Instant, ntp: u64, outbox: &mut Outbox, space: &mut Vec<u8>) {
        if let Some(own) = &mut self.own {
            own.report(now, ntp, outbox, space);
        }
    }

    /// Sends what waited for its turn: see [`Own::flush`].
    pub fn flush(&mut self, now: Instant, outbox: &mut Outbox, refused: impl FnMut(Refused)) -> Option<Instant> {
        self.own.as_mut()?.flush(now, outbox, refused)
    }

    /// Sends a packet again.
    pub fn repeat(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        again: &Again,
        packet: &Packet,
    ) -> Result<usize, Refused> {
        let own = self.own.as_mut().ok_or(Refused::NoStream)?;
        own.repeat(now, outbox, again, packet)
    }

    /// What we would like to send, and whether the client gets less than it has use for. False where the estimator is
    /// str0m's.
    pub fn wish(&mut self, bps: u64, missing: bool) -> bool {
        self.own.as_mut().map(|own| own.wish(bps, missing)).is_some()
    }

    /// Tells our own estimator the time. True when it wants to be told each millisecond for now.
    pub fn tick_estimator(&mut self, now: Instant) -> bool {
        self.looks = self.own.as_mut().filter(|_| self.estimates).is_some_and(|own| own.tick(now));
        self.looks
    }

    /// What our own estimator says of the way to the client, when that is new.
    pub fn estimate(&mut self, now: Instant) -> Option<u64> {
        self.own.as_mut().filter(|_| self.estimates)?.estimate(now)
    }

    /// What is to fill the way now.
    pub fn padding(&mut self, now: Instant) -> Option<Padding> {
        self.own.as_mut().filter(|_| self.looks)?.padding(now)
    }

    /// Fills the way with a packet that left before, or with nothing.
    pub fn fill(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        kept: Option<(&Again, &Packet)>,
    ) -> Result<usize, Refused> {
        let own = self.own.as_mut().ok_or(Refused::NoStream)?;
        match kept {
            Some((again, packet)) => own.fill(now, outbox, again, packet),
            None => own.pad(now, outbox),
        }
    }

    /// Agrees with our own way on a stream. False when it cannot be.
    pub(super) fn declare(&mut self, mid: Mid, stream: &Stream, repair: Option<u32>, codec: Codec) -> bool {
        if self.own.is_none() {
            return true;
        }
        let ids = self.ids(mid);
        let params = self.rtc.codec_config().params().iter().find(|params| *params.pt() == stream.payload_type);
        let repair_type = params.and_then(|params| params.resend()).filter(|_| stream.resendable).map(|pt| *pt);
        let terms = Terms { ssrc: stream.ssrc, repair: repair.zip(repair_type), clock_rate: codec.clock_rate(), ids };
        let name = self.rtc.media(mid).map_or("", |media| media.cname());
        self.own.as_mut().is_none_or(|own| own.declare(terms, &mid, name))
    }

    /// A stream is over.
    pub(super) fn forget(&mut self, ssrc: u32) {
        if let Some(own) = &mut self.own {
            own.forget(ssrc);
        }
    }

    pub(super) fn ids(&self, mid: Mid) -> Ids {
        let Some(media) = self.rtc.media(mid) else { return Ids::default() };
        let map = media.remote_extmap();
        let is_video = media.kind() == MediaKind::Video;
        let descriptor = Extension::with_serializer(DEPENDENCY_DESCRIPTOR_URI, DescriptorSerializer);
        Ids {
            mid: map.id_of(Extension::RtpMid),
            send_time: map.id_of(Extension::AbsoluteSendTime),
            transport: map.id_of(Extension::TransportSequenceNumber),
            level: map.id_of(Extension::AudioLevel),
            orientation: map.id_of(Extension::VideoOrientation),
            descriptor: map.id_of(descriptor).filter(|_| is_video),
            capture: map.id_of(Extension::AbsoluteCaptureTime),
            delay: map.id_of(Extension::PlayoutDelay),
        }
    }
}

impl Sender for Own {
    fn write(&mut self, now: Instant, outbox: &mut Outbox, outgoing: &Outgoing<'_>) -> Written {
        match Own::write(self, now, outbox, outgoing) {
            Ok(None) => Written::Out,
            Ok(Some(at)) => Written::Paced(at),
            Err(refused) => Written::Refused(refused.reason()),
        }
    }
}
