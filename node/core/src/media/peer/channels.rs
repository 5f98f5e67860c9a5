//! LiveKit's two data channels on one connection, with a bounded queue before what SCTP buffers.

use std::collections::VecDeque;

use bytes::Bytes;
use str0m::Rtc;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};

use crate::media::Channel;

/// Bytes of messages that may wait for a client, per channel: reliably what a file transfer is ahead of a slow path,
/// while lossy data that waits longer is late anyway.
const QUEUE_BYTES_MAX: [usize; 2] = [8 << 20, 128 << 10];
/// The same when memory is short.
const QUEUE_BYTES_SHORT: usize = 128 << 10;
/// SCTP asks for more when it holds less than this.
const LOW_WATER_BYTES: usize = 64 * 1024;

/// Labels, in the order of [`Channel`].
const LABELS: [&str; 2] = ["_reliable", "_lossy"];

/// What became of a message to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Fate {
    /// It is sent or waits.
    Taken,
    /// It is lost, as lossy messages may be, or as all are after an overrun.
    Dropped,
    /// It is the first reliable message to be lost; from here on none is sent, for it would come after a gap.
    Overrun,
}

/// Open channels and what waits for them.
#[derive(Debug, Default)]
pub(super) struct Channels {
    ids: [Option<ChannelId>; 2],
    queues: [VecDeque<Bytes>; 2],
    queued_bytes: [usize; 2],
    overrun: bool,
}

/// How to open a channel of ours.
pub(super) fn config(channel: Channel) -> ChannelConfig {
    let reliable = channel == Channel::Reliable;
    ChannelConfig {
        label: LABELS[channel as usize].to_owned(),
        ordered: reliable,
        reliability: if reliable { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } },
        ..ChannelConfig::default()
    }
}

impl Channels {
    /// A channel opened; false when its label is none of LiveKit's two.
    pub fn opened(&mut self, rtc: &mut Rtc, id: ChannelId, label: &str) -> bool {
        let Some(index) = LABELS.iter().position(|known| *known == label) else { return false };
        self.ids[index] = Some(id);
        if let Some(mut channel) = rtc.channel(id) {
            channel.set_buffered_amount_low_threshold(LOW_WATER_BYTES);
        }
        true
    }

    /// A channel closed; what waits goes out when the client opens it again.
    pub fn closed(&mut self, id: ChannelId) {
        for open in &mut self.ids {
            if *open == Some(id) {
                *open = None;
            }
        }
    }

    /// Whether both are open.
    pub fn all_open(&self) -> bool {
        self.ids.iter().all(Option::is_some)
    }

    /// Which channel this is.
    pub fn channel(&self, id: ChannelId) -> Option<Channel> {
        let index = self.ids.iter().position(|open| *open == Some(id))?;
        Some([Channel::Reliable, Channel::Lossy][index])
    }

    /// Puts a message at the end of its queue.
    pub fn push(&mut self, channel: Channel, message: Bytes, is_short: bool) -> Fate {
        let index = channel as usize;
        let most = if is_short { QUEUE_BYTES_SHORT } else { QUEUE_BYTES_MAX[index] };
        let is_full = self.queued_bytes[index] + message.len() > most;
        if channel == Channel::Reliable && (is_full || self.overrun) {
            self.queues[index].clear();
            self.queued_bytes[index] = 0;
            return if std::mem::replace(&mut self.overrun, true) { Fate::Dropped } else { Fate::Overrun };
        }
        if is_full {
            return Fate::Dropped;
        }
        self.queued_bytes[index] += message.len();
        self.queues[index].push_back(message);
        Fate::Taken
    }

    /// Bytes in the queues.
    pub fn waiting(&self) -> usize {
        self.queued_bytes.iter().sum()
    }

    /// Hands SCTP as much as it takes. Gives how many messages it refused for good.
    pub fn flush(&mut self, rtc: &mut Rtc) -> u64 {
        let mut refused = 0;
        for (index, label) in LABELS.into_iter().enumerate() {
            let Some(mut channel) = self.ids[index].and_then(|id| rtc.channel(id)) else { continue };
            while let Some(message) = self.queues[index].front() {
                match channel.write(true, message) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::debug!(%error, label, "data message refused");
                        refused += 1;
                    }
                }
                self.queued_bytes[index] -= message.len();
                self.queues[index].pop_front();
            }
        }
        refused
    }
}
