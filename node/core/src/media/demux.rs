//! Which connection a datagram belongs to, in constant time: STUN by the ufrag that it names, all else by its source.
//!
//! A source counts for a connection only after str0m has answered an authenticated check from it, so nobody can take
//! over a connection by sending to it.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::FixedState;

use super::Transport;

/// A client's end: TCP and UDP ports are different things.
pub(crate) type Source = (Transport, SocketAddr);

/// A map that is never iterated. Its hash is a quick one, of which clients do not know the seed: who chooses its ports
/// finds none that fall together.
type Table<K> = HashMap<K, usize, FixedState>;

/// STUN's fixed header (RFC 8489 5).
const STUN_HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;

/// Why a datagram has no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// A STUN request for a ufrag that is none of ours (any more).
    UnknownUfrag,
    /// No check has been answered for its source.
    UnknownSource,
    /// Neither STUN nor DTLS nor RTP (RFC 7983).
    Garbage,
}

impl Stray {
    /// As counters call it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownUfrag => "unknown ufrag",
            Self::UnknownSource => "unknown source",
            Self::Garbage => "garbage",
        }
    }
}

/// The tables.
#[derive(Debug)]
pub(crate) struct Demux {
    by_ufrag: Table<String>,
    by_source: Table<Source>,
    /// What to forget with each connection.
    known: HashMap<usize, Known, FixedState>,
}

#[derive(Debug, Default)]
struct Known {
    ufrags: Vec<String>,
    sources: Vec<Source>,
}

/// Ufrags and sources remembered per connection; the oldest goes first. A client has a handful of candidates, and an
/// ICE restart at a time.
const KNOWN_MAX: usize = 16;

impl Demux {
    /// Nobody is known. `seed` is drawn by chance.
    pub fn new(seed: u64) -> Self {
        let hash = FixedState::with_seed(seed);
        Self {
            by_ufrag: Table::with_hasher(hash.clone()),
            by_source: Table::with_hasher(hash.clone()),
            known: HashMap::with_hasher(hash),
        }
    }

    /// Connection `index` answers to this ufrag, besides those before (checks of the old one may still be on their
    /// way during an ICE restart).
    pub fn add_ufrag(&mut self, ufrag: &str, index: usize) {
        if self.by_ufrag.insert(ufrag.to_owned(), index).is_some() {
            return;
        }
        let known = self.known.entry(index).or_default();
        known.ufrags.push(ufrag.to_owned());
        if known.ufrags.len() > KNOWN_MAX {
            self.by_ufrag.remove(&known.ufrags.remove(0));
        }
    }

    /// An authenticated check came to connection `index` from there.
    pub fn add_source(&mut self, source: Source, index: usize) {
        if self.by_source.get(&source) == Some(&index) {
            return;
        }
        if let Some(old) = self.by_source.insert(source, index)
            && let Some(known) = self.known.get_mut(&old)
        {
            known.sources.retain(|&known| known != source);
        }
        let known = self.known.entry(index).or_default();
        known.sources.push(source);
        if known.sources.len() > KNOWN_MAX {
            self.by_source.remove(&known.sources.remove(0));
        }
    }

    /// Connection `index` is gone.
    pub fn remove(&mut self, index: usize) {
        let Some(known) = self.known.remove(&index) else { return };
        for ufrag in known.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for source in known.sources {
            self.by_source.remove(&source);
        }
    }

    /// Ufrags and sources in the tables.
    pub fn len(&self) -> usize {
        self.by_ufrag.len() + self.by_source.len()
    }

    /// Whether a connection answers to this ufrag.
    pub fn knows(&self, ufrag: &str) -> bool {
        self.by_ufrag.contains_key(ufrag)
    }

    /// Whose datagram this is.
    pub fn find(&self, source: Source, datagram: &[u8]) -> Result<usize, Stray> {
        match datagram {
            [0..=3, ..] => match local_ufrag(datagram)? {
                Some(ufrag) => self.by_ufrag.get(ufrag).copied().ok_or(Stray::UnknownUfrag),
                None => self.by_source.get(&source).copied().ok_or(Stray::UnknownSource),
            },
            [20..=63 | 128..=191, _, _, ..] => self.by_source.get(&source).copied().ok_or(Stray::UnknownSource),
            _ => Err(Stray::Garbage),
        }
    }
}

/// Our ufrag in a STUN request; none when it is no such request.
pub fn ufrag_of(datagram: &[u8]) -> Option<&str> {
    match datagram {
        [0..=3, ..] => local_ufrag(datagram).ok().flatten(),
        _ => None,
    }
}

/// The receiver's part of a STUN request's USERNAME (`ours:theirs`); none in a response.
fn local_ufrag(datagram: &[u8]) -> Result<Option<&str>, Stray> {
    if datagram.len() < STUN_HEADER || datagram[4..8] != MAGIC_COOKIE {
        return Err(Stray::Garbage);
    }
    let is_response = datagram[0] & 0x01 != 0;
    if is_response {
        return Ok(None);
    }
    let mut attributes = &datagram[STUN_HEADER..];
    while let [kind_high, kind_low, high, low, rest @ ..] = attributes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(Stray::Garbage)?;
        if u16::from_be_bytes([*kind_high, *kind_low]) == USERNAME {
            let name = std::str::from_utf8(value).map_err(|_| Stray::Garbage)?;
            return name.split_once(':').map(|(ours, _)| Some(ours)).ok_or(Stray::Garbage);
        }
        attributes = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Err(Stray::Garbage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(username: &str) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0];
        datagram.extend(MAGIC_COOKIE);
        datagram.extend([7; 12]);
        // Something before it, of a length that needs padding.
        datagram.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]);
        datagram.extend(USERNAME.to_be_bytes());
        datagram.extend((username.len() as u16).to_be_bytes());
        datagram.extend(username.as_bytes());
        datagram
    }

    fn source(port: u16) -> Source {
        (Transport::Udp, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn stun_goes_by_its_ufrag_and_all_else_by_its_source() {
        let mut demux = Demux::new(7);
        demux.add_ufrag("ours", 4);
        assert_eq!(demux.find(source(1), &request("ours:theirs")), Ok(4));
        assert_eq!(demux.find(source(1), &request("other:theirs")), Err(Stray::UnknownUfrag));
        assert_eq!(demux.find(source(1), &[0x80, 96, 0]), Err(Stray::UnknownSource));
        demux.add_source(source(1), 4);
        assert_eq!(demux.find(source(1), &[0x80, 96, 0]), Ok(4));
        assert_eq!(demux.find(source(1), &[22, 254, 253]), Ok(4));
        demux.remove(4);
        assert_eq!(demux.find(source(1), &[22, 254, 253]), Err(Stray::UnknownSource));
        assert_eq!(demux.find(source(1), &request("ours:theirs")), Err(Stray::UnknownUfrag));
    }

    #[test]
    fn the_same_port_of_tcp_is_another_source() {
        let mut demux = Demux::new(7);
        demux.add_source(source(1), 4);
        assert_eq!(demux.find((Transport::Tcp, source(1).1), &[0x80, 96, 0]), Err(Stray::UnknownSource));
    }

    #[test]
    fn a_check_says_for_whom_it_is() {
        assert_eq!(ufrag_of(&request("ours:theirs")), Some("ours"));
        assert_eq!(ufrag_of(b"GET / HTTP/1.1"), None);
        assert_eq!(ufrag_of(&[]), None);
    }

    #[test]
    fn a_source_that_moves_to_another_connection_survives_the_end_of_the_first() {
        let mut demux = Demux::new(7);
        demux.add_source(source(1), 1);
        demux.add_source(source(1), 2);
        demux.remove(1);
        assert_eq!(demux.find(source(1), &[22, 254, 253]), Ok(2));
    }

    #[test]
    fn what_a_connection_makes_us_remember_is_bounded() {
        let mut demux = Demux::new(7);
        for port in 0..1_000 {
            demux.add_source(source(port), 1);
            demux.add_ufrag(&port.to_string(), 1);
        }
        assert_eq!((demux.by_source.len(), demux.by_ufrag.len()), (KNOWN_MAX, KNOWN_MAX));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut demux = Demux::new(7);
            demux.add_ufrag("ours", 4);
            let _ = demux.find(source(1), &datagram);
            let _ = ufrag_of(&datagram);
        }

        #[test]
        fn no_cut_or_flipped_check_makes_it_panic(cut in 0usize..60, at in 0usize..40, flip in any::<u8>()) {
            let mut datagram = request("ours:theirs");
            let length = datagram.len();
            datagram[at % length] ^= flip;
            datagram.truncate(cut.min(length));
            let _ = Demux::new(7).find(source(1), &datagram);
        }
    }
}
