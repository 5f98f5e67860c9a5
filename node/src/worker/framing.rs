//! Datagrams in a byte stream, each behind its length in two bytes (RFC 4571), as ICE over TCP carries them (RFC 6544).

/// The largest frame that is taken, bytes: WebRTC sends no datagram that an Ethernet frame does not hold.
pub const FRAME_BYTES_MAX: usize = 2_000;
/// A frame's length field.
const HEAD: usize = 2;

/// A stream that says a frame longer than [`FRAME_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub struct Oversized(pub usize);

/// The length that a frame's first two bytes say, if it is taken.
pub fn length(high: u8, low: u8) -> Result<usize, Oversized> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > FRAME_BYTES_MAX { Err(Oversized(length)) } else { Ok(length) }
}

/// Cuts a stream into its datagrams. Holds one unfinished frame at most.
#[derive(Debug, Default)]
pub(super) struct Deframer {
    rest: Vec<u8>,
}

impl Deframer {
    /// Takes the stream's next bytes and gives each whole datagram to `each`. Empty frames say nothing.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), Oversized> {
        while !bytes.is_empty() {
            if !self.rest.is_empty() {
                bytes = self.complete(bytes, &mut each)?;
                continue;
            }
            if let [high, low, after @ ..] = bytes
                && let Some((datagram, next)) = after.split_at_checked(length(*high, *low)?)
            {
                if !datagram.is_empty() {
                    each(datagram);
                }
                bytes = next;
                continue;
            }
            self.rest.extend_from_slice(bytes);
            return Ok(());
        }
        Ok(())
    }

    /// Adds to the unfinished frame what it lacks, gives it when it is whole, and gives back what follows.
    fn complete<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(&[u8])) -> Result<&'a [u8], Oversized> {
        let whole = match self.rest[..] {
            [high, low, ..] => HEAD + length(high, low)?,
            _ => HEAD,
        };
        let (missing, next) = bytes.split_at((whole - self.rest.len()).min(bytes.len()));
        self.rest.extend_from_slice(missing);
        if let [high, low, datagram @ ..] = &self.rest[..]
            && datagram.len() == length(*high, *low)?
        {
            if !datagram.is_empty() {
                each(datagram);
            }
            self.rest.clear();
        }
        Ok(next)
    }
}

/// What waits to be written to a stream: whole frames, within a bound.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    bytes: Vec<u8>,
    written: usize,
}

/// Bytes that wait for a client that reads too slowly: half a second of a good picture. More would only be late.
const WAITING_BYTES_MAX: usize = 128 * 1024;

impl Outflow {
    /// Adds a datagram as a frame; false when it is dropped.
    pub fn push(&mut self, datagram: &[u8]) -> bool {
        let Ok(length) = u16::try_from(datagram.len()) else { return false };
        if self.waiting().len() + HEAD + datagram.len() > WAITING_BYTES_MAX {
            return false;
        }
        if self.written > WAITING_BYTES_MAX {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(datagram);
        true
    }

    /// What is to be written.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So much of it has been written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let mut outflow = Outflow::default();
        assert!(datagrams.iter().all(|datagram| outflow.push(datagram)));
        outflow.waiting().to_vec()
    }

    #[test]
    fn a_client_that_does_not_read_loses_new_frames_and_never_half_of_one() {
        let mut outflow = Outflow::default();
        let mut taken = 0;
        while outflow.push(&[7; 1_000]) {
            taken += 1;
        }
        assert_eq!(outflow.waiting().len(), taken * 1_002);
        assert!(outflow.waiting().len() <= WAITING_BYTES_MAX);
        outflow.wrote(500);
        outflow.wrote(502);
        assert!(outflow.push(&[8; 1_000]));
        let mut received = Vec::new();
        Deframer::default().take(outflow.waiting(), |datagram| received.push(datagram.to_vec())).unwrap();
        assert_eq!((received.len(), received.last()), (taken, Some(&vec![8; 1_000])));
    }

    #[test]
    fn a_frame_beyond_the_bound_is_refused_before_its_bytes_are_kept() {
        let mut deframer = Deframer::default();
        assert_eq!(deframer.take(&[0xff, 0xff, 1, 2, 3], |_| {}), Err(Oversized(65_535)));
        assert_eq!(Deframer::default().take(&[0x08], |_| {}), Ok(()));
        deframer = Deframer { rest: vec![0xff] };
        assert_eq!(deframer.take(&[0xff], |_| {}), Err(Oversized(65_535)));
        assert!(deframer.rest.len() <= HEAD);
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out_however_the_stream_is_cut(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..20),
            pieces in proptest::collection::vec(1usize..700, 1..40),
        ) {
            let stream = framed(&datagrams);
            let (mut deframer, mut received, mut rest) = (Deframer::default(), Vec::new(), &stream[..]);
            for piece in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                deframer.take(now, |datagram| received.push(datagram.to_vec())).unwrap();
                rest = later;
            }
            prop_assert_eq!(received, datagrams);
            prop_assert!(deframer.rest.is_empty());
        }

        #[test]
        fn no_stream_makes_it_panic_or_keep_more_than_a_frame(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..50),
        ) {
            let mut deframer = Deframer::default();
            for piece in pieces {
                if deframer.take(&piece, |datagram| assert!(datagram.len() <= FRAME_BYTES_MAX)).is_err() {
                    break;
                }
                prop_assert!(deframer.rest.len() <= HEAD + FRAME_BYTES_MAX);
            }
        }
    }
}
