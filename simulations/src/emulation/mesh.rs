//! A mesh that is up: namespaces, the wide area between them, and a node in each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use origo_auth::{Claims, Secret, VideoGrant};
use rand::Rng;

use super::namespace::{self, Lock, Namespace};
use super::program::{Program, Programs};
use super::settings::{self, HTTP_PORT, METRICS_PORT};
use super::wan::{NODES_MAX, Tun, Wan, address};
use super::{http, interrupt};
use crate::scenario::Scenario;

/// How long nodes may take until all of them see each other and have measured their links.
const READY_WITHIN: Duration = Duration::from_secs(60);
const ASKS_EVERY: Duration = Duration::from_millis(100);
/// How long tokens are good for, seconds.
const TOKEN_LASTS: u64 = 6 * 3600;
/// What nodes log.
const LOG: &str = "info,str0m=warn,str0m_proto=warn,chitchat=warn,quinn=warn,rustls=warn";

/// One node.
#[derive(Debug)]
pub struct Node {
    /// As the scenario calls it.
    pub name: String,
    /// Its id in the mesh, once it has said it.
    pub id: String,
    /// It drains, and ends when it is done.
    pub may_end: bool,
    /// `None` while it is dead.
    program: Option<Program>,
    namespace: Namespace,
    folder: PathBuf,
}

/// See the module. Fields are dropped in this order: nodes before the wide area, and namespaces last.
#[derive(Debug)]
pub struct Mesh {
    /// In the order of the scenario.
    pub nodes: Vec<Node>,
    /// What lies between them.
    pub wan: Wan,
    /// `origo` with orders to nodes.
    orders: Vec<Program>,
    programs: Programs,
    keys: Keys,
    folder: Folder,
    _lock: Lock,
}

/// What a mesh's nodes share.
struct Keys {
    api_key: String,
    api_secret: Secret,
    mesh_secret: Secret,
}

/// How a mesh is brought up.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is started.
    pub programs: Programs,
    /// Where nodes keep their keys and logs; a temporary folder when nothing is said.
    pub folder: Option<PathBuf>,
    /// Nodes estimate what their clients can take.
    pub estimates: bool,
    /// Namespaces, devices and logs outlive the run.
    pub keep: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("api_key", &self.api_key).finish_non_exhaustive()
    }
}

impl Keys {
    fn random() -> Self {
        let mut dice = rand::rng();
        let mut hex = |letters: usize| (0..letters).map(|_| format!("{:x}", dice.random_range(0..16))).collect();
        let (id, secret, mesh): (String, String, String) = (hex(12), hex(64), hex(64));
        Self { api_key: format!("API{id}"), api_secret: Secret::new(secret), mesh_secret: Secret::new(mesh) }
    }
}

/// Where nodes keep things.
#[derive(Debug)]
enum Folder {
    Temporary(PathBuf),
    Kept(PathBuf),
}

/// What names of temporary folders begin with.
const FOLDER_PREFIX: &str = "origo-sim-";

/// Removes what earlier runs left: namespaces with what runs in them, and folders. Gives their names. To be called with the
/// lock.
pub fn remove_leftovers(_lock: &Lock) -> anyhow::Result<Vec<String>> {
    let mut left = namespace::remove_leftovers()?;
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX);
        if is_ours && entry.path().is_dir() {
            let path = entry.path().display().to_string();
            std::fs::remove_dir_all(entry.path()).with_context(|| format!("removing {path}"))?;
            left.push(path);
        }
    }
    Ok(left)
}

impl Folder {
    fn open(options: &Options) -> anyhow::Result<Self> {
        let temporary = std::env::temp_dir().join(format!("{FOLDER_PREFIX}{}", std::process::id()));
        let folder = match (&options.folder, options.keep) {
            (Some(folder), _) => Self::Kept(folder.clone()),
            (None, true) => Self::Kept(temporary),
            (None, false) => Self::Temporary(temporary),
        };
        let path = folder.path();
        std::fs::create_dir_all(path).with_context(|| format!("making the folder {}", path.display()))?;
        Ok(folder)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(path) | Self::Kept(path) => path,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Temporary(path) = self
            && let Err(error) = std::fs::remove_dir_all(&*path)
        {
            eprintln!("origo-sim: the folder {} stays: {error}", path.display());
        }
    }
}

impl Mesh {
    /// Brings it up, and waits until every node sees the others and has measured its links.
    pub fn up(scenario: &Scenario, options: &Options) -> anyhow::Result<Self> {
        let topology = &scenario.topology;
        let count = topology.nodes.len();
        ensure!(count <= NODES_MAX, "{count} nodes; an emulated mesh has at most {NODES_MAX}");
        let lock = Lock::take()?;
        let left = remove_leftovers(&lock)?;
        if !left.is_empty() {
            eprintln!("origo-sim: removed what an earlier run left: {}", left.join(", "));
        }
        let folder = Folder::open(options)?;
        let names: Vec<String> = topology.nodes.iter().map(|node| node.name.clone()).collect();
        let (mut nodes, mut tuns) = (Vec::new(), Vec::new());
        for (place, name) in names.iter().enumerate() {
            let mut namespace = Namespace::make(&spelled(name, place, &names))?;
            let tun = Tun::open(&namespace, address(place))?;
            if options.keep {
                tun.keep().context("keeping a device")?;
                namespace.keep();
            }
            tuns.push(tun);
            let folder = folder.path().join(spelled(name, place, &names));
            std::fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
            nodes.push(Node {
                name: name.clone(),
                id: String::new(),
                may_end: false,
                program: None,
                namespace,
                folder,
            });
        }
        let wan = Wan::start(tuns, &names, &topology.lines, scenario.seed)?;
        let mut mesh = Self {
            nodes,
            wan,
            orders: Vec::new(),
            programs: options.programs.clone(),
            keys: Keys::random(),
            folder,
            _lock: lock,
        };
        for place in 0..count {
            let file = mesh.nodes[place].folder.join("origo.toml");
            let text = settings::file(scenario, place, options.estimates);
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
            mesh.start(place)?;
        }
        mesh.ready()?;
        Ok(mesh)
    }

    /// Starts a node that is not there.
    pub fn start(&mut self, place: usize) -> anyhow::Result<()> {
        let node = &self.nodes[place];
        let mut command = Command::new(&self.programs.origo);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORIGO_")) {
            command.env_remove(name);
        }
        command.arg("node").arg("--config").arg(node.folder.join("origo.toml"));
        command.arg("--data-dir").arg(node.folder.join("data")).args(["--log", LOG]);
        command.env("ORIGO_API_KEY", &self.keys.api_key).env("ORIGO_API_SECRET", self.keys.api_secret.expose());
        command.env("ORIGO_MESH_SECRET", self.keys.mesh_secret.expose());
        let program = Program::start(&mut command, &node.namespace, &node.log())?;
        (self.nodes[place].program, self.nodes[place].may_end) = (Some(program), false);
        Ok(())
    }

    /// Starts a node anew, under the identity that it had; one that lives is killed first.
    pub fn restart(&mut self, place: usize) -> anyhow::Result<()> {
        self.kill(place);
        self.start(place)
    }

    /// Runs `origo` with these words beside a node, and does not wait for it.
    pub fn order(&mut self, place: usize, words: &[&str]) -> anyhow::Result<()> {
        let node = &self.nodes[place];
        let mut command = Command::new(&self.programs.origo);
        command.args(words);
        self.orders.push(Program::start(&mut command, &node.namespace, &node.folder.join("orders.log"))?);
        Ok(())
    }

    /// Kills a node, as a loss of power would.
    pub fn kill(&mut self, place: usize) {
        // Dropping a program kills it.
        self.nodes[place].program = None;
    }

    /// Sends a node a signal, if it lives.
    pub fn signal(&mut self, place: usize, signal: i32) {
        if let Some(program) = &mut self.nodes[place].program {
            program.signal(signal);
        }
    }

    /// Whether a node was told to drain and has ended.
    pub fn has_ended(&mut self, place: usize) -> bool {
        let node = &mut self.nodes[place];
        node.may_end && node.program.as_mut().is_none_or(|program| program.ended().is_some())
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        let count = self.nodes.len();
        for place in 0..count {
            while !self.nodes[place].is_ready(place, count) {
                interrupt::look()?;
                self.look_for_ends()?;
                let name = &self.nodes[place].name;
                ensure!(Instant::now() < until, "{name} did not see its {count} nodes within {READY_WITHIN:?}");
                std::thread::sleep(ASKS_EVERY);
            }
        }
        Ok(())
    }

    /// An error when a node has ended that nobody killed.
    pub fn look_for_ends(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            if let Some(program) = &mut node.program
                && let Some(status) = program.ended()
                && !(node.may_end && status.success())
            {
                bail!("the node {} ended by itself ({status}):\n{}", node.name, program.last_words());
            }
        }
        Ok(())
    }

    /// What lets a person into a room, on any node.
    pub fn token(&self, room: &str, identity: &str) -> anyhow::Result<String> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let claims = Claims {
            iss: self.keys.api_key.clone(),
            sub: identity.to_owned(),
            name: identity.to_owned(),
            nbf: now.saturating_sub(5),
            exp: now + TOKEN_LASTS,
            video: VideoGrant { room_join: true, room: room.to_owned(), ..VideoGrant::default() },
            ..Claims::default()
        };
        Ok(origo_auth::mint(&claims, &self.keys.api_secret))
    }

    /// `origo-load`, with whatever a run gives it.
    pub fn load(&self) -> Command {
        Command::new(&self.programs.load)
    }

    /// Where logs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Node {
    /// Its process; `None` while it is dead.
    pub fn program(&mut self) -> Option<&mut Program> {
        self.program.as_mut()
    }

    /// Where it runs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What it keeps on disk.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it says.
    pub fn log(&self) -> PathBuf {
        self.folder.join("node.log")
    }

    /// Its figures, by metric and labels as Prometheus writes them; `None` when it does not answer.
    pub fn metrics(&self) -> Option<BTreeMap<String, f64>> {
        let page = http::get(&self.namespace, SocketAddr::from(([127, 0, 0, 1], METRICS_PORT)), "/metrics").ok()?;
        let figures = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Some(figures.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// What it says about itself; `None` when it does not answer.
    pub fn health(&self, place: usize) -> Option<serde_json::Value> {
        let body = http::get(&self.namespace, SocketAddr::from((address(place), HTTP_PORT)), "/health").ok()?;
        serde_json::from_str(&body).ok()
    }

    fn is_ready(&mut self, place: usize, count: usize) -> bool {
        let Some(health) = self.health(place) else { return false };
        self.id = health["id"].as_str().unwrap_or_default().to_owned();
        let sees = health["status"] == "ok" && health["nodes"].as_u64() >= Some(count as u64);
        sees && self.metrics().is_some_and(|metrics| {
            metrics.keys().filter(|name| name.starts_with("origo_link_rtt_seconds{")).count() + 1 >= count
        })
    }
}

/// A node's name as one of a namespace: lower case letters, digits and hyphens, unique.
fn spelled(name: &str, place: usize, names: &[String]) -> String {
    let spell = |name: &str| -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
    };
    let spelled = spell(name);
    let is_taken = names[..place].iter().any(|other| spell(other) == spelled);
    if is_taken { format!("{spelled}-{}", place + 1) } else { spelled }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_namespaces_are_plain_and_unique() {
        let names = ["West Europe", "west-europe", "Größe"].map(str::to_owned);
        let spelled: Vec<String> = (0..3).map(|place| super::spelled(&names[place], place, &names)).collect();
        assert_eq!(spelled, ["west-europe", "west-europe-2", "gr--e"]);
    }
}
