//! Text and byte streams that are under way: whoever came after the beginning of one gets nothing of it.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use origo_auth::ParticipantSid;
use proto::data_packet::Value;

/// Streams of one publisher that are followed at a time; the one that has been quiet longest is forgotten for a new
/// one, and nobody gets the rest of it.
const OPEN_MAX: usize = 256;
/// Publishers up to which streams are taken up on the word of whoever comes from another node: they may not be here yet.
const TAKEN_UP_MAX: usize = 256;
/// Bytes of a stream's id: a UUID has 36.
const ID_BYTES_MAX: usize = 256;

/// Who may have a packet, besides whom it is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everybody.
    All,
    /// Those who were here at that moment.
    Since(Moment),
    /// Nobody: the beginning was not seen here.
    Nobody,
}

impl Reach {
    /// Whether a client that arrived at that moment is among them.
    pub fn holds(self, arrived: Moment) -> bool {
        match self {
            Reach::All => true,
            Reach::Since(begun) => arrived < begun,
            Reach::Nobody => false,
        }
    }
}

/// A point in the order of arrivals and beginnings in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    /// When people were in the room before this node had it, at another one.
    pub const ELSEWHERE: Moment = Moment(0);
    /// When everything was sent and begun of which this node was told later, for their sake.
    pub const EARLIER: Moment = Moment(1);
}

#[derive(Debug)]
struct Open {
    begun: Moment,
    used: Moment,
}

/// The streams of one room.
#[derive(Debug)]
pub(super) struct Streams {
    now: Moment,
    open: BTreeMap<ParticipantSid, BTreeMap<String, Open>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { now: Moment::EARLIER, open: BTreeMap::new() }
    }
}

impl Streams {
    /// The next moment.
    pub fn pass(&mut self) -> Moment {
        self.now.0 += 1;
        self.now
    }

    /// Follows a packet of a publisher and says who may have it. What is encrypted cannot be read, and clients leave
    /// out the middle of a stream themselves.
    pub fn follow(&mut self, publisher: ParticipantSid, packet: &proto::DataPacket) -> Reach {
        match &packet.value {
            Some(Value::StreamHeader(header)) if header.stream_id.len() <= ID_BYTES_MAX => {
                let now = self.pass();
                self.begin(publisher, &header.stream_id, now);
                Reach::All
            }
            Some(Value::StreamHeader(_)) => Reach::Nobody,
            Some(Value::StreamChunk(chunk)) => {
                let now = self.pass();
                let open = self.open.get_mut(&publisher).and_then(|open| open.get_mut(&chunk.stream_id));
                open.map_or(Reach::Nobody, |open| {
                    open.used = now;
                    Reach::Since(open.begun)
                })
            }
            Some(Value::StreamTrailer(trailer)) => {
                let open = self.open.get_mut(&publisher).and_then(|open| open.remove(&trailer.stream_id));
                open.map_or(Reach::Nobody, |open| Reach::Since(open.begun))
            }
            _ => Reach::All,
        }
    }

    /// Follows a packet that was sent before this node had the room: it is for those who were in the room then.
    pub fn follow_earlier(&mut self, publisher: ParticipantSid, packet: &proto::DataPacket) -> Reach {
        if let Some(Value::StreamHeader(header)) = &packet.value {
            self.take_up(publisher, &header.stream_id);
            return Reach::Since(Moment::EARLIER);
        }
        match self.follow(publisher, packet) {
            Reach::All => Reach::Since(Moment::EARLIER),
            reach => reach,
        }
    }

    /// A stream of which somebody who comes from another node has had the beginning there. One that is known here stays as
    /// it is, and none is forgotten for it.
    pub fn take_up(&mut self, publisher: ParticipantSid, id: &str) {
        let may_be_new = match self.open.get(&publisher) {
            Some(open) => open.len() < OPEN_MAX && !open.contains_key(id),
            None => self.open.len() < TAKEN_UP_MAX,
        };
        if may_be_new && id.len() <= ID_BYTES_MAX {
            self.begin(publisher, id, Moment::EARLIER);
        }
    }

    /// A publisher is gone, and with it what it had begun.
    pub fn end(&mut self, publisher: ParticipantSid) {
        self.open.remove(&publisher);
    }

    fn begin(&mut self, publisher: ParticipantSid, id: &str, now: Moment) {
        let open = self.open.entry(publisher).or_default();
        if open.len() >= OPEN_MAX
            && !open.contains_key(id)
            && let Some(quietest) = open.iter().min_by_key(|(_, open)| open.used).map(|(id, _)| id.clone())
        {
            open.remove(&quietest);
        }
        open.insert(id.to_owned(), Open { begun: now, used: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(value: Value) -> proto::DataPacket {
        proto::DataPacket { value: Some(value), ..Default::default() }
    }

    fn header(id: &str) -> proto::DataPacket {
        packet(Value::StreamHeader(proto::data_stream::Header { stream_id: id.into(), ..Default::default() }))
    }

    fn chunk(id: &str) -> proto::DataPacket {
        packet(Value::StreamChunk(proto::data_stream::Chunk { stream_id: id.into(), ..Default::default() }))
    }

    fn trailer(id: &str) -> proto::DataPacket {
        packet(Value::StreamTrailer(proto::data_stream::Trailer { stream_id: id.into(), ..Default::default() }))
    }

    #[test]
    fn only_who_was_there_at_the_beginning_gets_the_rest_and_the_end() {
        let publisher = "PA_23456789ABCD".parse().unwrap();
        let mut streams = Streams::default();
        let early = streams.pass();
        assert_eq!(streams.follow(publisher, &header("a")), Reach::All);
        let late = streams.pass();
        for packet in [chunk("a"), chunk("a"), trailer("a")] {
            let reach = streams.follow(publisher, &packet);
            assert_eq!((reach.holds(early), reach.holds(late)), (true, false), "{packet:?}");
        }
        assert_eq!(streams.follow(publisher, &chunk("a")), Reach::Nobody, "it has ended");
        assert_eq!(streams.follow(publisher, &chunk("b")), Reach::Nobody, "it never began");
    }

    #[test]
    fn one_publisher_does_not_speak_in_the_streams_of_another() {
        let [one, other] = ["PA_23456789ABCD", "PA_23456789ABCE"].map(|sid| sid.parse().unwrap());
        let mut streams = Streams::default();
        streams.follow(one, &header("a"));
        assert_eq!(streams.follow(other, &chunk("a")), Reach::Nobody);
    }

    #[test]
    fn streams_that_others_name_are_bounded() {
        let mut streams = Streams::default();
        let digits = "23456789ABCDEFGH";
        let sids = digits.chars().flat_map(|one| digits.chars().map(move |other| format!("PA_23456789AB{one}{other}")));
        let sids: Vec<ParticipantSid> = sids.map(|sid| sid.parse().unwrap()).collect();
        assert_eq!(sids.len(), TAKEN_UP_MAX);
        sids.iter().for_each(|sid| streams.take_up(*sid, "a"));
        let one_more = "PA_abcdefghijkm".parse().unwrap();
        streams.take_up(one_more, "a");
        assert_eq!(streams.follow(one_more, &chunk("a")), Reach::Nobody);
        assert_eq!(streams.follow(sids[0], &chunk("a")), Reach::Since(Moment::EARLIER));
        streams.follow(one_more, &header("a"));
        assert_ne!(streams.follow(one_more, &chunk("a")), Reach::Nobody, "what begins here is followed");
    }

    #[test]
    fn streams_that_never_end_are_bounded_and_the_quietest_goes_first() {
        let publisher = "PA_23456789ABCD".parse().unwrap();
        let mut streams = Streams::default();
        for number in 0..OPEN_MAX {
            streams.follow(publisher, &header(&number.to_string()));
        }
        streams.follow(publisher, &chunk("0"));
        streams.follow(publisher, &header("one more"));
        assert_eq!(streams.follow(publisher, &chunk("1")), Reach::Nobody);
        assert_ne!(streams.follow(publisher, &chunk("0")), Reach::Nobody);
        assert_eq!(streams.follow(publisher, &header(&"x".repeat(300))), Reach::Nobody);
    }
}
