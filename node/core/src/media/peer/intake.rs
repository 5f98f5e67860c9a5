//! What a client sends, where we read it by ourselves: str0m only says which of its streams is which.

use std::time::Instant;

use super::{Inbound, Mid, Peer};
use crate::media::egress::Outbox;
use crate::media::own::{Arrival, Incoming, Own, Taken};

/// What became of RTP.
pub(in crate::media) enum Came {
    /// A packet of a stream.
    Packet(Inbound),
    /// Nothing that goes on.
    Nothing,
    /// It was refused, for this reason.
    Refused(&'static str),
    /// The client's own, of a stream that is not known: once str0m saw it, it may be, see [`Peer::learn`].
    Unknown(Unknown),
}

/// A stream that is not known: its SSRC, and the payload type of one of its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) struct Unknown {
    ssrc: u32,
    payload_type: u8,
}

/// RTP that shares a port with RTCP (RFC 5761 4).
fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 0..=191 | 224.., ..])
}

impl Peer {
    /// Takes a datagram if it is RTP that we read by ourselves; none if it is str0m's. It is opened in `space`, which is
    /// reused.
    pub fn take(&mut self, now: Instant, datagram: &[u8], space: &mut Vec<u8>) -> Option<Came> {
        let own = self.own.as_mut().filter(|_| is_rtp(datagram))?;
        Some(match own.take(now, datagram, space) {
            Taken::Packet(arrival) => inbound(arrival),
            Taken::Nothing => Came::Nothing,
            Taken::Unknown(ssrc, payload_type) => Came::Unknown(Unknown { ssrc, payload_type }),
            Taken::Refused(reason) => Came::Refused(reason),
        })
    }

    /// Learns from str0m, which has seen a packet of it, what a stream is. False when it does not know.
    pub fn learn(&mut self, unknown: Unknown) -> bool {
        let Unknown { ssrc, payload_type } = unknown;
        let Some(own) = &mut self.own else { return false };
        let known = own.incoming();
        let mut api = self.rtc.direct_api();
        let mut stream = |ssrc: u32| {
            let stream = api.stream_rx(&ssrc.into())?;
            Some((stream.mid(), stream.rtx().map(|repair| *repair)))
        };
        if let Some((mid, repair)) = stream(ssrc) {
            let incoming = self.incoming(mid, ssrc, repair, payload_type);
            self.own.as_mut().into_iter().for_each(|own| own.expect(incoming));
            return true;
        }
        let main = known.into_iter().find(|main| stream(*main).is_some_and(|(_, repair)| repair == Some(ssrc)));
        main.map(|main| own.expect_repair(main, ssrc)).is_some()
    }

    fn incoming(&self, mid: Mid, ssrc: u32, repair: Option<u32>, payload_type: u8) -> Incoming {
        let mut params = self.rtc.codec_config().params().iter();
        let is_of = |pt: Option<str0m::media::Pt>| pt.is_some_and(|pt| *pt == payload_type);
        let params = params.find(|params| is_of(Some(params.pt())) || is_of(params.red()));
        let repairable = params.is_some_and(|params| params.resend().is_some());
        Incoming { ssrc, repair, clock_rate: self.clock_rate(mid), repairable, ids: self.ids(mid) }
    }

    /// Takes over what both sides have agreed on for all of the client's streams.
    pub(super) fn agree(&mut self) {
        if self.own.is_none() {
            return;
        }
        let ids = self.sections.iter().map(|mid| self.ids(*mid)).fold(Default::default(), super::Ids::or);
        let params = self.rtc.codec_config().params().iter();
        let repair_types = params.filter_map(|params| Some((*params.resend()?, *params.pt()))).collect();
        if let Some(own) = &mut self.own {
            own.agree(ids, repair_types);
        }
    }

    /// When to [`Self::acknowledge`], if something came of which there is something to say.
    pub fn said_at(&self, now: Instant) -> Option<Instant> {
        self.own.as_deref().and_then(|own| own.said_at(now))
    }

    /// Says what is due of what came: see [`Own::acknowledge`].
    pub fn acknowledge(&mut self, now: Instant, outbox: &mut Outbox, space: &mut Vec<u8>) -> u64 {
        self.own.as_deref_mut().map_or(0, |own: &mut Own| own.acknowledge(now, outbox, space))
    }
}

fn inbound(arrival: Arrival) -> Came {
    let Arrival { ssrc, payload_type, sent, packet } = arrival;
    if packet.payload.len() > super::PAYLOAD_BYTES_MAX {
        return Came::Refused("oversized");
    }
    Came::Packet(Inbound { ssrc, payload_type, sent, packet })
}
