//! What people saw, as `origo-load --record` writes it.

use anyhow::Context;

/// What one person saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PersonSeen {
    /// Who.
    pub identity: String,
    /// When it came in, unix microseconds, and how long that took, microseconds.
    pub joined: Vec<(u64, u64)>,
    /// When it was refused, and why.
    pub refused: Vec<(u64, String)>,
    /// When a session ended by itself, and why.
    pub ended: Vec<(u64, String)>,
    /// When it went on at another node, beside the session that it had.
    pub moved: Vec<u64>,
    /// When others were seen to come, and who.
    pub came: Vec<(u64, String)>,
    /// When others were seen to leave, and who.
    pub left: Vec<(u64, String)>,
    /// Whom it saw in the room when all was over; `None` when it was not there then.
    pub shown: Option<Vec<String>>,
    /// When it was asked for a keyframe.
    pub asked: Vec<u64>,
    /// When what is in its packets of sound was captured, unix microseconds, session by session, packet by packet.
    pub made: Vec<Vec<u64>>,
    /// What came, session by session.
    pub tracks: Vec<TrackSeen>,
}

/// What came of one track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackSeen {
    /// Whose it is.
    pub publisher: String,
    /// A picture.
    pub video: bool,
    /// Its packets as they came.
    pub arrivals: Vec<Arrival>,
}

/// A packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Layer, 0 the lowest.
    pub layer: u8,
    /// Its number within the layer.
    pub counter: u32,
    /// When it was made, unix microseconds.
    pub sent_us: u64,
    /// When it came.
    pub came_us: u64,
    /// It begins a keyframe.
    pub keyframe: bool,
}

/// Reads it.
pub fn read(text: &str) -> anyhow::Result<Vec<PersonSeen>> {
    let mut people: Vec<PersonSeen> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        take(&mut people, line).with_context(|| format!("line {} of what people saw: {line:?}", number + 1))?;
    }
    Ok(people)
}

fn take(people: &mut Vec<PersonSeen>, line: &str) -> anyhow::Result<()> {
    let mut values = line.split('\t');
    let mut value = || values.next().context("a value is missing");
    let what = value()?;
    if what == "person" {
        people.push(PersonSeen { identity: value()?.to_owned(), ..PersonSeen::default() });
        return Ok(());
    }
    let person = people.last_mut().context("nobody is named before it")?;
    match what {
        "p" => {
            let track = person.tracks.last_mut().context("no track is named before it")?;
            track.arrivals.push(Arrival {
                layer: value()?.parse()?,
                counter: value()?.parse()?,
                sent_us: value()?.parse()?,
                came_us: value()?.parse()?,
                keyframe: value()?.parse::<u8>()? & 1 == 1,
            });
        }
        "track" => {
            let (publisher, kind) = (value()?.to_owned(), value()?);
            person.tracks.push(TrackSeen { publisher, video: kind == "video", arrivals: Vec::new() });
        }
        "joined" => person.joined.push((value()?.parse()?, value()?.parse()?)),
        "refused" => person.refused.push((value()?.parse()?, value()?.to_owned())),
        "ended" => person.ended.push((value()?.parse()?, value()?.to_owned())),
        "moved" => person.moved.push(value()?.parse()?),
        "came" => person.came.push((value()?.parse()?, value()?.to_owned())),
        "left" => person.left.push((value()?.parse()?, value()?.to_owned())),
        "shown" => person.shown = Some(values.map(str::to_owned).collect()),
        "made" => {
            let made = values.map(str::parse).collect::<Result<_, _>>()?;
            person.made.push(made);
        }
        "asked" => person.asked.push(value()?.parse()?),
        other => anyhow::bail!("there is no such thing as {other:?}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_saw_is_read_line_by_line_and_what_is_none_of_it_is_told() {
        let people = read("person\tben\njoined\t900\t50\ntrack\tana\tvideo\np\t2\t7\t1000\t41000\t1\n").unwrap();
        let arrival = Arrival { layer: 2, counter: 7, sent_us: 1000, came_us: 41_000, keyframe: true };
        assert_eq!(people[0].tracks[0].arrivals, [arrival]);
        assert_eq!((people[0].identity.as_str(), people[0].joined[0]), ("ben", (900, 50)));
        for wrong in ["p\t1", "person\tx\nlunch\t1", "person\tx\np\t1\t2\t3\t4\t5", "person\tx\ntrack\ty\tvideo\np\t1"]
        {
            let told = format!("{:#}", read(wrong).unwrap_err());
            assert!(told.starts_with("line "), "{told}");
        }
    }
}
