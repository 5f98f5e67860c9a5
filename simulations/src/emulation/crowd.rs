//! The people of a scenario as real participants: one `origo-load` a node, beside it in its namespace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use super::mesh::Mesh;
use super::program::Program;
use super::seen::{self, PersonSeen};
use super::settings::HTTP_PORT;
use super::wan::address;
use crate::chance::{self, SOUNDS_PER_S};
use crate::dice::{dice, hash, mix};
use crate::scenario::{Client, Group, Media, Scenario, Takes, What};

/// Largest payload of an RTP packet, as in the simulator.
const PACKET_BYTES: usize = 1150;
/// Sizes of frames lie within this share of their mean where their dice are not the simulator's.
const FRAME_SPREAD: f64 = 0.25;
/// Two cores carry no more.
pub const PEOPLE_MAX: usize = 400;
/// Makes the chances of somebody who comes back others than those of its voice.
const COMES_BACK: u64 = 1;
/// Somebody who comes and goes does so at most this often.
const STAYS_MAX: usize = 1000;

/// When the simulator's cameras (`true`) and microphones began, ns since the start: real ones have the same beat, so that
/// what meets on a link in one run meets in the other.
pub type Begun = BTreeMap<(String, bool), u64>;

/// Everybody, at work.
#[derive(Debug)]
pub struct Crowd {
    programs: Vec<(usize, Program, PathBuf)>,
}

impl Crowd {
    /// Starts them: the scenario begins at this instant.
    pub fn start(scenario: &Scenario, begun: &Begun, mesh: &Mesh, start_unix_ms: u64) -> anyhow::Result<Self> {
        let people = people(scenario, begun, mesh)?;
        let mut programs = Vec::new();
        for (place, node) in mesh.nodes.iter().enumerate() {
            let here: Vec<&Value> = people.iter().filter(|(at, _)| *at == place).map(|(_, person)| person).collect();
            if here.is_empty() {
                continue;
            }
            let duration_ms = scenario.duration.as_millis() as u64;
            let script = json!({ "start_unix_ms": start_unix_ms, "duration_ms": duration_ms, "people": here });
            let (file, record) = (node.folder().join("people.json"), node.folder().join("people.tsv"));
            std::fs::write(&file, script.to_string()).with_context(|| format!("writing {}", file.display()))?;
            let mut command = mesh.load();
            command.arg("--script").arg(&file).arg("--record").arg(&record);
            let program = Program::start(&mut command, node.namespace(), &node.folder().join("people.log"))?;
            programs.push((place, program, record));
        }
        Ok(Self { programs })
    }

    /// Waits until they are done, and reads what they saw, by node.
    pub fn finish(mut self, patience: Duration) -> anyhow::Result<Vec<(usize, PersonSeen)>> {
        let mut people = Vec::new();
        for (node, program, record) in &mut self.programs {
            let status = program.wait(patience).context("origo-load does not end")?;
            if !status.success() {
                bail!("origo-load ended with {status}:\n{}", program.last_words());
            }
            let text = std::fs::read_to_string(&*record).with_context(|| format!("reading {}", record.display()))?;
            people.extend(seen::read(&text)?.into_iter().map(|person| (*node, person)));
        }
        Ok(people)
    }

    /// An error when one of them ended that should not have.
    pub fn look_for_ends(&mut self) -> anyhow::Result<()> {
        for (_, program, _) in &mut self.programs {
            if let Some(status) = program.ended() {
                bail!("origo-load ended early with {status}:\n{}", program.last_words());
            }
        }
        Ok(())
    }
}

/// Everybody, with the node that serves them.
fn people(scenario: &Scenario, begun: &Begun, mesh: &Mesh) -> anyhow::Result<Vec<(usize, Value)>> {
    let mut people = Vec::new();
    for (room_place, room) in scenario.rooms.iter().enumerate() {
        for (number, group) in room.groups.iter().enumerate() {
            for one in 0..group.count {
                let name = format!("{}/{}/{number}/{one}", room.name, mesh.nodes[group.node].name);
                let token = mesh.token(&room.name, &name)?;
                let takes = takes(scenario, room_place, group);
                // JSON keeps whole numbers exact up to 2^53 in every reader.
                let seed = mix(hash(name.as_bytes()) ^ mix(scenario.seed ^ COMES_BACK)) >> 11;
                for (join, leave) in stays(scenario, group, &name, one == 0) {
                    let mut person = json!({
                        "identity": name, "urls": urls(scenario, group.node), "token": token, "seed": seed, "moves": group.client == Client::Origo, "join_ms": join, "leave_ms": leave, "takes": takes,
                    });
                    if let Some(media) = &group.publishes {
                        let mut dice = chance::person(scenario.seed, &name, one == 0, group.stay.join_within).dice;
                        let beat_us = |is_picture| begun.get(&(name.clone(), is_picture)).map(|at| at / 1000);
                        person["audio"] = audio(media, scenario.seed, &name, beat_us(false), &mut dice);
                        person["video"] = video(media, scenario, beat_us(true), &mut dice);
                    }
                    people.push((group.node, person));
                }
            }
        }
    }
    let count: usize = scenario.rooms.iter().flat_map(|room| &room.groups).map(|group| group.count).sum();
    anyhow::ensure!(count <= PEOPLE_MAX, "{count} people; an emulated mesh on one machine has at most {PEOPLE_MAX}");
    Ok(people)
}

/// A person's own node, and then the next nearest ones.
fn urls(scenario: &Scenario, node: usize) -> Vec<String> {
    let delay = |to: usize| scenario.topology.lines.get(&(node, to)).map_or(Duration::ZERO, |line| line.delay);
    let mut nodes: Vec<usize> = (0..scenario.topology.nodes.len()).collect();
    nodes.sort_by_key(|to| (*to != node, delay(*to)));
    nodes.into_iter().map(|node| format!("ws://{}:{HTTP_PORT}", address(node))).collect()
}

/// `person` gives what the simulator draws of this track too.
fn audio(media: &Media, seed: u64, name: &str, beat_us: Option<u64>, person: &mut SmallRng) -> Value {
    let Some(kbps) = media.audio_kbps else { return Value::Null };
    // JSON keeps whole numbers exact up to 2^53 in every reader.
    let pauses = media.dtx.then(|| mix(hash(name.as_bytes()) ^ mix(seed)) >> 11);
    let track = chance::track(person, seed, SOUNDS_PER_S);
    let beat_us = beat_us.unwrap_or(track.phase / 1000);
    json!({ "kbps": kbps, "pauses": pauses, "beat_us": beat_us })
}

/// The same of pictures.
fn video(media: &Media, scenario: &Scenario, beat_us: Option<u64>, person: &mut SmallRng) -> Value {
    if media.video.is_empty() {
        return Value::Null;
    }
    let mut track = chance::track(person, scenario.seed, media.fps);
    let frames = (scenario.duration.as_secs_f64() * media.fps) as usize;
    let frame_weights: Vec<f64> = (0..frames).map(|_| chance::frame_weight(&mut track.dice)).collect();
    let layers: Vec<Value> = media.video.iter().map(|layer| json!([layer.width, layer.kbps])).collect();
    json!({
        "layers": layers, "fps": media.fps.round() as u32, "packet_bytes": PACKET_BYTES, "frame_spread": FRAME_SPREAD,
        "keyframe_weight": media.keyframe_size,
        "keyframe_every_ms": media.keyframe_every.map(|every| every.as_millis() as u64),
        "frame_weights": frame_weights, "beat_us": beat_us.unwrap_or(track.phase / 1000),
    })
}

/// What a group takes from when on.
fn takes(scenario: &Scenario, room: usize, group: &Group) -> Vec<Value> {
    let Some(first) = group.takes else { return Vec::new() };
    let shown = |at: Duration, takes: Takes| json!({ "at_ms": at.as_millis() as u64, "layer": takes.layer, "audio": takes.audio });
    let later = scenario.changes.iter().filter_map(|change| match &change.what {
        What::Takes { room: of, node, takes } => {
            let is_meant =
                of.is_none_or(|of| of == room) && node.as_ref().is_none_or(|nodes| nodes.contains(&group.node));
            is_meant.then(|| shown(change.at, *takes))
        }
        What::Links(..) => None,
    });
    std::iter::once(shown(Duration::ZERO, first)).chain(later).collect()
}

/// When somebody comes and goes, milliseconds since the start: as in the simulator, though not at the same instants where
/// stays are drawn.
fn stays(scenario: &Scenario, group: &Group, name: &str, is_first: bool) -> Vec<(u64, Option<u64>)> {
    let stay = &group.stay;
    let mut dice = dice(scenario.seed, name);
    let within = stay.join_within.as_nanos() as u64;
    let late = if is_first || within == 0 { 0 } else { dice.random_range(0..within) };
    let mut join = stay.join + Duration::from_nanos(late);
    let mut stays = Vec::new();
    while join < stay.leave.unwrap_or(scenario.duration).min(scenario.duration) && stays.len() < STAYS_MAX {
        let drawn = stay.mean.map(|mean| join + exponential(&mut dice, mean));
        let leave = drawn.into_iter().chain(stay.leave).min();
        stays.push((join.as_millis() as u64, leave.map(|leave| leave.as_millis() as u64)));
        let (Some(leave), Some(again)) = (leave, stay.again) else { break };
        join = leave + exponential(&mut dice, again);
    }
    stays
}

fn exponential(dice: &mut SmallRng, mean: Duration) -> Duration {
    let drawn: f64 = dice.random();
    mean.mul_f64(-(1.0 - drawn).ln())
}
