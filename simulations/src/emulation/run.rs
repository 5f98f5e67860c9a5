//! One scenario on real nodes, from bringing the mesh up to the figures.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use super::crowd::{Begun, Crowd};
use super::measured::{LinkMeasured, Measured, of_people};
use super::mesh::{Mesh, Options};
use super::troubles::{self, Deed};
use super::wan::{Counts, LinkCount};
use super::{interrupt, settings};
use crate::scenario::Scenario;

/// Nodes tell each other of their links at most every 5 s, and are to have done so.
const SETTLES: Duration = Duration::from_secs(6);
/// People's programs start this long before the scenario does.
const LEAD: Duration = Duration::from_secs(4);
/// Links are counted from this long before the scenario on, as in the simulator.
const COUNTED_BEFORE: Duration = Duration::from_secs(3);
/// People are away this long after the end at the latest.
const PEOPLE_LEAVE: Duration = Duration::from_secs(15);
/// How often a run looks whether all is well.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// Counts of all links at an instant.
struct Tallies {
    wan: Counts,
    /// By sending and receiving node: datagrams sent again.
    again: BTreeMap<(usize, usize), u64>,
}

/// Runs a scenario; cameras and microphones begin as they did in the simulator.
pub fn run(scenario: &Scenario, begun: &Begun, options: &Options, quiet: bool) -> anyhow::Result<Measured> {
    let (deeds, untold) = troubles::deeds(scenario);
    for sentence in settings::untold(scenario).iter().chain(&untold) {
        eprintln!("origo-sim: {}: {sentence}", scenario.name);
    }
    let asked = Instant::now();
    let mut mesh = Mesh::up(scenario, options)?;
    say(
        quiet,
        &format!("{}: {} nodes are up after {:.1} s", scenario.name, mesh.nodes.len(), asked.elapsed().as_secs_f64()),
    );
    interrupt::sleep_until(Instant::now() + SETTLES)?;
    let start = Instant::now() + LEAD;
    let start_us = (SystemTime::now().duration_since(UNIX_EPOCH)? + LEAD).as_micros() as u64;
    // Scripts count in whole milliseconds.
    let start_us = start_us - start_us % 1000;
    let mut crowd = Crowd::start(scenario, begun, &mesh, start_us / 1000)?;
    interrupt::sleep_until(start - COUNTED_BEFORE)?;
    let before = tallies(&mut mesh);
    interrupt::sleep_until(start)?;
    mesh.wan.begin_traces();
    let warm = act(&mut mesh, scenario, &mut crowd, &deeds, start, quiet)?;
    let after = tallies(&mut mesh);
    let people = crowd.finish(PEOPLE_LEAVE)?;
    let mut measured = of_people(scenario, &people, start_us);
    measured.links = links(mesh.nodes.len(), &before, &warm, &after);
    measured.late_ms = after.wan.late_ms;
    measured.nodes_cpu_s = mesh.nodes.iter_mut().filter_map(|node| cpu_s(node.program()?.pid())).sum();
    measured.complaints.extend(errors(&mesh));
    if after.wan.refused > 0 {
        measured.complaints.push(format!("namespaces did not take {} packets", after.wan.refused));
    }
    if options.keep {
        let names: Vec<&str> = mesh.nodes.iter().map(|node| node.namespace().name()).collect();
        println!("kept: {} and {}", names.join(", "), mesh.folder().display());
    }
    Ok(measured)
}

/// Does everything that befalls the mesh in time, until the scenario is over. Gives what links carried until the end of the
/// warm-up.
fn act(
    mesh: &mut Mesh,
    scenario: &Scenario,
    crowd: &mut Crowd,
    deeds: &[(Duration, Deed)],
    start: Instant,
    quiet: bool,
) -> anyhow::Result<Counts> {
    let mut deeds = deeds.iter().filter(|(at, _)| *at < scenario.duration).peekable();
    let (warm_at, end) = (start + scenario.warmup, start + scenario.duration);
    let (mut told, mut warm) = (0, None);
    loop {
        let next = deeds.peek().map_or(end, |(at, _)| start + *at).min(if warm.is_none() { warm_at } else { end });
        interrupt::sleep_until(next.min(Instant::now() + LOOKS_EVERY))?;
        while let Some((at, deed)) = deeds.next_if(|(at, _)| start + *at <= Instant::now()) {
            troubles::act(mesh, scenario, deed).with_context(|| format!("at {:.1} s", at.as_secs_f64()))?;
        }
        if warm.is_none() && Instant::now() >= warm_at {
            warm = Some(mesh.wan.counts());
        }
        mesh.look_for_ends()?;
        if Instant::now() >= end {
            break;
        }
        crowd.look_for_ends()?;
        let second = start.elapsed().as_secs();
        if second > told && !quiet && std::io::stderr().is_terminal() {
            told = second;
            eprint!("\r{}: {second} of {} s ", scenario.name, scenario.duration.as_secs());
            // Progress that nobody reads ends no run.
            let _ = std::io::stderr().flush();
        }
    }
    if told > 0 {
        eprint!("\r\x1b[K");
    }
    Ok(warm.unwrap_or_default())
}

fn say(quiet: bool, sentence: &str) {
    if !quiet {
        eprintln!("{sentence}");
    }
}

fn tallies(mesh: &mut Mesh) -> Tallies {
    let wan = mesh.wan.counts();
    let places: BTreeMap<String, usize> =
        mesh.nodes.iter().enumerate().map(|(place, node)| (node.id.clone(), place)).collect();
    let mut again = BTreeMap::new();
    for from in 0..mesh.nodes.len() {
        // A node that is dead or stands still says nothing.
        let Some(metrics) = mesh.nodes[from].metrics() else { continue };
        for (name, value) in metrics {
            let is_again = name.starts_with("origo_link_packets_total{")
                && name.contains("direction=\"out\"")
                && name.contains("class=\"rtx\"");
            let peer = name.split("peer=\"").nth(1).and_then(|rest| rest.split('"').next());
            if let Some(to) = peer.filter(|_| is_again).and_then(|peer| places.get(peer)) {
                again.insert((from, *to), value as u64);
            }
        }
    }
    Tallies { wan, again }
}

fn links(count: usize, before: &Tallies, warm: &Counts, after: &Tallies) -> BTreeMap<(usize, usize), LinkMeasured> {
    let none = LinkCount::default();
    let link = |(from, to): (usize, usize)| {
        let of = |tallies: &Tallies| tallies.wan.links.get(from * count + to).copied().unwrap_or(none);
        let (before_link, after_link) = (of(before), of(after));
        let cold = warm.links.get(from * count + to).copied().unwrap_or(none);
        let again = |tallies: &Tallies| tallies.again.get(&(from, to)).copied().unwrap_or(0);
        let lost = |link: &LinkCount| link.tally.lost + link.tally.dropped + link.withheld;
        let measured = LinkMeasured {
            packets: after_link.tally.packets - before_link.tally.packets,
            bytes: after_link.tally.bytes - before_link.tally.bytes,
            warm_bytes: after_link.tally.bytes - cold.tally.bytes,
            lost: lost(&after_link) - lost(&before_link),
            // One that was started anew counts from nothing.
            retransmissions: again(after).saturating_sub(again(before)),
        };
        ((from, to), measured)
    };
    troubles::pairs(count).map(link).collect()
}

/// Processor time that a process has had, seconds.
fn cpu_s(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks: u64 =
        text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    // SAFETY: sysconf takes and gives integers.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(ticks as f64 / per_second as f64)
}

/// Errors that nodes logged.
fn errors(mesh: &Mesh) -> Vec<String> {
    let mut errors = Vec::new();
    for node in &mesh.nodes {
        let text = std::fs::read_to_string(node.log()).unwrap_or_default();
        let said = text.lines().filter(|line| line.contains("\"ERROR\"") || line.contains("panicked at"));
        errors.extend(said.take(3).map(|line| format!("{} logged {line}", node.name)));
    }
    errors
}
