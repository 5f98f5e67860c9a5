//! What nodes tell each other of a participant beside what clients are told.
//!
//! It rides behind the `ParticipantInfo` in a participant's record: protobuf reads two messages laid end to end as one,
//! and a reader passes over the fields of the other.

use livekit_protocol as proto;
use prost::Message;
use proto::ConnectionQuality;

use super::audience::Audience;
use super::quality::Verdict;

/// The annex of a participant's record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Annex {
    /// Who may receive its tracks.
    pub audience: Audience,
    verdict: Option<Verdict>,
    /// It was told to go on at another node, which may take it over.
    pub moves: bool,
    /// What its node adds to the numbers that it gives its reliable packets.
    pub sequence_base: u32,
}

/// Its protobuf. The tags are far above those of `ParticipantInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct Encoded {
    #[prost(message, optional, tag = "1000")]
    restriction: Option<proto::SubscriptionPermission>,
    #[prost(message, optional, tag = "1001")]
    quality: Option<proto::ConnectionQualityInfo>,
    #[prost(bool, tag = "1002")]
    moves: bool,
    #[prost(uint32, tag = "1003")]
    sequence_base: u32,
}

impl Annex {
    pub fn new(audience: &Audience, verdict: Option<Verdict>, moves: bool, sequence_base: u32) -> Self {
        Self { audience: audience.clone(), verdict, moves, sequence_base }
    }

    /// How good its connection is, as its own node says.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// Lays it behind what is in `record` already.
    pub fn append(&self, record: &mut Vec<u8>) {
        let quality = self.verdict.map(|verdict| proto::ConnectionQualityInfo {
            quality: verdict.quality as i32,
            score: verdict.score,
            ..Default::default()
        });
        let restriction = self.audience.restriction();
        let encoded = Encoded { restriction, quality, moves: self.moves, sequence_base: self.sequence_base };
        record.extend(encoded.encode_to_vec());
    }

    /// Reads it out of a record's info. A restriction that is too long lets nobody in, which is safer than everybody.
    pub fn read(record: &[u8]) -> Option<Self> {
        let Encoded { restriction, quality, moves, sequence_base } = Encoded::decode(record).ok()?;
        let nobody = || Audience::read(proto::SubscriptionPermission::default()).unwrap_or_default();
        let audience = restriction.map(|restriction| Audience::read(restriction).unwrap_or_else(nobody));
        let verdict = quality.and_then(|quality| {
            let score = if quality.score.is_finite() { quality.score.clamp(1.0, 4.5) } else { 1.0 };
            Some(Verdict { quality: ConnectionQuality::try_from(quality.quality).ok()?, score })
        });
        Some(Self { audience: audience.unwrap_or_default(), verdict, moves, sequence_base })
    }
}
