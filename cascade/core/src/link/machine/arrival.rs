//! What becomes of the peer's datagrams: packets, once each, and what link messages ask for.

use std::sync::Arc;

use super::super::counters::IN;
use super::super::fec::{Gives, Restored};
use super::super::hop::{CLASSES, deadline_of, place_of};
use super::super::message::{self, Message, Parity};
use super::super::receiver::{How, numbers_of};
use super::super::{Class, Datagram, Flow, Output, Packet, Received, datagram};
use super::{Link, read_flow};
use crate::TrackLayer;
use crate::wire::Malformed;

/// A packet of the peer.
#[derive(Debug)]
pub(crate) struct Came {
    /// As in [`Output::Received`].
    pub(crate) sink: usize,
    pub(crate) class: Class,
    flow: Flow,
    layer: TrackLayer,
    pub(crate) packet: Packet,
}

impl From<Came> for Output {
    fn from(Came { sink, class, flow, layer, packet }: Came) -> Self {
        Self::Received { sink, class, flow, received: Received::Packet { layer, packet } }
    }
}

impl Link {
    /// Gives the packet if nothing else has come of it.
    pub(super) fn handle_datagram(&mut self, datagram: &Datagram) -> Result<Option<Came>, Malformed> {
        let ends_silence = self.up.as_mut().is_some_and(|hop| hop.path.hear(self.now, datagram.len()));
        let mut rest = datagram.head();
        let flow = read_flow(&mut rest)?;
        if flow.0 != 0 {
            return self.handle_packet(flow, rest, datagram, !ends_silence);
        }
        self.stats.count_packet(IN, Class::Link, false, datagram.len());
        while !rest.is_empty() {
            match message::decode(&mut rest)? {
                Some(message) => self.handle_message(message),
                None => self.dropped.unknown_message += 1,
            }
        }
        Ok(None)
    }

    fn handle_packet(
        &mut self,
        flow: Flow,
        mut rest: &[u8],
        datagram: &Datagram,
        may_be_plain: bool,
    ) -> Result<Option<Came>, Malformed> {
        let (head, flags) = datagram::decode_head(flow, &mut rest)?;
        let Some(hop) = &mut self.up else { return Ok(None) };
        let Some(place) = place_of(head.class) else { return Ok(None) };
        self.stats.count_packet(IN, head.class, head.original.is_some(), datagram.len());
        let (number, how) = match head.original {
            Some(original) => {
                hop.received_again.count(head.hop_seq);
                (original, How::Again)
            }
            None => {
                if let Some(sent) = head.sent {
                    hop.path.time(hop.reports.clock(self.now), sent);
                }
                hop.decoder.keep(self.now, place, head.hop_seq, datagram);
                (head.hop_seq, How::First)
            }
        };
        let wait = hop.decoder.wait(self.now);
        let receiver = &mut hop.receivers[place];
        let misses_some = receiver.next_timeout().is_some();
        if !receiver.accept(self.now, number, how, wait) {
            self.dropped.duplicate += 1;
            return Ok(None);
        }
        let is_plain =
            may_be_plain && !misses_some && receiver.next_timeout().is_none() && hop.decoder.is_idle(self.now);
        if let Some(restored) = hop.decoder.take_late(place, number).filter(|_| how == How::First) {
            self.restore(&restored);
        }
        let came = self.take_packet(flow, head.class, flags, (rest, datagram.shared()))?;
        if is_plain {
            return Ok(came);
        }
        self.outputs.extend(came.map(Output::from));
        Ok(None)
    }

    /// A packet for whoever takes the flow: what stands behind the datagram's head, and the payload if it lies apart.
    fn take_packet(
        &mut self,
        flow: Flow,
        class: Class,
        flags: u8,
        (rest, payload): (&[u8], Option<&Arc<[u8]>>),
    ) -> Result<Option<Came>, Malformed> {
        let Some(receiving) = self.receiving.get_mut(flow) else {
            self.dropped.unknown_flow += 1;
            return Ok(None);
        };
        let mut packet = datagram::decode_packet(flags, rest, payload, self.now)?;
        packet.sequence = receiving.extend(packet.sequence as u16);
        if packet.key {
            self.keyframes_wanted.remove(&flow);
        }
        Ok(Some(Came { sink: receiving.sink, class, flow, layer: receiving.layer, packet }))
    }

    fn take_parity(&mut self, parity: Parity) {
        self.stats.parities[IN] += 1;
        let Some(hop) = &mut self.up else { return };
        let ranges = parity.ranges;
        match hop.decoder.take(self.now, parity) {
            Gives::Packet(restored) => self.restore(&restored),
            Gives::Wrong => self.dropped.parity_wrong += 1,
            Gives::Nothing | Gives::TooMany => {}
        }
        let Some(hop) = &mut self.up else { return };
        for (receiver, (first, count)) in hop.receivers.iter_mut().zip(ranges) {
            if count > 0 {
                receiver.expect_no_parity(self.now, first, count);
            }
        }
    }

    /// A packet came out of a parity, if it is one and still wanted.
    fn restore(&mut self, restored: &Restored) {
        let Some(hop) = &mut self.up else { return };
        if !hop.receivers[restored.place].wants(restored.number) {
            return;
        }
        let mut rest = &restored.datagram[..];
        let head = read_flow(&mut rest).and_then(|flow| datagram::decode_head(flow, &mut rest));
        let fits = |head: &datagram::Head| {
            place_of(head.class) == Some(restored.place) && head.hop_seq == restored.number && head.original.is_none()
        };
        let Some((head, flags)) = head.ok().filter(|(head, _)| fits(head)) else {
            self.dropped.parity_wrong += 1;
            return;
        };
        let wait = hop.decoder.wait(self.now);
        hop.receivers[restored.place].accept(self.now, restored.number, How::Restored, wait);
        self.stats.recovered += 1;
        match self.take_packet(head.flow, head.class, flags, (rest, None)) {
            Ok(came) => self.outputs.extend(came.map(Output::from)),
            Err(_) => self.dropped.parity_wrong += 1,
        }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Nack { class, first, bitmap } => self.send_again(class, first, &bitmap),
            Message::Report(report) => {
                if let Some(hop) = &mut self.up {
                    hop.take_report(self.now, &report, &mut self.dropped);
                }
            }
            Message::KeyRequest(flows) => flows.into_iter().for_each(|flow| self.pass_keyframe_request(flow)),
            Message::SenderReport { flow, ntp, rtp } => match self.receiving.get(flow) {
                Some(receiving) => {
                    let received = Received::SenderReport { layer: receiving.layer, ntp, rtp };
                    let (sink, class) = (receiving.sink, Class::Link);
                    self.outputs.push_back(Output::Received { sink, class, flow, received });
                }
                None => self.dropped.unknown_flow += 1,
            },
            Message::Parity(parity) => self.take_parity(parity),
        }
    }

    fn send_again(&mut self, class: u8, first: u16, bitmap: &[u8]) {
        self.stats.nacks[IN] += 1;
        let Some(hop) = &mut self.up else { return };
        let Some(place) = CLASSES.iter().position(|other| *other as u8 == class) else { return };
        let age_max = deadline_of(CLASSES[place]);
        let mut refused = Vec::new();
        for number in numbers_of(first, bitmap) {
            let Some((sent_at, sent)) = hop.rings[place].take_again(self.now, number, age_max) else { continue };
            // What is no longer served was still sent before: its receiver may be waiting for it.
            let serving = self.serving.get(datagram::flow_of(&sent));
            let is_away = serving.is_some_and(|serving| serving.load.is_away());
            let in_stream = serving.is_some_and(|serving| serving.in_stream);
            if is_away || !hop.scheduler.offer_again(self.now, place, sent.clone(), sent_at + age_max) {
                self.dropped.repair_refused += 1;
                refused.extend(in_stream.then(|| datagram::decode(&sent, self.now).ok()).flatten());
            }
        }
        self.tell_expired(refused);
    }

    fn pass_keyframe_request(&mut self, flow: Flow) {
        self.stats.keyframe_requests[IN] += 1;
        let Some(serving) = self.serving.get(flow) else {
            self.dropped.unknown_flow += 1;
            return;
        };
        // Of a layer that is away none would go, and its publisher sends the next a while after it. The link asks when
        // there is room.
        if serving.load.is_away() || !self.ask_publisher(flow) {
            self.dropped.keyframe_over_limit += 1;
        }
    }

    /// Asks whoever sends a flow for a keyframe; false if that is too soon.
    pub(super) fn ask_publisher(&mut self, flow: Flow) -> bool {
        let Some(serving) = self.serving.get_mut(flow) else { return false };
        if !serving.keyframes.pass(self.now) {
            return false;
        }
        serving.load.take_asked();
        let received = Received::Keyframe { layer: serving.layer };
        self.outputs.push_back(Output::Received { sink: serving.sink, class: Class::Link, flow, received });
        true
    }
}
