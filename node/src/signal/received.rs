//! What a client says of the reliable data of its session at another node: `origo_received` and `origo_streams`.

use origo_auth::ParticipantSid;
use origo_node_core::room::Received;

use super::asked::AskedError;
use crate::http::Parameters;

/// Number of the last reliable packet of each publisher: `PA_…:17,PA_…:4`.
const RECEIVED: &str = "origo_received";
/// Streams that have begun and not ended: `PA_…:<stream id>,…`.
const STREAMS: &str = "origo_streams";
/// Entries of either.
const ENTRIES_MAX: usize = 64;
/// Bytes of a stream's id: a UUID has 36.
const STREAM_ID_BYTES_MAX: usize = 64;

/// Reads both; none when the client does not say that it goes on with numbers and streams.
pub(super) fn read(parameters: &Parameters) -> Result<Option<Received>, AskedError> {
    let Some(received) = parameters.get(RECEIVED) else { return Ok(None) };
    let mut known = Received::default();
    for (publisher, number) in entries(received, "origo_received")? {
        let number = number.parse().map_err(|_| AskedError::Received("origo_received"))?;
        known.last.insert(publisher, number);
    }
    for (publisher, id) in entries(parameters.get(STREAMS).unwrap_or_default(), "origo_streams")? {
        if id.is_empty() || id.len() > STREAM_ID_BYTES_MAX {
            return Err(AskedError::Received("origo_streams"));
        }
        known.streams.push((publisher, id.to_owned()));
    }
    Ok(Some(known))
}

fn entries<'a>(list: &'a str, what: &'static str) -> Result<Vec<(ParticipantSid, &'a str)>, AskedError> {
    let entries: Vec<&str> = list.split(',').filter(|entry| !entry.is_empty()).take(ENTRIES_MAX + 1).collect();
    if entries.len() > ENTRIES_MAX {
        return Err(AskedError::TooLong(what));
    }
    let read = |entry: &'a str| {
        let (publisher, rest) = entry.split_once(':')?;
        Some((publisher.parse().ok()?, rest))
    };
    entries.into_iter().map(|entry| read(entry).ok_or(AskedError::Received(what))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(received: &str, streams: &str) -> Result<Option<Received>, AskedError> {
        let uri = format!("/rtc?origo_received={received}&origo_streams={streams}");
        read(&Parameters::of(&uri.parse().unwrap()))
    }

    #[test]
    fn numbers_and_streams_are_read_by_publisher() {
        let ann = "PA_23456789ABCD".parse().unwrap();
        let read = read_of("PA_23456789ABCD:17,PA_23456789ABCE:4", "PA_23456789ABCD:a-b").unwrap().unwrap();
        assert_eq!((read.last.len(), read.last.get(&ann)), (2, Some(&17)));
        assert_eq!(read.streams, [(ann, "a-b".to_owned())]);
        assert_eq!(read_of(",", ""), Ok(Some(Received::default())), "it has got nothing");
        assert_eq!(read_of("", ""), Ok(None));
    }

    #[test]
    fn what_is_no_such_list_is_refused_by_its_name() {
        for received in ["x", "PA_23456789ABCD", "PA_23456789ABCD:", "PA_23456789ABCD:-1", "PA_1:1", ":1"] {
            assert_eq!(read_of(received, ""), Err(AskedError::Received("origo_received")), "{received}");
        }
        let long = "x".repeat(65);
        for streams in ["x", "PA_23456789ABCD:", &format!("PA_23456789ABCD:{long}")] {
            assert_eq!(read_of(",", streams), Err(AskedError::Received("origo_streams")), "{streams}");
        }
        assert_eq!(read_of(&"PA_23456789ABCD:1,".repeat(65), ""), Err(AskedError::TooLong("origo_received")));
    }
}
