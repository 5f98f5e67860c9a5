//! The settings of a node: one table from which flags, environment variables, the file's keys and the help come.

/// One setting. Its flag is `--name-with-dashes`, its variable `ORIGO_NAME`, its key in the file `name`.
#[derive(Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// What stands for the value in the help.
    pub value: &'static str,
    /// The default in words; empty when there is none.
    pub default: &'static str,
    /// What for.
    pub help: &'static str,
    /// Its value is never shown.
    pub secret: bool,
}

impl Key {
    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("ORIGO_{}", self.name.to_uppercase())
    }

    /// Its flag, without the dashes in front.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

const fn key(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, value, default, help, secret: false }
}

const fn secret(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Key {
    Key { name, value, default, help, secret: true }
}

/// All settings, in the order of the help.
pub const KEYS: &[Key] = &[
    key("region", "NAME", "local", "Region that this node serves; for a known city the coordinates follow"),
    key("latitude", "DEGREES", "that of the region, else 0", "Degrees north, -90 to 90"),
    key("longitude", "DEGREES", "that of the region, else 0", "Degrees east, -180 to 180"),
    key(
        "country",
        "CODE",
        "that of the region",
        "Country where the node stands (ISO 3166-1), which residency asks for",
    ),
    key("continent", "CODE", "that of the country", "Continent (AF, AN, AS, EU, NA, OC, SA), which prices ask for"),
    key("bind", "IP", "127.0.0.1", "Address that HTTP, links and media are bound to"),
    key(
        "advertise",
        "IP,…",
        "the bind address",
        "Addresses under which others reach this node; required with a wildcard",
    ),
    key("port", "PORT", "7880", "HTTP and WebSocket (TCP)"),
    key("url", "URL", "ws://<address>:<port>", "What clients take as this node's server URL, ws:// or wss://"),
    key("quic_port", "PORT", "port + 1", "Links to other nodes (UDP)"),
    key("metrics_port", "PORT", "port + 2", "Prometheus metrics (TCP), a listener of its own"),
    key("metrics_bind", "IP", "127.0.0.1", "Address that the metrics page is bound to"),
    key("media_port", "PORT", "port + 3", "Media port of the first worker (UDP); each further worker takes the next"),
    key("media_bind", "IP", "the bind address", "Address that media is bound to, and that clients are told for it"),
    key("workers", "COUNT", "the number of cores", "Media threads, 1 to 64"),
    key(
        "media_spread_at",
        "COUNT",
        "1000",
        "Tracks sent to clients from which on a worker's rooms spread over others, 1 to 65535",
    ),
    key("ice_tcp", "BOOL", "true", "Media over TCP on the HTTP port, for clients without UDP"),
    key("seeds", "HOST:PORT,…", "none", "Link addresses of nodes to begin with; one that answers is enough"),
    key("link_rates", "PEER=RATE,…", "none", "What paths to regions or nodes carry, such as virginia=200Mbps"),
    key("relay_policy", "NAME", "tree", "How media reaches other nodes: tree, direct, star or mesh"),
    key(
        "drain_deadline",
        "TIME",
        "120s",
        "How long a node that is told to end (SIGTERM) moves its people elsewhere first; 0 ends at once",
    ),
    key("overload", "BOOL", "true", "Refuse newcomers, then shed layers, then relays, when something runs short"),
    key("cpu_full", "PERCENT", "85", "From which share of the processors on the node is full, 1 to 100"),
    key("memory_limit", "SIZE", "the machine's or its control group's", "Memory that the node may use, such as 2GB"),
    key("egress_limit", "RATE", "none", "What the node may send to clients and other nodes, such as 500Mbps"),
    key("ingress_limit", "RATE", "none", "What it may receive from them"),
    key("overload_recovery", "TIME", "10s", "How long nothing is short before the node takes one step back"),
    secret("mesh_secret", "TEXT", "a development secret, on loopback alone", "What makes a node one of this mesh"),
    key("mesh_secret_file", "FILE", "none", "A file that holds the mesh secret, instead of mesh_secret"),
    key("data_dir", "FOLDER", "origo-data", "Where the node keeps its key (created, readable by its owner alone)"),
    key("api_key", "ID", "devkey, on loopback alone", "An API key's id; more of them go into the file as [keys.<id>]"),
    secret("api_secret", "TEXT", "secret, on loopback alone", "The secret of api_key, which signs tokens"),
    key("webhook_urls", "URL,…", "none", "Where applications are told what happens in rooms (http or https)"),
    key("webhook_api_key", "ID", "api_key", "The API key that signs webhooks; rooms of its project are told of"),
    key(
        "webhook_ca_file",
        "FILE",
        "none",
        "Authorities (PEM) that receivers over https are trusted by, besides the system's",
    ),
    key("geoip", "FILE", "the embedded country table", "Location database in MaxMind's format (.mmdb)"),
    key("trusted_proxies", "CIDR,…", "none", "Proxies whose X-Forwarded-For counts"),
    key("bwe", "BOOL", "true", "Estimate each subscriber's bandwidth"),
    key("sockets_per_address", "COUNT", "1024", "Signaling sockets that one address may have open, 1 to 16384"),
    key("audio_loudest", "COUNT", "10", "Sounds that a client gets at once, the loudest of its room; 0 for all"),
    key(
        "audio_sections",
        "COUNT",
        "50",
        "Sounds for which a client has sections, those that were loud last; 0 for all",
    ),
    key(
        "video_sections",
        "COUNT",
        "50",
        "Pictures for which a client has sections: those it shows or asked for, then of who spoke last; 0 for all",
    ),
    key("egress", "own|str0m", "own", "Which way media leave to clients"),
    key("demo", "BOOL", "false", "Hand out tokens to everybody who asks; on loopback alone"),
    key("log", "FILTER", "info", "What is logged, in the syntax of RUST_LOG (which is heard too)"),
    key("log_format", "json|text", "json", "Shape of the log lines on stderr"),
];

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
