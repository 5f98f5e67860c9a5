//! From settings as written to a checked [`Config`]: everything that is wrong is said at once.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use origo_auth::{Keys, Secret};
use origo_node_core::media::Egress;

use super::fault::Faults;
use super::keys::{PROJECT_DEFAULT, SECRET_BYTES_MIN, check_secret};
use super::raw::RawConfig;
use super::reader::Reader;
use super::{Config, keys, limits, region, routing, webhooks};
use crate::log::{LEVEL_DEFAULT, LogConfig, LogFormat};

const PORT_DEFAULT: u16 = 7880;
const WORKERS_MAX: u16 = 64;
/// A worker sends a few thousand tracks; what is left is for those who are there, who will watch more.
const MEDIA_SPREAD_AT_DEFAULT: u16 = 1000;
/// An office behind one address, and a load generator. A stranger at one address takes a sixteenth of the node's sockets.
const SOCKETS_PER_ADDRESS_DEFAULT: u16 = 1_024;
/// All sockets that a node has.
const SOCKETS_PER_ADDRESS_MAX: u16 = 16_384;
/// More voices at once than anybody follows, with room for those who laugh, clap or take a breath meanwhile. Calls of up
/// to eleven people are as if there was no such bound.
const AUDIO_LOUDEST_DEFAULT: u16 = 10;
const AUDIO_SECTIONS_DEFAULT: u16 = 50;
/// More than the largest grids of usual applications show, seven by seven.
const VIDEO_SECTIONS_DEFAULT: u16 = 50;
/// What rolling upgrades are planned with. A unit of systemd has to allow some seconds more (`TimeoutStopSec`).
const DRAIN_DEADLINE_DEFAULT: Duration = Duration::from_secs(120);
/// Placeholders for a first try, on loopback alone.
const DEVELOPMENT_KEY: (&str, &str) = ("devkey", "secret");
const DEVELOPMENT_MESH_SECRET: &str = "a development mesh on loopback";

/// What the conversion asks of the machine.
pub struct Machine<'a> {
    /// Number of cores.
    pub cores: usize,
    /// Reads a file to text.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// `RUST_LOG`, which counts when `log` is not set.
    pub rust_log: Option<String>,
}

/// The one way to a [`Config`].
pub fn check(raw: RawConfig, machine: &Machine<'_>) -> Result<Config, Faults> {
    let mut reader = Reader::new(raw);
    let config = read(&mut reader, machine);
    if reader.faults.is_empty() { Ok(config) } else { Err(Faults(reader.faults)) }
}

/// Where the metrics listener is; of all settings those alone are looked at that say so.
pub fn metrics_address(raw: RawConfig) -> Result<SocketAddr, Faults> {
    let mut reader = Reader::new(raw);
    let http = reader.whole("port", 1, u16::MAX - 3).unwrap_or(PORT_DEFAULT);
    let address = read_metrics(&mut reader, http);
    if reader.faults.is_empty() { Ok(address) } else { Err(Faults(reader.faults)) }
}

fn read_metrics(reader: &mut Reader, http: u16) -> SocketAddr {
    let port = reader.whole("metrics_port", 1, u16::MAX).unwrap_or(http + 2);
    SocketAddr::new(reader.ip("metrics_bind").unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port)
}

fn read(reader: &mut Reader, machine: &Machine<'_>) -> Config {
    let bind = reader.ip("bind").unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (region, latitude, longitude) = read_place(reader);
    let (country, continent) = routing::read_land(reader, &region);
    let media_bind = read_media_bind(reader);
    let ports = read_ports(reader, bind, media_bind.unwrap_or(bind), machine);
    let advertise = read_advertise(reader, bind);
    let url = read_url(reader, advertise[0], ports.http.port());
    let (seeds, mesh_secret) = (read_seeds(reader), read_mesh_secret(reader, bind, machine));
    let keys = read_keys(reader, bind);
    Config {
        region,
        latitude,
        longitude,
        routing: routing::read(reader, &country),
        country,
        continent,
        url,
        http: ports.http,
        quic: ports.quic,
        metrics: ports.metrics,
        media: ports.media,
        media_advertise: media_bind.map_or_else(|| advertise.clone(), |address| vec![address]),
        advertise,
        seeds,
        link_rates_bps: read_link_rates(reader),
        limits: limits::read(reader),
        drain_deadline: reader.time("drain_deadline").unwrap_or(DRAIN_DEADLINE_DEFAULT),
        mesh_secret,
        data_dir: reader.text("data_dir").unwrap_or_else(|| "origo-data".to_owned()).into(),
        webhooks: webhooks::read(reader, &keys, machine),
        keys,
        geoip: reader.text("geoip").map(PathBuf::from),
        trusted_proxies: read_proxies(reader),
        demo: read_demo(reader, bind),
        bwe: reader.switch("bwe").unwrap_or(true),
        egress: read_egress(reader),
        sockets_per_address: reader
            .whole("sockets_per_address", 1, SOCKETS_PER_ADDRESS_MAX)
            .unwrap_or(SOCKETS_PER_ADDRESS_DEFAULT)
            .into(),
        audio_loudest: reader.whole("audio_loudest", 0, u16::MAX).unwrap_or(AUDIO_LOUDEST_DEFAULT).into(),
        audio_sections: reader.whole("audio_sections", 0, u16::MAX).unwrap_or(AUDIO_SECTIONS_DEFAULT).into(),
        video_sections: reader.whole("video_sections", 0, u16::MAX).unwrap_or(VIDEO_SECTIONS_DEFAULT).into(),
        media_spread_at: reader.whole("media_spread_at", 1, u16::MAX).unwrap_or(MEDIA_SPREAD_AT_DEFAULT).into(),
        ice_tcp: reader.switch("ice_tcp").unwrap_or(true),
        log: read_log(reader, machine),
    }
}

fn read_egress(reader: &mut Reader) -> Egress {
    let egress = reader.get("egress", "own or str0m", |value| match value.as_str()? {
        "own" => Some(Egress::Own),
        "str0m" => Some(Egress::Str0m),
        _ => None,
    });
    egress.unwrap_or_default()
}

fn read_place(reader: &mut Reader) -> (String, f64, f64) {
    let accepted = "up to 64 letters, digits, - and _";
    let region =
        reader.get("region", accepted, |value| value.as_str().filter(|name| is_region(name)).map(str::to_owned));
    let region = region.unwrap_or_else(|| "local".to_owned());
    if reader.is_set("latitude") != reader.is_set("longitude") {
        let missing = if reader.is_set("latitude") { "longitude" } else { "latitude" };
        reader.refuse(missing, "latitude and longitude together, or none of them");
    }
    let city = region::find(&region);
    let latitude = reader.degrees("latitude", 90.0).or(city.map(|city| city.latitude));
    let longitude = reader.degrees("longitude", 180.0).or(city.map(|city| city.longitude));
    (region, latitude.unwrap_or(0.0), longitude.unwrap_or(0.0))
}

fn is_region(name: &str) -> bool {
    let allowed = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    (1..=64).contains(&name.chars().count()) && name.chars().all(allowed)
}

struct Ports {
    http: SocketAddr,
    quic: SocketAddr,
    metrics: SocketAddr,
    media: Vec<SocketAddr>,
}

fn read_ports(reader: &mut Reader, bind: IpAddr, media_bind: IpAddr, machine: &Machine<'_>) -> Ports {
    let http = reader.whole("port", 1, u16::MAX - 3).unwrap_or(PORT_DEFAULT);
    let quic = reader.whole("quic_port", 1, u16::MAX).unwrap_or(http + 1);
    let metrics = read_metrics(reader, http);
    let first = reader.whole("media_port", 1, u16::MAX).unwrap_or(http + 3);
    let cores = u16::try_from(machine.cores).unwrap_or(WORKERS_MAX).clamp(1, WORKERS_MAX);
    let workers = reader.whole("workers", 1, WORKERS_MAX).unwrap_or(cores);
    let last = first.checked_add(workers - 1);
    if last.is_none() {
        reader.refuse("media_port", format!("a port with {workers} ports from there up to 65535, one per worker"));
    }
    if metrics.port() == http {
        reader.refuse("metrics_port", "another port than `port`");
    }
    let last = last.unwrap_or(u16::MAX);
    if (first..=last).contains(&quic) {
        reader.refuse("quic_port", format!("a port that no media worker has ({first} to {last})"));
    }
    Ports {
        http: SocketAddr::new(bind, http),
        quic: SocketAddr::new(bind, quic),
        metrics,
        media: (first..=last).map(|port| SocketAddr::new(media_bind, port)).collect(),
    }
}

/// Clients are told this address, so that it is one.
fn read_media_bind(reader: &mut Reader) -> Option<IpAddr> {
    let address = reader.ip("media_bind")?;
    if address.is_unspecified() {
        reader.refuse("media_bind", "an address that clients can send to; no wildcard");
    }
    Some(address)
}

/// Never empty, so that the rest of the check can go on.
fn read_advertise(reader: &mut Reader, bind: IpAddr) -> Vec<IpAddr> {
    let accepted = "IP addresses that others can reach, such as [\"203.0.113.7\"]; no wildcard";
    let item = |text: &str| text.parse::<IpAddr>().ok().filter(|address| !address.is_unspecified());
    let advertise = reader.list("advertise", accepted, item).unwrap_or_default();
    if !advertise.is_empty() {
        return advertise;
    }
    if bind.is_unspecified() {
        reader.refuse("advertise", format!("required, because bind is the wildcard {bind}: {accepted}"));
    }
    vec![bind]
}

fn read_url(reader: &mut Reader, address: IpAddr, port: u16) -> String {
    let accepted = "a URL that begins with ws:// or wss://";
    let url = reader.get("url", accepted, |value| {
        let url = value.as_str()?.trim_end_matches('/');
        let host = url.strip_prefix("ws://").or_else(|| url.strip_prefix("wss://"))?;
        (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| url.to_owned())
    });
    url.unwrap_or_else(|| format!("ws://{}", SocketAddr::new(address, port)))
}

fn read_seeds(reader: &mut Reader) -> Vec<String> {
    let item = |text: &str| {
        let (host, port) = text.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| text.to_owned())
    };
    reader.list("seeds", "addresses such as [\"node1.example.com:7881\"]", item).unwrap_or_default()
}

fn read_link_rates(reader: &mut Reader) -> BTreeMap<String, u64> {
    let item = |text: &str| {
        let (peer, rate) = text.split_once('=')?;
        Some((Some(peer.trim()).filter(|peer| is_region(peer))?.to_owned(), read_rate(rate.trim())?))
    };
    let accepted = "regions or node ids with a rate each, such as [\"virginia=200Mbps\"]; 1Mbps to 100Gbps";
    reader.list("link_rates", accepted, item).unwrap_or_default().into_iter().collect()
}

/// Bits per second.
pub(super) fn read_rate(text: &str) -> Option<u64> {
    let (number, unit) = [("Mbps", 1_000_000), ("Gbps", 1_000_000_000)]
        .into_iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), unit)))?;
    let rate = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1_000_000..=100_000_000_000).contains(&rate).then_some(rate)
}

fn read_mesh_secret(reader: &mut Reader, bind: IpAddr, machine: &Machine<'_>) -> Secret {
    let accepted = format!("a text of at least {SECRET_BYTES_MIN} bytes, the same on every node");
    if reader.is_set("mesh_secret") && reader.is_set("mesh_secret_file") {
        reader.refuse("mesh_secret_file", "either mesh_secret or mesh_secret_file");
    }
    let long = |text: &str| (text.len() >= SECRET_BYTES_MIN).then(|| Secret::new(text));
    let given = reader.get("mesh_secret", &accepted, |value| long(value.as_str()?));
    let from_file = reader.text("mesh_secret_file").and_then(|path| match (machine.read_file)(Path::new(&path)) {
        Ok(text) => long(text.trim()).or_else(|| {
            reader.refuse("mesh_secret_file", format!("a file that holds {accepted}"));
            None
        }),
        Err(error) => {
            reader.refuse("mesh_secret_file", format!("a file that can be read ({error})"));
            None
        }
    });
    if !reader.is_set("mesh_secret") && !reader.is_set("mesh_secret_file") && !bind.is_loopback() {
        reader.refuse("mesh_secret", format!("required, because bind is not loopback: {accepted}"));
    }
    given.or(from_file).unwrap_or_else(|| Secret::new(DEVELOPMENT_MESH_SECRET))
}

fn read_keys(reader: &mut Reader, bind: IpAddr) -> Keys {
    let guessable = bind.is_loopback();
    let file = reader.raw().file.clone().unwrap_or_default();
    let table = reader.raw().keys.clone();
    let mut keys = keys::read(&table, &file, guessable, &mut reader.faults);
    match (reader.text("api_key"), reader.text("api_secret")) {
        (Some(id), Some(secret)) => match check_secret(&secret, guessable) {
            Ok(()) => keys.insert(id, secret, PROJECT_DEFAULT),
            Err(accepted) => reader.refuse("api_secret", accepted),
        },
        (Some(_), None) => reader.refuse("api_secret", "required together with api_key"),
        (None, Some(_)) => reader.refuse("api_key", "required together with api_secret"),
        (None, None) if table.is_empty() && guessable => {
            keys.insert(DEVELOPMENT_KEY.0, DEVELOPMENT_KEY.1, PROJECT_DEFAULT);
        }
        (None, None) if table.is_empty() => {
            reader.refuse("api_key", "required, because bind is not loopback: api_key and api_secret, or [keys.<id>]");
        }
        (None, None) => {}
    }
    keys
}

fn read_proxies(reader: &mut Reader) -> Vec<super::Cidr> {
    let accepted = "blocks such as [\"10.0.0.0/8\"]";
    reader.list("trusted_proxies", accepted, |text| text.parse().ok()).unwrap_or_default()
}

fn read_demo(reader: &mut Reader, bind: IpAddr) -> bool {
    let demo = reader.switch("demo").unwrap_or(false);
    if demo && !bind.is_loopback() {
        reader.refuse("demo", format!("false, because bind is {bind} and not loopback"));
    }
    demo
}

fn read_log(reader: &mut Reader, machine: &Machine<'_>) -> LogConfig {
    let accepted = "a level (error, warn, info, debug, trace) or a filter such as info,origo_node=debug";
    let filter = reader.get("log", accepted, |value| {
        let filter = value.as_str()?;
        tracing_subscriber::EnvFilter::try_new(filter).ok().map(|_| filter.to_owned())
    });
    let format = reader.get("log_format", "json or text", |value| match value.as_str()? {
        "json" => Some(LogFormat::Json),
        "text" => Some(LogFormat::Text),
        _ => None,
    });
    let filter = filter.or_else(|| machine.rust_log.clone()).unwrap_or_else(|| LEVEL_DEFAULT.to_owned());
    LogConfig::new(format.unwrap_or(LogFormat::Json), &filter)
}
