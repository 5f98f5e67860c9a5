//! What an emulated run gave, in the terms of the simulator's metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::moves::Moves;
use super::seen::{Arrival, PersonSeen};
use crate::outcome::Samples;
use crate::scenario::{Scenario, Trouble};

/// Shorter pauses are none, ms: pictures come each 40 ms and more rarely.
const PAUSE_LEAST_MS: f64 = 100.0;
/// What a pause costs has come back, if it does, so long after its end, us.
const REFILLED_WITHIN: u64 = 1_000_000;
/// All must be well so long after a fault, us.
const WELL_AFTER: u64 = 15_000_000;

/// What a run gave.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Samples by metric, as the simulator calls them.
    pub metrics: BTreeMap<String, Samples>,
    /// By sending and receiving node.
    pub links: BTreeMap<(usize, usize), LinkMeasured>,
    /// Packets that were published and never came, of those that viewers' nodes took.
    pub missed: u64,
    /// Packets that came.
    pub delivered: u64,
    /// Keyframe requests that reached publishers.
    pub keyframe_requests: u64,
    /// People that came in.
    pub joins: u64,
    /// People who were shown to somebody at the end and were not there, or the other way round.
    pub ghosts: u64,
    /// What moves from node to node cost.
    pub moves: Moves,
    /// Sentences of what went wrong with people.
    pub complaints: Vec<String>,
    /// How much later than due the wide area handed packets over, ms.
    pub late_ms: Samples,
    /// Processor time of all nodes, seconds.
    pub nodes_cpu_s: f64,
}

/// What crossed a link in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkMeasured {
    /// IP packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these after the warm-up.
    pub warm_bytes: u64,
    /// Lost or dropped.
    pub lost: u64,
    /// Datagrams that the link sent again.
    pub retransmissions: u64,
}

/// One stream at one node: what the first person there saw of a layer.
struct Stream<'a> {
    /// Nodes of the viewer and of the publisher.
    ends: [usize; 2],
    video: bool,
    arrivals: Vec<&'a Arrival>,
}

/// Makes figures of what people saw. Instants of the scenario count from `start_us`.
pub fn of_people(scenario: &Scenario, people: &[(usize, PersonSeen)], start_us: u64) -> Measured {
    let mut measured = Measured::default();
    let micros = |at: Duration| start_us + at.as_micros() as u64;
    let (warm, end) = (micros(scenario.warmup), micros(scenario.duration));
    let streams = streams(scenario, people);
    let mut samples: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for stream in &streams {
        let in_time = stream.arrivals.iter().filter(|arrival| (warm..end).contains(&arrival.sent_us));
        let delays = in_time.map(|arrival| arrival.came_us.saturating_sub(arrival.sent_us) as f64 / 1e3);
        let before = samples.entry("one_way_ms").or_default();
        before.extend(delays);
        let (delivered, missed) = count(stream, warm, end);
        measured.delivered += delivered;
        measured.missed += missed;
    }
    for (place, fault) in scenario.faults.iter().enumerate() {
        let until = scenario.faults.get(place + 1).map_or(scenario.duration, |next| next.at);
        let alive = streams.iter().filter(|stream| !dead(&fault.what).iter().any(|node| stream.ends.contains(node)));
        let mut whole: Vec<&Stream<'_>> = alive.filter(|_| interrupts(&fault.what)).collect();
        if let (Trouble::Partition(groups), Some(healed)) = (&fault.what, fault.until) {
            let cut = |stream: &&Stream<'_>| is_cut(groups, stream.ends);
            let back = |stream: &&Stream<'_>| stream.first_after(micros(healed));
            samples.entry("seen_over_cut_ms").or_default().extend(whole.iter().filter(|s| cut(s)).map(back));
            whole.retain(|stream| !cut(stream));
            samples.entry("heal_ms").or_default().push(heal_ms(people, micros(healed), end));
        }
        let gaps = gaps(&whole, micros(fault.at), micros(until));
        if matches!(fault.what, Trouble::Gray { .. }) {
            samples.entry("gray_avoided_ms").or_default().extend(&gaps.failover);
        }
        for (name, gaps) in [
            ("video_gap_ms", gaps.video),
            ("audio_gap_ms", gaps.audio),
            ("failover_gap_ms", gaps.failover),
            ("keyframes_at_failover", gaps.keyframes),
        ] {
            samples.entry(name).or_default().extend(gaps);
        }
    }
    let backs = people.iter().filter_map(|(_, person)| back_ms(person));
    samples.entry("media_back_ms").or_default().extend(backs);
    for (name, mut values) in samples {
        values.sort_by(f64::total_cmp);
        if !values.is_empty() {
            measured.metrics.insert(name.to_owned(), Samples { values });
        }
    }
    measured.ghosts = ghosts(people);
    measured.moves = Moves::of(people, warm, end);
    for (_, person) in people {
        measured.joins += person.joined.len() as u64;
        measured.keyframe_requests += person.asked.iter().filter(|at| (warm..end).contains(at)).count() as u64;
        let asked_to = |why: &&(u64, String)| why.1.contains("Migration");
        let ended = person.ended.iter().filter(|why| !asked_to(why));
        let told = person.refused.iter().chain(ended).map(|(_, why)| format!("{}: {why}", person.identity));
        measured.complaints.extend(told);
    }
    measured
}

/// Whether a partition lies between two nodes; who is in no group is with the first.
fn is_cut(groups: &[Vec<usize>], ends: [usize; 2]) -> bool {
    let [a, b] = ends.map(|node| groups.iter().position(|group| group.contains(&node)).unwrap_or(0));
    a != b
}

/// Of everybody who was there at the end: whom they saw and who was not there, and who was there and was not seen.
fn ghosts(people: &[(usize, PersonSeen)]) -> u64 {
    let there = people.iter().filter_map(|(_, person)| Some((person.identity.as_str(), person.shown.as_ref()?)));
    let room = |identity: &str| identity.split('/').next().unwrap_or_default().to_owned();
    let wrong = there.clone().map(|(identity, shown)| {
        let others = there.clone().map(|(other, _)| other).filter(|other| *other != identity);
        let others: BTreeSet<&str> = others.filter(|other| room(other) == room(identity)).collect();
        let shown: BTreeSet<&str> = shown.iter().map(String::as_str).collect();
        others.symmetric_difference(&shown).count() as u64
    });
    wrong.sum()
}

/// Faults after which media comes another way.
fn interrupts(what: &Trouble) -> bool {
    !matches!(what, Trouble::Heal | Trouble::Undrain(_) | Trouble::Skew { .. } | Trouble::GossipLoss(_))
}

/// Nodes whose own people see nothing after a fault, or are not seen; a gray node's are not those who can go round it.
pub(super) fn dead(what: &Trouble) -> &[usize] {
    match what {
        Trouble::Kill(nodes) | Trouble::Restart(nodes) | Trouble::Hold(nodes) | Trouble::Gray { nodes, .. } => nodes,
        _ => &[],
    }
}

/// Streams from another node, each as the first person on a node that takes it saw it, whichever that is.
fn streams<'a>(scenario: &Scenario, people: &'a [(usize, PersonSeen)]) -> Vec<Stream<'a>> {
    let homes: BTreeMap<&str, usize> = people.iter().map(|(node, person)| (person.identity.as_str(), *node)).collect();
    // Whoever lost its node is served over the wide area from then on.
    let lost = |identity: &str| {
        let person = people.iter().find(|(_, person)| person.identity == identity);
        let ended = person.and_then(|(_, person)| person.ended.first()).map_or(u64::MAX, |(at, _)| *at);
        ended.min(person.and_then(|(_, person)| person.moved.first()).copied().unwrap_or(u64::MAX))
    };
    let losses: BTreeMap<&str, u64> = homes.keys().map(|identity| (*identity, lost(identity))).collect();
    let mut taken: BTreeMap<(usize, &str, bool, u8), (&str, Stream<'a>)> = BTreeMap::new();
    for (node, person) in people {
        for track in &person.tracks {
            let Some(home) = homes.get(track.publisher.as_str()).filter(|home| *home != node) else { continue };
            let layers: BTreeSet<u8> = track.arrivals.iter().map(|arrival| arrival.layer).collect();
            for layer in layers {
                let key = (*node, track.publisher.as_str(), track.video, layer);
                let ends = [*node, *home];
                let fresh = || (person.identity.as_str(), Stream { ends, video: track.video, arrivals: Vec::new() });
                let (watcher, stream) = taken.entry(key).or_insert_with(fresh);
                if *watcher == person.identity {
                    let until = losses[person.identity.as_str()].min(losses[track.publisher.as_str()]);
                    let of_layer = track.arrivals.iter().filter(|arrival| arrival.layer == layer);
                    stream.arrivals.extend(of_layer.filter(|arrival| arrival.came_us < until));
                }
            }
        }
    }
    debug_assert!(taken.keys().all(|(node, ..)| *node < scenario.topology.nodes.len()));
    taken.into_values().map(|(_, stream)| stream).collect()
}

/// From the end of somebody's session to the first packet of others in the next one, ms.
fn back_ms(person: &PersonSeen) -> Option<f64> {
    let (ended, _) = person.ended.first()?;
    let came = person.tracks.iter().flat_map(|track| &track.arrivals).map(|arrival| arrival.came_us);
    came.filter(|at| at > ended).min().map(|at| (at - ended) as f64 / 1e3)
}

/// Packets that came and that did not, between the first and the last that were sent within a time.
fn count(stream: &Stream<'_>, from: u64, to: u64) -> (u64, u64) {
    let sent = stream.arrivals.iter().filter(|arrival| (from..to).contains(&arrival.sent_us));
    let counters: BTreeSet<u32> = sent.map(|arrival| arrival.counter).collect();
    let (Some(first), Some(last)) = (counters.first(), counters.last()) else { return (0, 0) };
    let came = counters.len() as u64;
    (came, u64::from(last - first + 1) - came)
}

/// What a fault did to streams whose ends live.
#[derive(Debug, Default)]
struct Gaps {
    /// The longest pause of each picture that was interrupted.
    video: Vec<f64>,
    /// The same of each sound between nodes between which a picture was interrupted: those that the fault's node passed on.
    audio: Vec<f64>,
    /// From the fault to the end of each pause of more than a moment.
    failover: Vec<f64>,
    /// 1 for each of the pictures of which packets were lost for good, else 0.
    keyframes: Vec<f64>,
}

/// What happened between a fault and another instant.
fn gaps(streams: &[&Stream<'_>], fault_us: u64, until_us: u64) -> Gaps {
    let (mut gaps, mut hit) = (Gaps::default(), BTreeSet::new());
    let pauses = streams.iter().filter_map(|stream| Some((*stream, stream.pause(fault_us, until_us)?)));
    let (pictures, sounds): (Vec<_>, Vec<_>) = pauses.partition(|(stream, _)| stream.video);
    for (stream, (lasted, ended)) in pictures.into_iter().filter(|(_, (lasted, _))| *lasted > PAUSE_LEAST_MS) {
        hit.insert(stream.ends);
        gaps.video.push(lasted);
        gaps.failover.push(ended);
        gaps.keyframes.push(f64::from(u8::from(stream.has_lost(fault_us, fault_us + (ended * 1e3) as u64))));
    }
    for (stream, (lasted, ended)) in sounds {
        if lasted > PAUSE_LEAST_MS {
            gaps.failover.push(ended);
        }
        if lasted > PAUSE_LEAST_MS || hit.contains(&stream.ends) {
            gaps.audio.push(lasted);
        }
    }
    gaps
}

/// From the end of a partition to the last change of whom people see in their room, ms; at once when nothing changes. What
/// is wrong afterwards is a ghost.
fn heal_ms(people: &[(usize, PersonSeen)], healed_us: u64, end_us: u64) -> f64 {
    let until = (healed_us + WELL_AFTER).min(end_us);
    let seen = people.iter().flat_map(|(_, person)| person.came.iter().chain(&person.left).map(|(at, _)| *at));
    let last = seen.filter(|at| (healed_us..until).contains(at)).max();
    last.map_or(0.0, |at| (at - healed_us) as f64 / 1e3)
}

impl Stream<'_> {
    /// From an instant to the first packet after it, ms.
    fn first_after(&self, at_us: u64) -> f64 {
        let came = self.arrivals.iter().map(|arrival| arrival.came_us).filter(|came| *came > at_us).min();
        came.map_or(f64::INFINITY, |came| (came - at_us) as f64 / 1e3)
    }

    /// The longest time without a packet from a fault until another instant, and when it was over after the fault, ms;
    /// none of a stream that was not there before.
    fn pause(&self, fault_us: u64, until_us: u64) -> Option<(f64, f64)> {
        let mut came: Vec<u64> = self.arrivals.iter().map(|arrival| arrival.came_us).collect();
        came.sort_unstable();
        let around = came.windows(2).filter(|pair| pair[1] > fault_us && pair[1] < until_us);
        let ms = |from: u64, to: u64| (to - from) as f64 / 1e3;
        around.map(|pair| (ms(pair[0], pair[1]), ms(fault_us, pair[1]))).max_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// Whether packets are missing between the last that had come by a fault and those that came soon after its pause, late
    /// ones included: then the picture needs a keyframe.
    fn has_lost(&self, fault_us: u64, ended_us: u64) -> bool {
        let before = self.arrivals.iter().filter(|arrival| arrival.came_us <= fault_us).map(|arrival| arrival.counter);
        let in_time = self.arrivals.iter().filter(|arrival| arrival.came_us <= ended_us + REFILLED_WITHIN);
        let came: BTreeSet<u32> = in_time.map(|arrival| arrival.counter).collect();
        let (Some(first), Some(last)) = (before.max(), came.last()) else { return true };
        !(first..=*last).all(|counter| came.contains(&counter))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::seen::TrackSeen;
    use super::*;
    use crate::scenario::Choices;

    /// Sound of somebody elsewhere, sent each 20 ms from 0 on and 40 ms on its way; some packets never come.
    fn heard(lost: impl Fn(u32) -> bool) -> Measured {
        let text = "[run]\nduration = \"2s\"\nwarmup = \"200ms\"\n[topology]\nmatrix = \"azure\"\n\
                    nodes = [\"eastus\", \"westus\", \"uksouth\"]\n[[room]]\nname = \"r\"\nviewers = [{ node = \"eastus\" }]\n\
                    [[fault]]\nat = \"1s\"\nkill = \"westus\"\n";
        let scenario = Scenario::parse(Path::new("case.toml"), text, &Choices::default()).unwrap();
        let start = 1_000_000_000;
        let arrival = |counter: u32| {
            let sent_us = start + u64::from(counter) * 20_000;
            Arrival { layer: 0, counter, sent_us, came_us: sent_us + 40_000, keyframe: false }
        };
        let arrivals = (0..100).filter(|counter| !lost(*counter)).map(arrival).collect();
        let track = TrackSeen { publisher: "ana".to_owned(), video: false, arrivals };
        let person =
            |identity: &str, tracks| PersonSeen { identity: identity.to_owned(), tracks, ..Default::default() };
        let people =
            [(0, person("ben", vec![track.clone()])), (0, person("cem", vec![track])), (2, person("ana", vec![]))];
        of_people(&scenario, &people, start)
    }

    #[test]
    fn each_stream_counts_once_a_node_from_the_warm_up_on() {
        let measured = heard(|counter| [5, 30, 31].contains(&counter));
        assert_eq!(measured.metrics["one_way_ms"].values, vec![40.0; 88]);
        assert_eq!((measured.delivered, measured.missed), (88, 2), "10 to 99, and 5 was before the warm-up");
        assert!(!measured.metrics.contains_key("failover_gap_ms"), "a pause of 60 ms is none");
    }

    #[test]
    fn who_is_shown_and_not_there_and_who_is_there_and_not_shown_are_ghosts() {
        let person = |identity: &str, shown: Option<&[&str]>| {
            let shown = shown.map(|shown| shown.iter().map(|who| (*who).to_owned()).collect());
            (0, PersonSeen { identity: identity.to_owned(), shown, ..Default::default() })
        };
        let all = [
            person("r/ana", Some(&["r/ben"])),
            person("r/ben", Some(&["r/cem"])),
            person("r/cem", None),
            person("other/dan", Some(&[])),
        ];
        assert_eq!(ghosts(&all), 2, "ben sees cem, and not ana");
    }

    /// A picture and the sound of somebody elsewhere, each packet 40 ms on its way; the sound pauses for less.
    #[test]
    fn a_picture_that_pauses_needs_a_keyframe_when_something_is_lost_and_its_sound_has_a_gap_too() {
        let arrival = |counter: u32, came_ms: u64| Arrival {
            layer: 0,
            counter,
            sent_us: u64::from(counter) * 40_000,
            came_us: came_ms * 1_000,
            keyframe: false,
        };
        let refilled: Vec<Arrival> = (0..50)
            .map(|at| arrival(at, if (25..35).contains(&at) { 1440 } else { u64::from(at) * 40 + 40 }))
            .collect();
        let sound: Vec<Arrival> = (0..50).map(|at| arrival(at, u64::from(at) * 40 + 40)).collect();
        let of = |lost: Option<u32>| {
            let arrivals = refilled.iter().filter(|arrival| Some(arrival.counter) != lost).collect();
            let picture = Stream { ends: [0, 2], video: true, arrivals };
            let sound = Stream { ends: [0, 2], video: false, arrivals: sound.iter().collect() };
            let elsewhere = Stream { ends: [1, 2], video: false, arrivals: sound.arrivals.clone() };
            gaps(&[&picture, &sound, &elsewhere], 1_001_000, 2_000_000)
        };
        let whole = of(None);
        assert_eq!((whole.video, whole.audio, whole.keyframes), (vec![440.0], vec![40.0], vec![0.0]));
        assert_eq!(of(Some(30)).keyframes, [1.0]);
    }

    #[test]
    fn a_room_is_whole_again_when_nobody_comes_or_goes_any_more() {
        let came = |at: u64| PersonSeen { came: vec![(at, "ana".to_owned())], ..PersonSeen::default() };
        let people = [(0, came(900_000)), (1, came(2_200_000)), (2, came(1_400_000)), (0, came(40_000_000))];
        assert_eq!(heal_ms(&people, 1_000_000, 60_000_000), 1200.0);
        assert_eq!(heal_ms(&people[..1], 1_000_000, 60_000_000), 0.0);
    }

    #[test]
    fn a_pause_after_a_fault_counts_from_the_fault_to_its_end() {
        let measured = heard(|counter| (49..69).contains(&counter));
        // The last before it came at 1,000 ms, and the next one at 1,420.
        assert_eq!(measured.metrics["audio_gap_ms"].values, [420.0]);
        assert_eq!(measured.metrics["failover_gap_ms"].values, [420.0]);
    }
}
