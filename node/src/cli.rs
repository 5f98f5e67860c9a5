//! The command line: what `origo --help` teaches.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};

use crate::config::{KEYS, Key, Sources, time};

const EXAMPLES: &str = "\
Examples:
  origo demo                                   three regions on this machine, and an address to open
  origo node --region frankfurt                one node on loopback, with development keys
  origo node --config /etc/origo/origo.toml    one node as its file says
  origo node drain                             moves everybody off the node on this machine, and ends it
  origo token --api-key devkey --api-secret secret --room lobby --identity ana

A node joins a mesh with the mesh's secret and the address of any node of it:
  ORIGO_MESH_SECRET=… origo node --config origo.toml --seeds fra.example.com:7881";

/// An edge mesh for real-time media: each node is an SFU and a signaling server in one process.
/// Nodes find each other, carry each track between regions once, and every LiveKit SDK connects unchanged.
#[derive(Debug, Parser)]
#[command(name = "origo", version, after_help = EXAMPLES, verbatim_doc_comment)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Subcommands,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Subcommands {
    /// Run one node, or drain one that runs
    Node(NodeArgs),
    /// Print a token that opens a room
    Token(TokenArgs),
    /// Run a mesh of several regions on this machine
    Demo(DemoArgs),
}

/// `origo node`: the settings of [`KEYS`] as flags, and the file; or an order to a node that runs.
#[derive(Debug)]
pub struct NodeArgs {
    file: Option<PathBuf>,
    flags: Vec<(&'static str, String)>,
    order: Option<Orders>,
}

impl NodeArgs {
    /// Where to read the configuration from, and what a node that runs already is told instead.
    pub fn into_parts(self) -> (Sources, Option<Orders>) {
        (Sources { file: self.file, flags: self.flags }, self.order)
    }
}

/// What a running node can be told.
#[derive(Debug, Subcommand)]
pub enum Orders {
    /// Tell the running node to move its people elsewhere and then end
    #[command(after_help = DRAIN_HELP)]
    Drain(DrainArgs),
    /// Tell a node that drains to stay and to take people again
    Undrain(RunningArgs),
}

const DRAIN_HELP: &str = "\
The command answers at once. The node ends by itself, with exit code 0, when everybody has moved, at the latest at the
deadline, and logs what was left. Asked twice, the earlier of the deadlines counts. SIGTERM does the same with the
deadline drain_deadline of the configuration; a second SIGTERM, or SIGINT, ends the node at once.";

/// `origo node drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// How long it may take: seconds, or a number with s, m or h; 0 ends the node at once
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = deadline)]
    pub deadline: Duration,
    /// Which node.
    #[command(flatten)]
    pub node: RunningArgs,
}

/// Which node is meant.
#[derive(Debug, Args)]
pub struct RunningArgs {
    /// The node's configuration: its metrics listener takes the order [default: that of a node on port 7880]
    #[arg(long, value_name = "FILE", env = "ORIGO_CONFIG")]
    pub config: Option<PathBuf>,
    /// The node's metrics listener, when no configuration is at hand
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics: Option<String>,
}

fn deadline(text: &str) -> Result<Duration, String> {
    time::parse(text).ok_or_else(|| time::ACCEPTED.to_owned())
}

impl Args for NodeArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config").long("config").value_name("FILE").env("ORIGO_CONFIG");
        let file = file.value_parser(clap::value_parser!(PathBuf)).help("TOML file with the same settings");
        let command = command.arg(file.help_heading("Configuration file"));
        let command = KEYS.iter().fold(command, |command, key| command.arg(flag(key)));
        let command = Orders::augment_subcommands(command).subcommand_required(false).arg_required_else_help(false);
        command.args_conflicts_with_subcommands(true).after_help(
            "A flag wins over its environment variable (ORIGO_QUIC_PORT for --quic-port), and that over the file.\n\
             Secrets are better kept in the file or the environment: other users see a command's flags.",
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(key: &'static Key) -> Arg {
    let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
    let arg = Arg::new(key.name).long(key.flag()).value_name(key.value).help(format!("{}{default}", key.help));
    // `--demo` alone means `--demo=true`.
    if key.value == "BOOL" { arg.num_args(0..=1).require_equals(true).default_missing_value("true") } else { arg }
        .allow_hyphen_values(key.value == "DEGREES")
}

impl FromArgMatches for NodeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: &'static Key| Some((key.name, matches.get_one::<String>(key.name)?.clone()));
        let flags = KEYS.iter().filter_map(value).collect();
        let order = matches.subcommand().is_some().then(|| Orders::from_arg_matches(matches)).transpose()?;
        Ok(Self { file: matches.get_one::<PathBuf>("config").cloned(), flags, order })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `origo token`: who, where, for how long and with which grants.
#[derive(Args)]
pub struct TokenArgs {
    /// API key that signs it
    #[arg(long, env = "ORIGO_API_KEY", value_name = "ID")]
    pub api_key: String,
    /// Secret of the API key
    #[arg(long, env = "ORIGO_API_SECRET", value_name = "TEXT", hide_env_values = true)]
    pub api_secret: String,
    /// Room that the token opens
    #[arg(long)]
    pub room: String,
    /// Who it is: unique in the room
    #[arg(long)]
    pub identity: String,
    /// Name that others see
    #[arg(long, default_value = "")]
    pub name: String,
    /// How long it is valid: seconds, or a number with s, m, h or d
    #[arg(long, default_value = "6h", value_parser = seconds)]
    pub ttl: u64,
    /// Free text that the application gives to the participant
    #[arg(long, default_value = "")]
    pub metadata: String,
    /// Free key and value, may be given several times
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair)]
    pub attributes: Vec<(String, String)>,
    /// Kind of participant
    #[arg(long, default_value = "", value_parser = ["", "standard", "ingress", "egress", "sip", "agent", "connector", "bridge"])]
    pub kind: String,
    /// It may not publish tracks
    #[arg(long)]
    pub no_publish: bool,
    /// It may not receive tracks
    #[arg(long)]
    pub no_subscribe: bool,
    /// It may not send data
    #[arg(long)]
    pub no_publish_data: bool,
    /// The only sources it may publish, may be given several times
    #[arg(long = "publish-source", value_name = "SOURCE", value_parser = ["camera", "microphone", "screen_share", "screen_share_audio"])]
    pub publish_sources: Vec<String>,
    /// It may change its own name, metadata and attributes
    #[arg(long)]
    pub update_own_metadata: bool,
    /// Others do not see it
    #[arg(long)]
    pub hidden: bool,
    /// It records
    #[arg(long)]
    pub recorder: bool,
    /// It is an agent
    #[arg(long)]
    pub agent: bool,
    /// It may create and delete rooms
    #[arg(long)]
    pub room_create: bool,
    /// It may list rooms
    #[arg(long)]
    pub room_list: bool,
    /// It may administer the room
    #[arg(long)]
    pub room_admin: bool,
    /// It may record rooms
    #[arg(long)]
    pub room_record: bool,
}

impl std::fmt::Debug for TokenArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenArgs").field("room", &self.room).field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl TokenArgs {
    /// The attributes by key; the last of one key counts.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        self.attributes.iter().cloned().collect()
    }
}

/// `origo demo`: how many nodes, where, and how to tell.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Number of nodes, each in its own region
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub nodes: u16,
    /// First port: each node takes a block of ten; a block with a used port is skipped
    #[arg(long, default_value_t = 7880, value_parser = clap::value_parser!(u16).range(1..=65000))]
    pub port_base: u16,
    /// Address of this machine for media, for Firefox: it sends none to loopback [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub media_ip: Option<IpAddr>,
    /// Print one line of JSON instead of a table, once every node is ready
    #[arg(long)]
    pub json: bool,
    /// Folder for the nodes' keys and logs, kept afterwards [default: a temporary one]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Let the nodes log to stderr instead of to files in the folder
    #[arg(long)]
    pub log_to_stderr: bool,
    /// What the nodes log, in the syntax of RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Let the nodes estimate each subscriber's bandwidth
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub bwe: bool,
    /// Location database in MaxMind's format for all nodes
    #[arg(long, value_name = "FILE")]
    pub geoip: Option<PathBuf>,
    /// Proxies whose X-Forwarded-For counts on all nodes
    #[arg(long, value_name = "CIDR,…")]
    pub trusted_proxies: Option<String>,
}

fn seconds(text: &str) -> Result<u64, String> {
    let accepted = || "a number of seconds above 0, or a number with s, m, h or d, such as 6h".to_owned();
    let unit = match text.chars().last() {
        Some('s' | '0'..='9') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(accepted()),
    };
    let number: u64 = text.trim_end_matches(['s', 'm', 'h', 'd']).parse().map_err(|_| accepted())?;
    number.checked_mul(unit).filter(|&seconds| seconds > 0).ok_or_else(accepted)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a key and a value, such as team=blue")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_switch_needs_no_value_and_degrees_may_be_negative() {
        let line = ["origo", "node", "--demo", "--bwe=false", "--latitude", "-23.55", "--quic-port", "9"];
        let Subcommands::Node(node) = Cli::try_parse_from(line).unwrap().command else { panic!("node was asked for") };
        let flags: Vec<_> = node.flags.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(flags, [("latitude", "-23.55"), ("quic_port", "9"), ("bwe", "false"), ("demo", "true")]);
    }

    #[test]
    fn a_running_node_is_told_to_drain_within_a_time() {
        let order = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Subcommands::Node(node) => node.into_parts().1,
            other => panic!("{other:?}"),
        };
        assert!(order("origo node").is_none());
        let Some(Orders::Drain(drain)) = order("origo node drain --deadline 2m --metrics 127.0.0.1:9") else {
            panic!()
        };
        assert_eq!((drain.deadline.as_secs(), drain.node.metrics.as_deref()), (120, Some("127.0.0.1:9")));
        assert!(matches!(order("origo node undrain"), Some(Orders::Undrain(_))));
        for wrong in ["origo node drain --deadline soon", "origo node --port 1 drain", "origo node drain --deadline 2d"]
        {
            assert!(Cli::try_parse_from(wrong.split(' ')).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_to_live_takes_units() {
        assert_eq!(["90", "90s", "2m", "6h", "1d"].map(|text| seconds(text).unwrap()), [90, 90, 120, 21_600, 86_400]);
        assert!(["", "0", "h", "-1", "1w", "9999999999999999999d"].iter().all(|text| seconds(text).is_err()));
    }
}
