//! Frames of the control stream: type, length, body.

use bytes::{Buf, Bytes, BytesMut};

use super::varint;

/// Largest body taken. A snapshot of 10,000 participants fits.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// One control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Type number; see [`super::Kind`].
    pub kind: u64,
    /// Protobuf.
    pub body: Bytes,
}

/// A stream that no longer makes sense: the connection must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a control frame of {length} bytes; {BODY_BYTES_MAX} are allowed")]
pub struct FrameError {
    /// The length that was announced.
    pub length: u64,
}

/// Cuts a stream into frames, however it arrives.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut rest = &self.buffer[..];
        let (Some(kind), Some(length)) = (varint::read(&mut rest), varint::read(&mut rest)) else {
            return Ok(None);
        };
        if length > BODY_BYTES_MAX as u64 {
            return Err(FrameError { length });
        }
        let length = length as usize;
        if rest.len() < length {
            return Ok(None);
        }
        let head = self.buffer.len() - rest.len();
        self.buffer.advance(head);
        Ok(Some(Frame { kind, body: self.buffer.split_to(length).freeze() }))
    }

    /// Whether the stream may end here: no frame has begun.
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// A frame as it goes on the wire. The body must have at most [`BODY_BYTES_MAX`] bytes.
pub fn encode_frame(kind: u64, body: &[u8]) -> Bytes {
    debug_assert!(body.len() <= BODY_BYTES_MAX, "the peer would close the connection");
    let mut out = BytesMut::with_capacity(16 + body.len());
    varint::write(kind, &mut out);
    varint::write(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_that_announces_too_much_is_an_error_before_it_is_stored() {
        let mut reader = FrameReader::default();
        let mut bytes = Vec::new();
        varint::write(1, &mut bytes);
        varint::write(BODY_BYTES_MAX as u64 + 1, &mut bytes);
        reader.push(&bytes);
        assert_eq!(reader.next_frame(), Err(FrameError { length: BODY_BYTES_MAX as u64 + 1 }));
    }

    proptest! {
        #[test]
        fn frames_read_back_however_the_stream_is_cut(
            frames in prop::collection::vec((0..=varint::MAX, prop::collection::vec(any::<u8>(), 0..300)), 0..8),
            cut in 1..64_usize,
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(kind, body)| encode_frame(*kind, body)).collect();
            let (mut reader, mut seen) = (FrameReader::default(), Vec::new());
            for piece in stream.chunks(cut) {
                reader.push(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    seen.push((frame.kind, frame.body.to_vec()));
                }
            }
            prop_assert!(reader.is_between_frames());
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = FrameReader::default();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }
}
