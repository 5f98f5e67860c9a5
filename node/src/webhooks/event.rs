//! A webhook's id, body and proof.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use livekit_protocol::WebhookEvent;
use origo_auth::{Claims, Secret, mint};

/// How long a receiver may take a delivery for fresh, seconds.
const PROOF_SECONDS: u64 = 300;
/// Hex digits of an id: 96 bits.
const ID_DIGITS: usize = 24;

/// The id of an event: the same whichever node makes it and however often. A room begins and ends once, a participant's
/// session joins and leaves once, a track is published once, so that what it is about is its number in the sequence.
pub fn id_of(event: &WebhookEvent) -> String {
    let room = event.room.as_ref().map_or("", |room| &room.sid);
    let participant = event.participant.as_ref().map_or("", |participant| &participant.sid);
    let track = event.track.as_ref().map_or("", |track| &track.sid);
    let text = [room, &event.event, participant, track].join("\n");
    format!("EV_{}", &hex::encode(digest(&SHA256, text.as_bytes()))[..ID_DIGITS])
}

/// LiveKit's proof of who sends a body: a token with the body's hash.
pub fn proof(key: &str, secret: &Secret, body: &[u8], now_unix: u64) -> String {
    let claims = Claims {
        iss: key.to_owned(),
        nbf: now_unix,
        exp: now_unix + PROOF_SECONDS,
        sha256: BASE64_STANDARD.encode(digest(&SHA256, body)),
        ..Claims::default()
    };
    mint(&claims, secret)
}

#[cfg(test)]
mod tests {
    use livekit_protocol::{ParticipantInfo, Room};

    use super::*;

    #[test]
    fn an_id_tells_events_apart_and_says_the_same_again() {
        let event = |name: &str, participant: &str| WebhookEvent {
            event: name.into(),
            room: Some(Room { sid: "RM_1".into(), num_participants: 3, ..Default::default() }),
            participant: Some(ParticipantInfo { sid: participant.into(), ..Default::default() }),
            ..Default::default()
        };
        let joined = event("participant_joined", "PA_1");
        let later = WebhookEvent { created_at: 99, ..joined.clone() };
        assert_eq!(id_of(&joined), id_of(&later));
        assert_ne!(id_of(&joined), id_of(&event("participant_left", "PA_1")));
        assert_ne!(id_of(&joined), id_of(&event("participant_joined", "PA_2")));
    }
}
