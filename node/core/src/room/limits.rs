//! How much of everything a room takes, and how long it waits.

use std::time::Duration;

use crate::pace::Limit;

/// Rooms on one node: each costs a few kilobytes here, and a node runs out of media capacity long before.
pub const ROOMS_MAX: usize = 10_000;
/// Local participants of one room: a stage whose audience a node of two cores carries, and as many again. A join is told of
/// everybody who is seen in one message, 300 bytes each.
pub const PARTICIPANTS_MAX: usize = 4_000;
/// Participants of one room on other nodes that are remembered here.
pub const REMOTES_MAX: usize = 20_000;
/// Tracks that one participant may have announced: camera, microphone, two of a screen, and room for agents.
pub const TRACKS_MAX: usize = 32;
/// Announcements that wait for an earlier track of the same client id to end.
pub const QUEUED_TRACKS_MAX: usize = 8;
/// Layers that one announcement may list: three spatial layers.
pub const LAYERS_LISTED_MAX: usize = 3;
/// Sids in one subscription request. A client with a room of hundreds of tracks asks for all of them at once.
pub const SIDS_PER_REQUEST_MAX: usize = 2_000;

/// Changes of what one client receives: all of a large room at once, and then as many as worker and client can follow.
/// What comes faster waits, and of several words on one track the last counts.
pub(crate) const SUBSCRIBING: Limit = Limit { burst: 2_000, interval: Duration::from_millis(10) };
/// Tracks about which a client's word may wait.
pub const WISHES_MAX: usize = 4_000;
/// Changes of one participant of which all others hear: a join with a few tracks at once, and then some a second. What
/// comes faster is told together.
pub(crate) const ANNOUNCING: Limit = Limit { burst: 50, interval: Duration::from_millis(100) };

/// Rooms in one answer of the server API: 300 bytes each, below what nodes tell each other in one message.
pub const ROOMS_LISTED_MAX: usize = 2_000;
/// Rooms that wait on their home for a first participant.
pub const RESERVED_ROOMS_MAX: usize = 10_000;
/// Seconds for which a made room waits for its first participant, unless its maker says otherwise (LiveKit's figure).
pub const EMPTY_TIMEOUT_S: u32 = 300;
/// Seconds for which a made room stays after its last participant, unless its maker says otherwise (LiveKit's figure).
pub const DEPARTURE_TIMEOUT_S: u32 = 20;
/// The longest of these: a day.
pub const ROOM_STAYS_MAX_S: u32 = 24 * 3_600;

/// Bytes of an identity, a shown name, a room's name, a track's name or client id: LiveKit's bound.
pub const NAME_BYTES_MAX: usize = 256;
/// Bytes of a participant's metadata: LiveKit's bound.
pub const METADATA_BYTES_MAX: usize = 64_000;
/// Bytes of all attributes, names and values: LiveKit's bound.
pub const ATTRIBUTES_BYTES_MAX: usize = 64_000;
/// Bytes of a session description. A PeerConnection of 100 sections stays under it.
pub const SDP_BYTES_MAX: usize = 512 * 1024;
/// Bytes of a candidate's JSON.
pub const CANDIDATE_BYTES_MAX: usize = 2_048;
/// Bytes of a data packet: livekit-client sends no larger one.
pub const DATA_PACKET_BYTES_MAX: usize = 64_000;

/// How long a room waits for the mesh to say who is in it. The mesh answers within 300 ms; after this the room goes on
/// with whom it knows.
pub const ENTER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a join waits for the room's home to say whether there is a seat.
pub const SEAT_TIMEOUT: Duration = Duration::from_millis(500);
/// A participant whose first connection never comes up is removed after this (LiveKit's figure).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// A participant whose media is up is kept this long without its socket (LiveKit's figure).
pub const SOCKET_GRACE: Duration = Duration::from_secs(15);
/// A participant whose connection is over is removed after this. A client that leaves closes its connections too, and
/// its word on the other way may come a moment later.
pub const MEDIA_GRACE: Duration = Duration::from_secs(1);
/// How long it is remembered who left, for clients whose socket was gone then.
pub const DEPARTED_KEPT: Duration = Duration::from_secs(60);
/// How many of those are remembered in one room.
pub const DEPARTED_MAX: usize = 256;
/// Counts of a room are told no more often than this (LiveKit's figure).
pub const ROOM_UPDATE_INTERVAL: Duration = Duration::from_secs(5);
/// The driver is woken at least this often; nothing hangs on it.
pub const IDLE: Duration = Duration::from_secs(3_600);

/// How a track is shown is passed on to the media worker at most this often. A person does not see a layer change later
/// than this as late.
pub const SETTINGS_INTERVAL: Duration = Duration::from_millis(100);
/// A layer that nobody takes any more is still asked for this long, since whoever turned away may turn back (LiveKit's
/// figure).
pub const DYNACAST_LINGER: Duration = Duration::from_secs(5);
/// How long a client may take to come back after it asked to use another protocol.
pub const SWITCH_STANDS: Duration = Duration::from_secs(60);
/// Clients of one node that are about to do so.
pub const SWITCHED_MAX: usize = 1_000;
/// Participants whom a publisher may name as those who may receive its tracks.
pub const ADMITTED_MAX: usize = 1_000;
/// Bytes of their names and of the tracks. With the rest of a participant's record it fits into one message of a link.
pub const ADMITTED_BYTES_MAX: usize = 64_000;
/// A token is refreshed this often (LiveKit's figure).
pub const TOKEN_INTERVAL: Duration = Duration::from_secs(300);
/// And is valid this long, so that a client that missed one refresh still comes back (LiveKit's figure).
pub const TOKEN_VALID: Duration = Duration::from_secs(600);
/// And this long after something changed that it says: a client publishes a few tracks at once.
pub const TOKEN_SETTLES: Duration = Duration::from_secs(1);
/// Bytes of the tracks that a token names. Clients send it in the address of a request, of which servers on the way take
/// 8 KB; camera, microphone and screen take 400.
pub const CARRIED_TRACKS_BYTES_MAX: usize = 1_500;
/// Reliable packets of one publisher that are kept for those who come back.
pub const HISTORY_PACKETS_MAX: usize = 512;
/// Bytes of them: what a file transfer sends while somebody comes back from a node that died.
pub const HISTORY_BYTES_MAX: usize = 4 << 20;
/// Bytes of all publishers of a room: when it is more, each one keeps a few packets of the largest size.
pub const HISTORY_BYTES_IN_ALL: usize = 16 << 20;
/// Those few, bytes.
pub const HISTORY_BYTES_LEAST: usize = 256 * 1024;
/// Bytes of reliable packets of a client that goes on here which wait until others take it for who it is: what it sends
/// once more, and a while of what it goes on with.
pub const HELD_BYTES_MAX: usize = 6 << 20;
/// How many of them.
pub const HELD_PACKETS_MAX: usize = 1024;
/// How long they are kept: as long as a session lives without its socket, and a while for the way back.
pub const HISTORY_KEPT: Duration = Duration::from_secs(30);

/// How long a participant that was sent on is kept, so that its next node takes it over before others see it leave. As
/// long as the records of a dead node stay.
pub const SENT_KEPT: Duration = Duration::from_secs(20);
/// A client that opens a successor of its session has this long for it, and is sent on like any other then.
pub const SUCCESSOR_WAITED_FOR: Duration = Duration::from_secs(10);
/// How long a session is kept whose client goes on elsewhere, unless the client ends it: as long as the media of it may
/// be of use.
pub const FORMER_KEPT: Duration = Duration::from_secs(10);
/// The same of a client that was told to let it go.
pub const FORMER_GONE_KEPT: Duration = Duration::from_secs(3);
/// How long a client that was sent here may take to come back by the way that it knows, once all of it is gone.
pub const RETURN_WAITED_FOR: Duration = Duration::from_secs(5);
/// How long a successor that is connected waits for tracks that its session had, before others see what it has.
pub const HEIR_WAITS: Duration = Duration::from_secs(5);
/// How long a client that knows a session of its own waits for a node to tell of it. Who is asked answers within a round
/// trip or two.
pub const SESSION_AWAITED: Duration = Duration::from_millis(1500);
/// How long a client that came back in vain may take to join anew.
pub const CLAIM_STANDS: Duration = Duration::from_secs(30);
/// How many of those are remembered.
pub const CLAIMS_MAX: usize = 10_000;
/// How long it is remembered who was sent on, for those who come back to the address that they know.
pub const SENT_REMEMBERED: Duration = Duration::from_secs(120);
/// How many of those are remembered.
pub const SENT_MAX: usize = 10_000;
/// Nodes that one client is told of.
pub const REGIONS_MAX: usize = 3;

/// Seconds between a client's pings. A machine that dies closes no socket, so that SDKs learn of it by these alone.
pub const PING_INTERVAL_S: i32 = 1;
/// Seconds without an answer after which a client gives up its socket. Two lost segments in a row take TCP less than that;
/// who gives up too early keeps its media, and takes its session up again on another socket.
pub const PING_TIMEOUT_S: i32 = 3;
/// Both for who joins a crowd: a ping and its answer cost a node 60 to 100 µs, at one a second a tenth or more of all that it
/// does for 500 viewers. SDKs count the time without an answer from the last one, so they still notice a death within 7 s
/// (LiveKit asks for 5 and 15).
pub const CROWD_PINGS_S: (i32, i32) = (4, 7);
/// With more participants than that on one node a room is a crowd.
pub const CROWD: usize = 100;
