//! What everybody saw, as lines of text: one a packet, with tabs between the values.

use std::io::{self, Write};

use crate::Arrival;

/// What everybody saw.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// In the order of the script.
    pub people: Vec<PersonRecord>,
}

/// What one person saw.
#[derive(Clone, Debug, Default)]
pub struct PersonRecord {
    /// Who.
    pub identity: String,
    /// When it came in, unix microseconds, and how long that took, microseconds.
    pub joined: Vec<(u64, u64)>,
    /// When it was refused, and why.
    pub refused: Vec<(u64, String)>,
    /// When a session ended by itself, and why.
    pub ended: Vec<(u64, String)>,
    /// When it went on at another node.
    pub moved: Vec<u64>,
    /// When others were seen to come, and who.
    pub came: Vec<(u64, String)>,
    /// When others were seen to leave, and who.
    pub left: Vec<(u64, String)>,
    /// Whom it saw in the room when the script was over; `None` when it was not there then.
    pub shown: Option<Vec<String>>,
    /// When it was asked for a keyframe.
    pub asked: Vec<u64>,
    /// When what is in its packets of sound was captured, unix microseconds, session by session.
    pub made: Vec<Vec<u64>>,
    /// What came, session by session.
    pub tracks: Vec<TrackRecord>,
}

/// What came of one track.
#[derive(Clone, Debug, Default)]
pub struct TrackRecord {
    /// Whose it is.
    pub publisher: String,
    /// A picture.
    pub video: bool,
    /// Its packets as they came.
    pub arrivals: Vec<Arrival>,
}

/// Bits of a packet's last value.
const KEYFRAME: u8 = 1;
const REPAIR: u8 = 2;

impl Record {
    /// Writes it. Each line begins with what it is:
    ///
    /// ```text
    /// person   identity
    /// joined   unix_us  took_us
    /// refused  unix_us  why
    /// ended    unix_us  why
    /// moved    unix_us                                      on to another node
    /// came     unix_us  identity                            of somebody else
    /// left     unix_us  identity                            of somebody else
    /// shown    identity  identity  …                        in the room when all was over
    /// asked    unix_us                                      for a keyframe
    /// made     unix_us  unix_us  …                          captures of the sound of one session, packet by packet
    /// track    publisher  video|audio
    /// p        layer  counter  sent_unix_us  came_unix_us  flags   (1 begins a keyframe, 2 was sent again)
    /// ```
    ///
    /// Lines are of the person, and packets of the track, that the last such line names.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for person in &self.people {
            writeln!(out, "person\t{}", line(&person.identity))?;
            person.joined.iter().try_for_each(|(at, took)| writeln!(out, "joined\t{at}\t{took}"))?;
            person.refused.iter().try_for_each(|(at, why)| writeln!(out, "refused\t{at}\t{}", line(why)))?;
            person.ended.iter().try_for_each(|(at, why)| writeln!(out, "ended\t{at}\t{}", line(why)))?;
            person.moved.iter().try_for_each(|at| writeln!(out, "moved\t{at}"))?;
            person.came.iter().try_for_each(|(at, who)| writeln!(out, "came\t{at}\t{}", line(who)))?;
            person.left.iter().try_for_each(|(at, who)| writeln!(out, "left\t{at}\t{}", line(who)))?;
            if let Some(shown) = &person.shown {
                write!(out, "shown")?;
                shown.iter().try_for_each(|who| write!(out, "\t{}", line(who)))?;
                writeln!(out)?;
            }
            person.asked.iter().try_for_each(|at| writeln!(out, "asked\t{at}"))?;
            for made in person.made.iter().filter(|made| !made.is_empty()) {
                write!(out, "made")?;
                made.iter().try_for_each(|at| write!(out, "\t{at}"))?;
                writeln!(out)?;
            }
            for track in &person.tracks {
                let kind = if track.video { "video" } else { "audio" };
                writeln!(out, "track\t{}\t{kind}", line(&track.publisher))?;
                for Arrival { layer, counter, sent_us, came_us, keyframe, repair } in &track.arrivals {
                    let flags = if *keyframe { KEYFRAME } else { 0 } | if *repair { REPAIR } else { 0 };
                    writeln!(out, "p\t{layer}\t{counter}\t{sent_us}\t{came_us}\t{flags}")?;
                }
            }
        }
        Ok(())
    }
}

/// A text without what parts values and lines.
fn line(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_lines_that_a_program_can_part() {
        let arrival = Arrival { layer: 2, counter: 7, sent_us: 1_000, came_us: 41_000, keyframe: true, repair: false };
        let track = TrackRecord { publisher: "ana".to_owned(), video: true, arrivals: vec![arrival] };
        let person = PersonRecord {
            identity: "ben".to_owned(),
            joined: vec![(900, 50)],
            ended: vec![(950, "a reset\nby the peer".to_owned())],
            tracks: vec![track],
            ..PersonRecord::default()
        };
        let mut text = Vec::new();
        Record { people: vec![person] }.write(&mut text).unwrap();
        let expected = "person\tben\njoined\t900\t50\nended\t950\ta reset by the peer\ntrack\tana\tvideo\n\
                        p\t2\t7\t1000\t41000\t1\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
