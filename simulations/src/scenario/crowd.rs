//! `[[people]]`: rooms drawn at random from the seed.

use rand::Rng;
use rand::seq::index::sample;

use super::media::{self, Takes};
use super::reader::Section;
use super::room::{Group, Room, read_client};
use super::stay;
use super::topology::Topology;
use crate::dice::dice;

pub(super) fn read(root: &Section<'_>, topology: &Topology, seed: u64) -> Vec<Room> {
    let mut rooms = Vec::new();
    for (number, section) in root.tables("people").into_iter().enumerate() {
        rooms.extend(read_one(section, topology, seed, number + 1));
    }
    rooms
}

fn read_one(section: Section<'_>, topology: &Topology, seed: u64, number: usize) -> Vec<Room> {
    let count = section.whole("rooms", 1, 100_000);
    let size = section.whole("size", 1, 10_000).unwrap_or(4);
    let size_max = section.whole("size_max", size, 10_000).unwrap_or(size);
    let nodes_max = section.whole("nodes_per_room", 1, 300).unwrap_or(4) as usize;
    let publishers = section.number("publishing", 0.0, 1.0).unwrap_or(1.0);
    let media = media::read(&section);
    let takes = media::read_takes(&section, Some(Takes { layer: Some(1), audio: true }));
    let (stay, client) = (stay::read(&section), read_client(&section));
    let name = section.text("name", "a name for these rooms").unwrap_or_else(|| format!("people{number}"));
    if count.is_none() && !section.has("rooms") {
        section.refuse("rooms", "missing", "how many rooms are drawn");
    }
    section.finish();
    if topology.nodes.is_empty() {
        return Vec::new();
    }
    let draw = |room: u64| {
        let room_name = format!("{name}-{room}");
        let mut dice = dice(seed, &room_name);
        let nodes = sample(&mut dice, topology.nodes.len(), nodes_max.min(topology.nodes.len())).into_vec();
        let people = dice.random_range(size..=size_max);
        let groups = (0..people).map(|person| Group {
            node: nodes[person as usize % nodes.len()],
            count: 1,
            publishes: (dice.random::<f64>() < publishers || person == 0).then(|| media.clone()),
            takes,
            stay: stay.clone(),
            client,
        });
        Room { groups: groups.collect(), name: room_name, countries: Vec::new() }
    };
    (1..=count.unwrap_or(0)).map(draw).collect()
}
