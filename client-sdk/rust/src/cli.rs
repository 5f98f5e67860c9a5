//! The flags of `origo-load` as they are typed. Numbers stay text here, so that everything that is wrong can be said at
//! once.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  One camera, 50 viewers, ten seconds:
    origo-load --url ws://127.0.0.1:7880 --subscribers 50 --no-audio

  People in one region, viewers in two others:
    origo-load --url ws://fra:7880 --url ws://nyc:7880 --url ws://sgp:7880 --place split --subscribers 40

  20 rooms of 10 with two publishers each, who come and go for ten minutes, the same way each time:
    origo-load --url ws://127.0.0.1:7880 --rooms 20 --publishers 2 --subscribers 8 --publishers-watch \\
      --stay 40 --away 5 --seed 7 --duration 600

  A room of 120 microphones of which three talk at once, each for four seconds:
    origo-load --url ws://127.0.0.1:7880 --publishers 120 --subscribers 20 --no-video --talkers 3 --turn 4

  As a check in CI: exit code 1 when one of them fails
    origo-load --url ws://127.0.0.1:7880 --subscribers 20 --json load.json \\
      --assert 'delivered>=99.5' --assert 'delay_p99_ms<=50' --assert 'freezes==0' --assert 'failed_joins==0'

  What a packet costs the server, for a node and for Janus under the same load:
    origo-load --url ws://127.0.0.1:7880 --subscribers 50 --no-audio --layers 1 --server-pid $(pidof origo)
    origo-load --janus ws://127.0.0.1:8188 --subscribers 50 --no-audio --layers 1 --server-pid $(pidof janus)

Exit codes: 0 done, 1 an assertion failed, 2 a flag is wrong, 3 nobody could join.";

/// Fills rooms with headless publishers and viewers, and says what arrived and when.
///
/// The participants speak the real protocol (WebSocket, ICE, DTLS, SRTP) and publish RTP with the sizes of real frames;
/// each packet carries a clock and a counter, by which viewers tell loss, repair, order and delay.
#[derive(Debug, Parser)]
#[command(name = "origo-load", version, after_long_help = EXAMPLES, after_help = "--help shows examples and what can be asserted.")]
pub struct Cli {
    /// Server to join: ws://host:port. Given several times, participants are spread by --place
    #[arg(long, value_name = "URL", help_heading = "Where")]
    pub url: Vec<String>,
    /// Join rooms of Janus's VideoRoom instead, over its WebSocket transport: ws://host:8188
    #[arg(long, value_name = "URL", help_heading = "Where")]
    pub janus: Option<String>,
    /// How participants are spread over several URLs
    #[arg(long, value_enum, default_value_t = Place::RoundRobin, help_heading = "Where")]
    pub place: Place,
    /// API key that signs the tokens
    #[arg(long, env = "ORIGO_API_KEY", default_value = "devkey", help_heading = "Where")]
    pub api_key: String,
    /// Its secret
    #[arg(long, env = "ORIGO_API_SECRET", default_value = "secret", hide_env_values = true, help_heading = "Where")]
    pub api_secret: String,
    /// Ready tokens instead of a key: one a line, for publishers first, room after room
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    pub tokens: Option<PathBuf>,
    /// Form of LiveKit's protocol
    #[arg(long, value_enum, default_value_t = Form::V1, help_heading = "Where")]
    pub protocol: Form,

    /// Name of the room; of several, what stands before their number
    #[arg(long, default_value = "load", help_heading = "Who")]
    pub room: String,
    /// Rooms
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Who")]
    pub rooms: String,
    /// Participants in each room that publish
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Who")]
    pub publishers: String,
    /// Participants in each room that only receive
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Who")]
    pub subscribers: String,
    /// Publishers receive each other too, as in a call
    #[arg(long, help_heading = "Who")]
    pub publishers_watch: bool,

    /// Publish no microphone
    #[arg(long, help_heading = "What")]
    pub no_audio: bool,
    /// So many publishers of each room talk at once, in turn, who came last first; the others send what silence takes.
    /// Without it all talk
    #[arg(long, value_name = "N", help_heading = "What")]
    pub talkers: Option<String>,
    /// How long they talk before others do [default: 5]
    #[arg(long, value_name = "SECONDS", help_heading = "What")]
    pub turn: Option<String>,
    /// Publish no camera
    #[arg(long, help_heading = "What")]
    pub no_video: bool,
    /// Simulcast layers of the camera: 1, 2 or 3
    #[arg(long, value_name = "N", default_value = "3", help_heading = "What")]
    pub layers: String,
    /// Kilobits per second of the camera's top layer; lower ones have a quarter each
    #[arg(long, value_name = "KBPS", default_value = "1700", help_heading = "What")]
    pub kbps: String,
    /// Frames each second
    #[arg(long, value_name = "N", default_value = "30", help_heading = "What")]
    pub fps: String,
    /// Largest RTP payload of a video packet
    #[arg(long, value_name = "BYTES", default_value = "1100", help_heading = "What")]
    pub packet_bytes: String,

    /// Seconds of media after everybody has joined
    #[arg(long, value_name = "SECONDS", default_value = "10", help_heading = "When")]
    pub duration: String,
    /// Joins begun each second
    #[arg(long, value_name = "N", default_value = "20", help_heading = "When")]
    pub ramp: String,
    /// Participants leave after a random time with this mean, and come back
    #[arg(long, value_name = "SECONDS", help_heading = "When")]
    pub stay: Option<String>,
    /// Mean time until they come back [default: 3]
    #[arg(long, value_name = "SECONDS", help_heading = "When")]
    pub away: Option<String>,
    /// Draws the random times: the same seed, the same comings and goings
    #[arg(long, value_name = "N", default_value = "1", help_heading = "When")]
    pub seed: String,

    /// Do what a JSON file says, participant by participant, instead of filling rooms (docs/origo-load.md)
    #[arg(long, value_name = "FILE", requires = "record", help_heading = "Scripts")]
    pub script: Option<PathBuf>,
    /// Write when each packet of a script came
    #[arg(long, value_name = "FILE", requires = "script", help_heading = "Scripts")]
    pub record: Option<PathBuf>,

    /// What must be true of the figures, such as 'delivered>=99.5'; may be given several times
    #[arg(long, value_name = "FIGURE>=NUMBER", help_heading = "Figures")]
    pub assert: Vec<String>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE", help_heading = "Figures")]
    pub json: Option<PathBuf>,
    /// Process of the server on this machine, to measure what a packet costs it; may be given several times
    #[arg(long, value_name = "PID", help_heading = "Figures")]
    pub server_pid: Vec<String>,
    /// Receive through the whole stack, decrypting every byte: costs many times more
    #[arg(long, help_heading = "Figures")]
    pub full_receive: bool,
    /// Show no progress
    #[arg(long, short, help_heading = "Figures")]
    pub quiet: bool,
}

/// How participants are spread over several URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// One after the other, within each room
    RoundRobin,
    /// All of a room at one URL, room after room
    Room,
    /// Publishers at the first, subscribers at the others
    Split,
}

/// Form of LiveKit's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Two PeerConnections
    V0,
    /// One PeerConnection
    V1,
}
