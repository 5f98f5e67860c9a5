//! `[[at]]`: what changes while a scenario runs.

use std::time::Duration;

use super::line::{self, Patch};
use super::media::{self, Takes};
use super::reader::Section;
use super::room::Room;
use super::topology::{Topology, Which, read_which};

/// Something that changes at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What changes.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Links.
    Links(Which, Patch),
    /// What those who are in a room take.
    Takes {
        /// The room, by its place in the scenario; all when `None`.
        room: Option<usize>,
        /// The node, by its place; all when `None`.
        node: Option<Vec<usize>>,
        /// What they take from now on.
        takes: Takes,
    },
}

const WHAT: &str = "link = { from, to, … } or viewers = { room, node, layer }";

pub(super) fn read(root: &Section<'_>, topology: &Topology, rooms: &[Room]) -> Vec<Change> {
    let mut changes: Vec<Change> = root.tables("at").into_iter().flat_map(|it| read_one(it, topology, rooms)).collect();
    changes.sort_by_key(|change| change.at);
    changes
}

fn read_one(section: Section<'_>, topology: &Topology, rooms: &[Room]) -> Vec<Change> {
    let at = section.duration("at");
    if at.is_none() && !section.has("at") {
        section.refuse("at", "missing", "when it changes");
    }
    let every = section.duration("every").filter(|every| !every.is_zero());
    let times = section.whole("times", 1, 10_000).unwrap_or(1) as u32;
    if section.has("times") && every.is_none() {
        section.refuse("every", "missing", "every together with times");
    }
    let mut changed = Vec::new();
    if let Some(table) = section.table("link") {
        let which = read_which(&table, topology);
        let patch = line::read(&table);
        table.finish();
        changed.extend(which.map(|which| What::Links(which, patch)));
    }
    if let Some(table) = section.table("viewers") {
        changed.extend(read_takes(table, topology, rooms));
    }
    if !section.has("link") && !section.has("viewers") {
        section.refuse("link", "nothing changes", WHAT);
    }
    section.finish();
    let instants = (0..times).map(|time| at.unwrap_or_default() + every.unwrap_or_default() * time);
    instants.flat_map(|at| changed.iter().map(move |what| Change { at, what: what.clone() })).collect()
}

fn read_takes(table: Section<'_>, topology: &Topology, rooms: &[Room]) -> Option<What> {
    let names: Vec<&str> = rooms.iter().map(|room| room.name.as_str()).collect();
    let name = table.text("room", &names.join(", "));
    let room = name.as_ref().and_then(|name| rooms.iter().position(|room| room.name == *name));
    if let (Some(name), None) = (&name, room) {
        table.refuse("room", format!("there is no room {name:?}"), names.join(", "));
    }
    let node = table.has("node").then(|| super::room::nodes_of(&table, topology));
    let takes = media::read_takes(&table, None);
    if takes.is_none() {
        table.refuse("layer", "missing", "what they take from then on");
    }
    table.finish();
    Some(What::Takes { room, node, takes: takes? })
}
