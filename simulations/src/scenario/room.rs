//! `[[room]]`: who meets, on which nodes, and what they send and take.

use super::media::{self, Media, Takes};
use super::reader::Section;
use super::stay::{self, Stay};
use super::topology::Topology;
use super::tree::Value;

/// People of one kind in one scenario.
const PEOPLE_MAX: u64 = 1_000_000;

/// A room.
#[derive(Clone, Debug, PartialEq)]
pub struct Room {
    /// Its name.
    pub name: String,
    /// Countries that its media may touch; empty for all.
    pub countries: Vec<String>,
    /// Who is in it.
    pub groups: Vec<Group>,
}

/// People on one node who do the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which of the scenario's nodes serves them.
    pub node: usize,
    /// How many.
    pub count: usize,
    /// What each publishes.
    pub publishes: Option<Media>,
    /// What each takes of everybody else.
    pub takes: Option<Takes>,
    /// When they are there.
    pub stay: Stay,
    /// What they use.
    pub client: Client,
}

/// How long people need until they are back when their node is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// `@origo/client`, which keeps a second node warm.
    #[default]
    Origo,
    /// Any other SDK of LiveKit.
    Stock,
}

const CLIENTS: &str = "\"origo\" or \"stock\"";

pub(super) fn read_client(section: &Section<'_>) -> Client {
    let client = section.get("client", CLIENTS, |value| match value {
        Value::Text(name) if name == "origo" => Some(Client::Origo),
        Value::Text(name) if name == "stock" => Some(Client::Stock),
        _ => None,
    });
    client.unwrap_or_default()
}

pub(super) fn read(root: &Section<'_>, topology: &Topology) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    for section in root.tables("room") {
        let name = section.text("name", "a name");
        if name.is_none() && !section.has("name") {
            section.refuse("name", "missing", "a name");
        }
        let countries = section.texts("countries", "countries such as [\"DE\", \"FR\"]");
        let mut groups = Vec::new();
        for group in section.tables("publishers") {
            groups.extend(read_group(group, topology, true));
        }
        for group in section.tables("viewers") {
            groups.extend(read_group(group, topology, false));
        }
        if !section.has("publishers") && !section.has("viewers") {
            section.refuse("publishers", "a room without nodes", "publishers or viewers, each with a node");
        }
        let Some(name) = name else { continue };
        if rooms.iter().any(|room| room.name == name) {
            section.refuse("name", format!("a second room {name:?}"), "a name of its own for each room");
        }
        section.finish();
        rooms.push(Room { name, countries, groups });
    }
    rooms
}

fn read_group(section: Section<'_>, topology: &Topology, publish: bool) -> Vec<Group> {
    let nodes = nodes_of(&section, topology);
    let count = section.whole("count", 1, PEOPLE_MAX).unwrap_or(1) as usize;
    let spread = section.switch("spread").unwrap_or(false);
    let publishes = publish.then(|| media::read(&section));
    let takes = media::read_takes(&section, (!publish).then_some(Takes { layer: Some(2), audio: true }));
    let (stay, client) = (stay::read(&section), read_client(&section));
    section.finish();
    let places = nodes.len().max(1);
    // With `spread` the people are dealt out over the nodes; else each node has as many.
    let share = |place: usize| if spread { count / places + usize::from(place < count % places) } else { count };
    let groups = nodes.into_iter().enumerate().map(|(place, node)| Group {
        node,
        count: share(place),
        publishes: publishes.clone(),
        takes,
        stay: stay.clone(),
        client,
    });
    groups.filter(|group| group.count > 0).collect()
}

/// The nodes of a group: one name or region, or several.
pub(super) fn nodes_of(section: &Section<'_>, topology: &Topology) -> Vec<usize> {
    if !section.has("node") {
        section.refuse("node", "nobody can be nowhere", topology.names());
    }
    let mut nodes = Vec::new();
    for name in section.texts("node", &topology.names()) {
        let found = topology.find(&name);
        if found.is_empty() {
            section.refuse("node", format!("there is no node {name:?}"), topology.names());
        }
        nodes.extend(found);
    }
    nodes
}
