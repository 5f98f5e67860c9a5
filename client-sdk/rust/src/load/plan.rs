//! What a load run does: where participants sit, what they publish, how they come and go.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use origo_auth::{Claims, Secret, VideoGrant};

use crate::load::Churn;
use crate::{AudioOptions, Options, VideoOptions};

/// Life of a token beyond the planned duration.
const TOKEN_SLACK: Duration = Duration::from_secs(3600);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What answers at the URLs.
    pub server: Server,
    /// Where participants join.
    pub urls: Vec<String>,
    /// How they are spread over the URLs.
    pub placement: Placement,
    /// By what they are let in.
    pub credentials: Credentials,
    /// Name of the room, or of the rooms before their number.
    pub room: String,
    /// How many rooms.
    pub rooms: usize,
    /// How many publish in each room.
    pub publishers: usize,
    /// How many only receive in each room.
    pub subscribers: usize,
    /// Publishers receive the others, as people in a call do.
    pub publishers_watch: bool,
    /// Form of the protocol.
    pub options: Options,
    /// The camera of each publisher.
    pub video: Option<VideoOptions>,
    /// The microphone of each publisher.
    pub audio: Option<AudioOptions>,
    /// How long after everybody has joined.
    pub duration: Duration,
    /// Joins begun each second.
    pub ramp_per_second: f64,
    /// Participants leave and come back.
    pub churn: Option<Churn>,
    /// Processes of the server, whose processor time is measured.
    pub server_pids: Vec<u32>,
}

/// The protocol of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// LiveKit's, as Origo has it.
    LiveKit,
    /// The VideoRoom of a Janus gateway, over its WebSocket transport.
    Janus,
}

/// How participants are spread over the URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// One after the other, within each room.
    RoundRobin,
    /// All of a room at one URL, room after room.
    Room,
    /// Publishers at the first URL, subscribers at the others.
    Split,
}

/// By what participants are let in.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Tokens are signed with this key.
    Key {
        /// API key.
        key: String,
        /// Its secret.
        secret: Secret,
    },
    /// Ready tokens, one for each participant in the order of the seats.
    Tokens(Vec<String>),
}

/// One participant's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Among all seats, publishers first.
    pub index: usize,
    /// Number of the room.
    pub room: usize,
    /// Who.
    pub identity: String,
    /// Publishes, or only receives.
    pub publishes: bool,
    /// Index of the URL.
    pub url: usize,
}

impl Plan {
    /// All seats, publishers first, rooms in turn.
    pub fn seats(&self) -> Vec<Seat> {
        let publishers = (0..self.publishers).flat_map(|number| (0..self.rooms).map(move |room| (true, number, room)));
        let subscribers =
            (0..self.subscribers).flat_map(|number| (0..self.rooms).map(move |room| (false, number, room)));
        let seat = |(index, (publishes, number, room)): (usize, (bool, usize, usize))| Seat {
            index,
            room,
            identity: format!("{}-{number}", if publishes { "publisher" } else { "subscriber" }),
            publishes,
            url: self.url_of(publishes, number, room),
        };
        publishers.chain(subscribers).enumerate().map(seat).collect()
    }

    fn url_of(&self, publishes: bool, number: usize, room: usize) -> usize {
        let urls = self.urls.len().max(1);
        match self.placement {
            Placement::RoundRobin if publishes => (room + number) % urls,
            Placement::RoundRobin => (room + self.publishers + number) % urls,
            Placement::Room => room % urls,
            Placement::Split if publishes || urls == 1 => 0,
            Placement::Split => 1 + number % (urls - 1),
        }
    }

    /// Name of a room.
    pub fn room_name(&self, room: usize) -> String {
        if self.rooms == 1 { self.room.clone() } else { format!("{}-{room}", self.room) }
    }

    /// The token of a seat; empty when there is none for it.
    pub fn token(&self, seat: &Seat) -> String {
        match &self.credentials {
            Credentials::Tokens(tokens) => tokens.get(seat.index).cloned().unwrap_or_default(),
            Credentials::Key { key, secret } => self.sign(key, secret, seat),
        }
    }

    fn sign(&self, key: &str, secret: &Secret, seat: &Seat) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = Claims {
            iss: key.to_owned(),
            sub: seat.identity.clone(),
            name: seat.identity.clone(),
            nbf: now.saturating_sub(5),
            exp: now + (self.duration + TOKEN_SLACK).as_secs(),
            video: VideoGrant { room_join: true, room: self.room_name(seat.room), ..Default::default() },
            ..Default::default()
        };
        origo_auth::mint(&claims, secret)
    }

    /// The microphone of a publisher's seat.
    pub fn audio_of(&self, seat: &Seat) -> Option<AudioOptions> {
        let mut audio = self.audio.clone()?;
        if let Some(turns) = &mut audio.turns {
            // Publishers sit first, rooms in turn. Who came last talks first: the others have sections from the beginning.
            turns.number = self.publishers.saturating_sub(1 + seat.index / self.rooms.max(1));
        }
        Some(audio)
    }

    /// How a seat joins.
    pub fn options_of(&self, seat: &Seat) -> Options {
        let auto_subscribe = !seat.publishes || self.publishers_watch;
        Options { auto_subscribe, ..self.options.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(placement: Placement) -> Plan {
        Plan {
            server: Server::LiveKit,
            urls: ["a", "b", "c"].map(str::to_owned).into(),
            placement,
            credentials: Credentials::Tokens(Vec::new()),
            room: "load".to_owned(),
            rooms: 2,
            publishers: 1,
            subscribers: 3,
            publishers_watch: true,
            options: Options::v1(),
            video: None,
            audio: None,
            duration: Duration::ZERO,
            ramp_per_second: 10.0,
            churn: None,
            server_pids: Vec::new(),
        }
    }

    fn urls_of_room(placement: Placement, room: usize) -> Vec<usize> {
        plan(placement).seats().iter().filter(|seat| seat.room == room).map(|seat| seat.url).collect()
    }

    #[test]
    fn participants_are_spread_as_asked() {
        assert_eq!(urls_of_room(Placement::RoundRobin, 0), [0, 1, 2, 0]);
        assert_eq!(urls_of_room(Placement::RoundRobin, 1), [1, 2, 0, 1]);
        assert_eq!(urls_of_room(Placement::Room, 1), [1, 1, 1, 1]);
        assert_eq!(urls_of_room(Placement::Split, 0), [0, 1, 2, 1]);
    }

    #[test]
    fn publishers_sit_first_and_identities_are_unique_in_a_room() {
        let seats = plan(Placement::Room).seats();
        assert_eq!(seats.len(), 8);
        assert!(seats[..2].iter().all(|seat| seat.publishes) && seats[2..].iter().all(|seat| !seat.publishes));
        let identities: std::collections::BTreeSet<_> = seats.iter().map(|seat| (seat.room, &seat.identity)).collect();
        assert_eq!(identities.len(), 8);
    }
}
