//! Counts the descriptions (SDP) of the server that a participant took.

use serde::{Deserialize, Serialize};

use crate::MediaKind;
use crate::sections::Section;

/// Descriptions of the server, offers and answers alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptions {
    /// How many.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of the longest.
    pub longest: u64,
    /// The most sections that one had for sounds.
    pub sounds: usize,
    /// The most sections that one had for pictures.
    pub pictures: usize,
}

impl Descriptions {
    pub(crate) fn note(&mut self, sdp: &str, sections: &[Section]) {
        let of = |kind| sections.iter().filter(|section| section.kind == kind).count();
        let (sounds, pictures) = (of(MediaKind::Audio), of(MediaKind::Video));
        let bytes = sdp.len() as u64;
        *self = *self + Self { count: 1, bytes, longest: bytes, sounds, pictures };
    }
}

impl std::ops::Add for Descriptions {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
            longest: self.longest.max(other.longest),
            sounds: self.sounds.max(other.sounds),
            pictures: self.pictures.max(other.pictures),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections;

    #[test]
    fn descriptions_are_counted_with_the_longest_and_the_most_sections() {
        let mut counted = Descriptions::default();
        for sdp in
            ["v=0\r\nm=audio 9 x 1\r\nm=video 9 x 2\r\nm=video 9 x 2\r\n", "v=0\r\nm=audio 9 x 1\r\nm=audio 9 x 1\r\n"]
        {
            counted.note(sdp, &sections::parse(sdp));
        }
        assert_eq!(counted, Descriptions { count: 2, bytes: 85, longest: 50, sounds: 2, pictures: 2 });
    }
}
