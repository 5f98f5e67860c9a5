//! What a connection sends: a stream for each section, and packets written to it.

use std::time::Instant;

use str0m::Rtc;
use str0m::format::PayloadParams;
use str0m::rtp::{RtpWrite, Ssrc, Vp8Descriptor, Vp8Patch};

use super::{Mid, Peer, format, header};
use crate::media::codec::Codec;
use crate::media::egress::{Outbox, Outgoing, Sender, Stream, Written};
use crate::media::red;
use crate::media::vp8::Vp8;

impl Peer {
    /// Gives a section a fresh SSRC, so that its next track's numbers begin anew.
    pub fn renew_stream(&mut self, mid: Mid) {
        self.show_streams();
        let mut api = self.rtc.direct_api();
        let (ssrc, rtx) = (api.new_ssrc(), api.new_ssrc());
        let Some(stream) = api.stream_tx_by_mid(mid, None) else { return self.hide_streams() };
        let (old, has_rtx) = (stream.ssrc(), stream.rtx().is_some());
        // Not `reset_stream_tx`: str0m 0.25 keeps the stream under its old SSRC then, and `stream_tx` finds nothing
        // under the new one.
        api.remove_stream_tx(old);
        api.declare_stream_tx(ssrc, has_rtx.then_some(rtx), mid, None);
        self.forget(*old);
        self.hide_streams();
    }

    /// How a track of this codec is sent in this section; none when the client does not take the codec there.
    pub fn stream(&mut self, mid: Mid, codec: Codec) -> Option<Stream> {
        let payload_type = self.payload_type(mid, codec)?;
        let (ssrc, repair) = self.ssrcs_of(mid)?;
        // The publisher has paced its packets already. A pacer of our own would hold a stream back that exceeds the
        // estimate for a moment, and keep that queue ever after; what exceeds it for longer is the allocator's to drop.
        if let Some(sender) = self.rtc.direct_api().stream_tx(&ssrc.into()) {
            sender.set_unpaced(true);
        }
        let described = matches!(codec, Codec::Vp9 | Codec::Av1);
        let redundant_type = self.redundant_type(payload_type);
        let stream = Stream { ssrc, payload_type, redundant_type, resendable: codec != Codec::Opus, described };
        self.declare(mid, &stream, repair, codec).then_some(stream)
    }

    /// Whether the client takes a codec in a section.
    pub fn takes(&self, mid: Mid, codec: Codec) -> bool {
        self.payload_type(mid, codec).is_some()
    }

    /// The payload type by which the client knows redundancy around `payload_type`.
    fn redundant_type(&self, payload_type: u8) -> Option<u8> {
        let params = self.rtc.codec_config().params().iter().find(|params| *params.pt() == payload_type)?;
        params.red().map(|red| *red)
    }

    fn payload_type(&self, mid: Mid, codec: Codec) -> Option<u8> {
        let accepted = self.rtc.media(mid)?.remote_pts();
        let format = format::of(codec)?;
        let candidates = self.rtc.codec_config().params().iter();
        let fits = |params: &&PayloadParams| params.spec().codec == format && accepted.contains(&params.pt());
        let best = candidates.filter(fits).max_by_key(|params| format::preference(params))?;
        Some(*best.pt())
    }
}

impl Sender for Peer {
    fn write(&mut self, now: Instant, outbox: &mut Outbox, outgoing: &Outgoing<'_>) -> Written {
        match &mut self.own {
            Some(own) => Sender::write(&mut **own, now, outbox, outgoing),
            None => self.rtc.write(now, outbox, outgoing),
        }
    }
}

impl Sender for Rtc {
    fn write(&mut self, _: Instant, _: &mut Outbox, outgoing: &Outgoing<'_>) -> Written {
        let Outgoing { stream, packet, rewrite, captured, .. } = *outgoing;
        let mut api = self.direct_api();
        let Some(sender) = api.stream_tx(&Ssrc::from(stream.ssrc)) else { return Written::Refused("no stream") };
        let sequence = rewrite.sequence.into();
        if rewrite.blank {
            let payload_type = stream.payload_type.into();
            sender.write_rtp(RtpWrite::new(payload_type, sequence, rewrite.timestamp, captured, [0_u8; 0]));
            return Written::Queued;
        }
        let (payload_type, payload) = match stream.redundant_type.filter(|_| packet.redundant) {
            Some(redundant) => (redundant, red::retype(&packet.payload, red::BLOCK_TYPE, stream.payload_type)),
            None => (stream.payload_type, packet.payload.clone()),
        };
        let dependency = rewrite.dependency.as_ref().or(packet.extensions.dependency.as_ref());
        let dependency = dependency.filter(|_| stream.described);
        let mut write = RtpWrite::new(payload_type.into(), sequence, rewrite.timestamp, captured, payload)
            .marker(rewrite.marker)
            .nackable(stream.resendable)
            .ext_vals(header::write(&packet.extensions, dependency));
        if let Some(patch) = rewrite.vp8.and_then(|numbers| vp8_patch(&packet.payload, &numbers)) {
            write = write.vp8_patch(patch);
        }
        sender.write_rtp(write);
        Written::Queued
    }
}

fn vp8_patch(payload: &[u8], numbers: &Vp8) -> Option<Vp8Patch> {
    let mut patch = Vp8Descriptor::parse(payload).ok()?.patch();
    if let Some((id, _)) = numbers.picture_id {
        patch = patch.picture_id(id);
    }
    if let Some(index) = numbers.tl0_index {
        patch = patch.tl0_pic_idx(index);
    }
    if let Some(index) = numbers.key_index {
        patch = patch.key_idx(index);
    }
    patch.build().ok()
}
