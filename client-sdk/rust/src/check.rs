//! Checks the flags of `origo-load` and makes the plan of them: everything wrong is said at once, with what is accepted.

use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::CommandFactory;
use origo_auth::Secret;
use origo_client::load::{Assertion, Churn, Credentials, FIGURES, Placement, Plan, Server};
use origo_client::script::Script;
use origo_client::{AudioOptions, Options, Turns, VideoOptions};

use crate::cli::{Cli, Form, Place};

/// Mean time away, seconds, when only `--stay` is given.
const AWAY_DEFAULT: f64 = 3.0;
/// How long publishers talk in turn, seconds, when only `--talkers` is given.
const TURN_DEFAULT: f64 = 5.0;
/// What a stamp and a codec's header need, and what fits into a datagram.
const PACKET_BYTES: RangeInclusive<u64> = 64..=1200;

/// What to do.
#[derive(Clone)]
pub enum Work {
    /// Fill rooms.
    Load(Box<Run>),
    /// Do what a script says, and write what came.
    Script(Script, PathBuf),
}

/// A load and what is said of it.
#[derive(Clone)]
pub struct Run {
    /// The load.
    pub plan: Plan,
    /// What must be true of it.
    pub assertions: Vec<Assertion>,
    /// Where the figures go.
    pub json: Option<PathBuf>,
    /// No progress.
    pub quiet: bool,
}

/// Everything that is wrong with the flags.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let things = if self.0.len() == 1 { "thing is" } else { "things are" };
        writeln!(f, "origo-load: {} {things} wrong with the flags:", self.0.len())?;
        self.0.iter().try_for_each(|fault| writeln!(f, "  {fault}"))?;
        write!(f, "See origo-load --help.")
    }
}

/// Reads the arguments of the process. `--help` and `--version` end it here.
pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Work, Faults> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let figures = FIGURES.iter().map(|figure| format!("  {:30} {}", figure.name, figure.meaning));
    let figures = figures.collect::<Vec<_>>().join("\n");
    let command = Cli::command().mut_arg("assert", |arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        arg.long_help(format!("{help}. Operators: >=, <=, ==, !=, >, <. Figures:\n{figures}"))
    });
    let (known, unknown) = part_unknown(&command, &arguments);
    let parsed = command.try_get_matches_from(known).and_then(|matches| {
        use clap::FromArgMatches;
        Cli::from_arg_matches(&matches)
    });
    match parsed {
        Ok(Cli { script: Some(script), record: Some(record), .. }) if unknown.is_empty() => read(&script, record),
        Ok(cli) => check(&cli, unknown).map(|run| Work::Load(Box::new(run))),
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let text = error.to_string();
            let sentences =
                text.lines().filter(|line| !line.is_empty() && !line.starts_with(['U', 'F'])).map(str::trim);
            let sentence = sentences.collect::<Vec<_>>().join(" ");
            let mut faults = Faults(unknown);
            faults.0.push(sentence.trim_start_matches("error: ").to_owned());
            Err(faults)
        }
    }
}

fn read(path: &Path, record: PathBuf) -> Result<Work, Faults> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let script = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    let fault = |error| Faults(vec![format!("--script {}: {error}", path.display())]);
    script.map(|script| Work::Script(script, record)).map_err(fault)
}

/// clap names the first unknown flag alone, so they are taken out and named here.
fn part_unknown(command: &clap::Command, arguments: &[OsString]) -> (Vec<OsString>, Vec<String>) {
    let mut names: Vec<String> = command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
    names.extend(["help".to_owned(), "version".to_owned()]);
    let is_unknown = |argument: &OsString| {
        let flag = argument.to_str().and_then(|text| text.strip_prefix("--")).filter(|flag| !flag.is_empty())?;
        let name = flag.split('=').next().unwrap_or(flag).to_owned();
        (!names.contains(&name)).then_some(name)
    };
    let flags = names.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(" ");
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut value_may_follow = false;
    for argument in arguments {
        let name = is_unknown(argument);
        let skipped = value_may_follow && !argument.to_string_lossy().starts_with('-');
        value_may_follow = name.is_some() && !argument.to_string_lossy().contains('=');
        match name {
            Some(name) if unknown.is_empty() => unknown.push(format!("--{name} is no flag; accepted are {flags}")),
            Some(name) => unknown.push(format!("--{name} is no flag")),
            None if skipped => {}
            None => known.push(argument.clone()),
        }
    }
    (known, unknown)
}

fn check(cli: &Cli, unknown: Vec<String>) -> Result<Run, Faults> {
    let mut faults = Faults(unknown);
    let plan = plan(cli, &mut faults);
    let parse = |text: &String| Assertion::parse(text).map_err(|error| format!("--assert {text}: {error}"));
    let (assertions, wrong): (Vec<_>, Vec<_>) = cli.assert.iter().map(parse).partition(Result::is_ok);
    faults.0.extend(wrong.into_iter().filter_map(Result::err));
    if !faults.0.is_empty() {
        return Err(faults);
    }
    let assertions = assertions.into_iter().filter_map(Result::ok).collect();
    Ok(Run { plan, assertions, json: cli.json.clone(), quiet: cli.quiet })
}

fn plan(cli: &Cli, faults: &mut Faults) -> Plan {
    let rooms = faults.count("--rooms", &cli.rooms, 1..=10_000);
    let publishers = faults.count("--publishers", &cli.publishers, 0..=1000);
    let subscribers = faults.count("--subscribers", &cli.subscribers, 0..=10_000);
    if publishers + subscribers == 0 && !faults.names("--publishers") && !faults.names("--subscribers") {
        faults.say("--publishers and --subscribers are both 0: one of them must be at least 1");
    }
    let (server, urls) = servers(cli, faults);
    let form = if cli.protocol == Form::V0 { Options::v0() } else { Options::v1() };
    Plan {
        server,
        urls,
        placement: match cli.place {
            Place::RoundRobin => Placement::RoundRobin,
            Place::Room => Placement::Room,
            Place::Split => Placement::Split,
        },
        credentials: credentials(cli, (rooms * (publishers + subscribers)) as usize, faults),
        room: cli.room.clone(),
        rooms: rooms as usize,
        publishers: publishers as usize,
        subscribers: subscribers as usize,
        publishers_watch: cli.publishers_watch,
        options: Options { light: !cli.full_receive, ..form },
        video: video(cli, faults),
        audio: audio(cli, publishers as usize, faults),
        duration: Duration::from_secs_f64(faults.number("--duration", &cli.duration, 0.1..=86_400.0)),
        ramp_per_second: faults.number("--ramp", &cli.ramp, 0.1..=1000.0),
        churn: churn(cli, faults),
        server_pids: cli.server_pid.iter().map(|pid| faults.pid(pid)).collect(),
    }
}

fn servers(cli: &Cli, faults: &mut Faults) -> (Server, Vec<String>) {
    let urls: Vec<String> = cli.url.iter().chain(&cli.janus).cloned().collect();
    if urls.is_empty() {
        faults
            .say("--url is missing: the server to join, such as ws://127.0.0.1:7880 (or --janus ws://127.0.0.1:8188)");
    }
    for url in &urls {
        let host = ["ws://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        if host.is_none_or(|host| host.is_empty() || host.starts_with(['/', ':'])) {
            faults.say(format!("{url:?} is no server; accepted are ws://host:port and http://host:port"));
        }
    }
    if cli.janus.is_none() {
        return (Server::LiveKit, urls);
    }
    for (given, flag) in [
        (!cli.url.is_empty(), "--url"),
        (cli.stay.is_some(), "--stay"),
        (cli.tokens.is_some(), "--tokens"),
        (cli.publishers_watch, "--publishers-watch"),
    ] {
        if given {
            faults.say(format!("{flag} does not go with --janus"));
        }
    }
    (Server::Janus, urls)
}

fn credentials(cli: &Cli, seats: usize, faults: &mut Faults) -> Credentials {
    let Some(path) = &cli.tokens else {
        return Credentials::Key { key: cli.api_key.clone(), secret: Secret::new(cli.api_secret.clone()) };
    };
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        faults.say(format!("--tokens {}: {error}", path.display()));
        String::new()
    });
    let tokens: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if tokens.len() < seats && !faults.names("--tokens") {
        faults.say(format!(
            "--tokens {} has {} tokens, {seats} participants need one each",
            path.display(),
            tokens.len()
        ));
    }
    Credentials::Tokens(tokens)
}

fn video(cli: &Cli, faults: &mut Faults) -> Option<VideoOptions> {
    let layers = faults.count("--layers", &cli.layers, 1..=3) as usize;
    let kbps = faults.count("--kbps", &cli.kbps, 10..=100_000) as u32;
    let fps = faults.count("--fps", &cli.fps, 1..=1000) as u32;
    let packet_bytes = faults.count("--packet-bytes", &cli.packet_bytes, PACKET_BYTES) as usize;
    (!cli.no_video).then(|| VideoOptions::lifelike(layers, kbps * 1000, fps, packet_bytes))
}

fn audio(cli: &Cli, people: usize, faults: &mut Faults) -> Option<AudioOptions> {
    if cli.turn.is_some() && cli.talkers.is_none() {
        faults.say("--turn needs --talkers, how many talk at once");
    }
    let each = cli.turn.as_ref().map_or(TURN_DEFAULT, |turn| faults.number("--turn", turn, 0.1..=3600.0));
    let turns = cli.talkers.as_ref().map(|talkers| Turns {
        begin: Instant::now(),
        each: Duration::from_secs_f64(each),
        talkers: faults.count("--talkers", talkers, 0..=1000) as usize,
        people,
        number: 0,
    });
    (!cli.no_audio).then(|| AudioOptions { turns, ..AudioOptions::default() })
}

fn churn(cli: &Cli, faults: &mut Faults) -> Option<Churn> {
    let seed = faults.count("--seed", &cli.seed, 0..=u64::MAX);
    if cli.stay.is_none() && cli.away.is_some() {
        faults.say("--away needs --stay, the mean time before participants leave");
    }
    let away = cli.away.as_ref().map_or(AWAY_DEFAULT, |away| faults.number("--away", away, 0.0..=3600.0));
    let stay = faults.number("--stay", cli.stay.as_ref()?, 0.1..=86_400.0);
    Some(Churn { stay: Duration::from_secs_f64(stay), away: Duration::from_secs_f64(away), seed })
}

impl Faults {
    fn say(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    /// Whether a fault of that flag has been said.
    fn names(&self, flag: &str) -> bool {
        self.0.iter().any(|fault| fault.starts_with(flag))
    }

    /// A whole number within a range; its lower end when it is none, so that the rest is checked too.
    fn count(&mut self, flag: &str, text: &str, range: RangeInclusive<u64>) -> u64 {
        let value: Option<u64> = text.trim().parse().ok().filter(|value| range.contains(value));
        value.unwrap_or_else(|| {
            let (low, high) = (range.start(), range.end());
            self.say(format!("{flag} {text:?}: accepted are whole numbers from {low} to {high}"));
            *low
        })
    }

    fn number(&mut self, flag: &str, text: &str, range: RangeInclusive<f64>) -> f64 {
        let value: Option<f64> = text.trim().parse().ok().filter(|value| range.contains(value));
        value.unwrap_or_else(|| {
            let (low, high) = (range.start(), range.end());
            self.say(format!("{flag} {text:?}: accepted are numbers from {low} to {high}"));
            *low
        })
    }

    fn pid(&mut self, text: &str) -> u32 {
        let pid: Option<u32> = text.trim().parse().ok();
        let alive = pid.filter(|pid| origo_client::load::process_cpu(*pid).is_some());
        alive.unwrap_or_else(|| {
            self.say(format!("--server-pid {text:?}: accepted is the id of a process on this machine"));
            0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(flags: &str) -> Vec<String> {
        let arguments = std::iter::once("origo-load").chain(flags.split_whitespace()).map(OsString::from);
        from_arguments(arguments).map(|_| ()).err().map(|faults| faults.0).unwrap_or_default()
    }

    #[test]
    fn good_flags_make_a_plan() {
        let flags = "origo-load --url ws://h:1 --url ws://h:2 --rooms 20 --publishers 2 --subscribers 8 --stay 40 \
                     --layers 2 --assert delivered>=99 --place split";
        let Work::Load(run) = from_arguments(flags.split_whitespace().map(OsString::from)).unwrap() else {
            panic!("no script is asked for")
        };
        assert_eq!((run.plan.seats().len(), run.assertions.len()), (200, 1));
        assert_eq!(run.plan.video.as_ref().map(|video| video.layers.len()), Some(2));
        assert!(run.plan.options.light && run.plan.churn.is_some_and(|churn| churn.away.as_secs() == 3));
    }

    #[test]
    fn everything_wrong_is_named_at_once_with_what_is_accepted() {
        let faults =
            faults("--url tcp://x --rooms 0 --layers many --away 3 --assert delivery>=9 --assert lost --kbps 1");
        for part in [
            "\"tcp://x\" is no server; accepted are ws://",
            "--rooms \"0\": accepted are whole numbers from 1",
            "--layers \"many\": accepted are whole numbers from 1 to 3",
            "--away needs --stay",
            "--assert delivery>=9: \"delivery\" is no figure; accepted are delivered",
            "--assert lost: \"lost\" has no operator",
            "--kbps \"1\": accepted are whole numbers from 10",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(part)), "{part}: {faults:?}");
        }
        assert_eq!(faults.len(), 7, "{faults:?}");
    }

    #[test]
    fn all_unknown_flags_are_named() {
        let faults = faults("--url ws://h:1 --viewers --bitrate=3 --rooms none");
        assert!(faults[0].starts_with("--viewers is no flag; accepted are --url "), "{faults:?}");
        assert_eq!(faults[1], "--bitrate is no flag");
        assert!(faults[2].starts_with("--rooms \"none\""));
    }

    #[test]
    fn janus_takes_no_flags_of_livekit() {
        let faults = faults("--janus ws://h:8188 --url ws://h:1 --stay 3");
        assert_eq!(faults, ["--url does not go with --janus", "--stay does not go with --janus"]);
        assert_eq!(self::faults("").len(), 1);
    }
}
