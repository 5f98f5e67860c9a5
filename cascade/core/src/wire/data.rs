//! Frames of the data connection: participants' packets, which nodes carry and do not read.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use origo_auth::{ParticipantSid, RoomKey};
use prost::Message as _;

use super::message::{Malformed, Room};
use super::record::{room_of, sid_of};
use super::varint;
use crate::cascade::RoomData;

/// First number of a stream of reliable packets.
pub const STREAM: u64 = 2;
/// First number of a stream with one lossy packet.
pub const ONE_OFF: u64 = 1;
/// Largest packet: LiveKit's data channels carry 64 KiB, and stamping adds a little.
pub const PACKET_BYTES_MAX: usize = 128 << 10;
/// Largest head: two names within their limits.
const HEAD_BYTES_MAX: usize = 2048;

/// Whose packets follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// The room.
    pub room: RoomKey,
    /// The sender.
    pub publisher: ParticipantSid,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeadBody {
    #[prost(message, optional, tag = "1")]
    room: Option<Room>,
    #[prost(string, tag = "2")]
    publisher: String,
}

impl Head {
    fn encode(&self, out: &mut BytesMut) {
        let body = HeadBody { room: Some((&self.room).into()), publisher: self.publisher.to_string() };
        varint::write(body.encoded_len() as u64, out);
        body.encode(out).expect("BytesMut grows");
    }

    /// Reads a whole head from the front of `bytes`; `None` while it is not whole.
    fn decode(bytes: &mut &[u8]) -> Result<Option<Self>, Malformed> {
        let mut rest = *bytes;
        let Some(length) = varint::read(&mut rest) else { return Ok(None) };
        if length > HEAD_BYTES_MAX as u64 {
            return Err(Malformed("data head"));
        }
        let Some((body, rest)) = rest.split_at_checked(length as usize) else { return Ok(None) };
        *bytes = rest;
        let body = HeadBody::decode(body).map_err(|_| Malformed("data head"))?;
        Ok(Some(Self { room: room_of(body.room)?, publisher: sid_of(&body.publisher)? }))
    }
}

/// The beginning of a stream of reliable packets.
pub fn encode_stream_head(head: &Head) -> Bytes {
    let mut out = BytesMut::new();
    varint::write(STREAM, &mut out);
    head.encode(&mut out);
    out.freeze()
}

/// The number and the length that go before a reliable packet.
pub fn encode_packet_head(number: u64, packet: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(16);
    varint::write(number, &mut out);
    varint::write(packet.len() as u64, &mut out);
    out.freeze()
}

/// A lossy packet as a datagram.
pub fn encode_datagram(head: &Head, packet: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(packet.len() + 64);
    head.encode(&mut out);
    out.put_slice(packet);
    out.freeze()
}

/// A lossy packet as a stream of its own.
pub fn encode_one_off(head: &Head, packet: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(packet.len() + 64);
    varint::write(ONE_OFF, &mut out);
    head.encode(&mut out);
    out.put_slice(packet);
    out.freeze()
}

/// Reads a lossy packet from a datagram.
pub fn decode_datagram(datagram: &Bytes) -> Result<RoomData, Malformed> {
    let mut rest = &datagram[..];
    let head = Head::decode(&mut rest)?.ok_or(Malformed("data head"))?;
    let packet = datagram.slice(datagram.len() - rest.len()..);
    Ok(RoomData { room: head.room, publisher: head.publisher, reliable: false, number: 0, packet })
}

/// Cuts one stream of the data connection into packets, however it arrives.
#[derive(Debug, Default)]
pub struct DataReader {
    buffer: BytesMut,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    Packets(Head),
    OneOff(Head),
}

impl DataReader {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet.
    pub fn next_packet(&mut self) -> Result<Option<RoomData>, Malformed> {
        if matches!(self.state, State::Start) && !self.read_start()? {
            return Ok(None);
        }
        match &self.state {
            State::Packets(head) => {
                let head = head.clone();
                Ok(self.read_packet()?.map(|(number, packet)| RoomData { number, ..data_of(head, true, packet) }))
            }
            _ if self.buffer.len() > PACKET_BYTES_MAX => Err(Malformed("data packet length")),
            _ => Ok(None),
        }
    }

    /// The stream has ended: the packet of a one-off.
    pub fn finish(mut self) -> Result<Option<RoomData>, Malformed> {
        match self.state {
            State::OneOff(head) => Ok(Some(data_of(head, false, self.buffer.split().freeze()))),
            _ if self.buffer.is_empty() => Ok(None),
            _ => Err(Malformed("data stream end")),
        }
    }

    fn read_start(&mut self) -> Result<bool, Malformed> {
        let mut rest = &self.buffer[..];
        let Some(kind) = varint::read(&mut rest) else { return Ok(false) };
        let Some(head) = Head::decode(&mut rest)? else { return Ok(false) };
        self.state = match kind {
            STREAM => State::Packets(head),
            ONE_OFF => State::OneOff(head),
            _ => return Err(Malformed("data stream kind")),
        };
        let taken = self.buffer.len() - rest.len();
        self.buffer.advance(taken);
        Ok(true)
    }

    fn read_packet(&mut self) -> Result<Option<(u64, Bytes)>, Malformed> {
        let mut rest = &self.buffer[..];
        let Some(number) = varint::read(&mut rest) else { return Ok(None) };
        if number == 0 {
            return Err(Malformed("data packet number"));
        }
        let Some(length) = varint::read(&mut rest) else { return Ok(None) };
        if length > PACKET_BYTES_MAX as u64 {
            return Err(Malformed("data packet length"));
        }
        if (rest.len() as u64) < length {
            return Ok(None);
        }
        let taken = self.buffer.len() - rest.len();
        self.buffer.advance(taken);
        Ok(Some((number, self.buffer.split_to(length as usize).freeze())))
    }
}

fn data_of(head: Head, reliable: bool, packet: Bytes) -> RoomData {
    RoomData { room: head.room, publisher: head.publisher, reliable, number: 0, packet }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::golden::golden;
    use super::*;

    fn head() -> Head {
        Head { room: RoomKey::new("default", "standup"), publisher: "PA_23456789ABCD".parse().unwrap() }
    }

    #[test]
    fn the_data_frames_of_the_document_are_written_and_read() {
        let packet = [0xbe, 0xef];
        let stream = [encode_stream_head(&head()), encode_packet_head(300, &packet)].concat();
        assert_eq!([&stream[..], &packet].concat(), golden("data_stream"));
        assert_eq!(encode_datagram(&head(), &packet), golden("data_datagram"));
        let read = decode_datagram(&golden("data_datagram").into()).unwrap();
        assert_eq!((read.room, read.publisher, &read.packet[..]), (head().room, head().publisher, &packet[..]));
    }

    #[test]
    fn a_reliable_stream_gives_its_packets_however_it_is_cut() {
        for cut in 1..40 {
            let mut bytes = golden("data_stream");
            bytes.extend_from_slice(&[0x41, 0x2d, 1, 7]);
            let (mut reader, mut packets) = (DataReader::default(), Vec::new());
            for piece in bytes.chunks(cut) {
                reader.push(piece);
                while let Some(data) = reader.next_packet().unwrap() {
                    assert!(data.reliable);
                    packets.push((data.number, data.packet.to_vec()));
                }
            }
            assert_eq!(packets, [(300, vec![0xbe, 0xef]), (301, vec![7])]);
            assert_eq!(reader.finish(), Ok(None));
        }
    }

    #[test]
    fn a_lossy_packet_in_a_stream_ends_with_the_stream() {
        let mut reader = DataReader::default();
        reader.push(&encode_one_off(&head(), &[1, 2, 3]));
        assert_eq!(reader.next_packet(), Ok(None));
        assert_eq!(&reader.finish().unwrap().unwrap().packet[..], [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_datagram(&bytes.clone().into());
            let mut reader = DataReader::default();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next_packet() {}
            let _ = reader.finish();
        }
    }
}
