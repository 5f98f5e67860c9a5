//! Faults of a scenario, done to a mesh that is up.

use std::time::Duration;

use anyhow::Context;

use super::mesh::Mesh;
use super::settings::METRICS_PORT;
use crate::scenario::{Fault, Gray, Line, Loss, Patch, Scenario, Trouble, What, Which};

/// Something that is done at an instant.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Links change.
    Change(Vec<(usize, usize)>, Box<Patch>),
    /// Links carry nothing, or everything again.
    Cut(Vec<(usize, usize)>, bool),
    /// Links carry no media, or late, or as before.
    Gray(Vec<(usize, usize)>, Option<Option<Duration>>),
    /// Nodes are killed.
    Kill(Vec<usize>),
    /// Nodes start.
    Start(Vec<usize>),
    /// Nodes stand still, or go on.
    Hold(Vec<usize>, bool),
    /// Nodes drain until a deadline.
    Drain(Vec<usize>, Duration),
    /// Nodes take people again.
    Undrain(Vec<usize>),
    /// All links are whole and as at the start.
    Heal,
}

/// All that is done, in the order of time; and sentences of what cannot be done to real nodes.
pub fn deeds(scenario: &Scenario) -> (Vec<(Duration, Deed)>, Vec<String>) {
    let (mut deeds, mut untold) = (Vec::new(), Vec::new());
    for change in &scenario.changes {
        if let What::Links(which, patch) = &change.what {
            deeds.push((change.at, Deed::Change(scenario.topology.which(which), Box::new(patch.clone()))));
        }
    }
    for fault in &scenario.faults {
        match deeds_of(scenario, fault) {
            Some(of) => deeds.extend(of),
            None => untold.push(format!("{:?} cannot be done to real nodes here: it is left out", fault.what)),
        }
    }
    // Those of one instant keep their order.
    deeds.sort_by_key(|(at, _)| *at);
    (deeds, untold)
}

fn deeds_of(scenario: &Scenario, fault: &Fault) -> Option<Vec<(Duration, Deed)>> {
    let Fault { at, until, what } = fault;
    let both = |begins: Deed, ends: Deed| {
        let mut deeds = vec![(*at, begins)];
        deeds.extend(until.map(|until| (until, ends)));
        deeds
    };
    Some(match what {
        Trouble::Kill(nodes) => both(Deed::Kill(nodes.clone()), Deed::Start(nodes.clone())),
        Trouble::Restart(nodes) => vec![(*at, Deed::Kill(nodes.clone())), (*at, Deed::Start(nodes.clone()))],
        Trouble::Drain { nodes, deadline } => both(Deed::Drain(nodes.clone(), *deadline), Deed::Undrain(nodes.clone())),
        Trouble::Undrain(nodes) => vec![(*at, Deed::Undrain(nodes.clone()))],
        Trouble::Partition(groups) => {
            let pairs = parted(scenario.topology.nodes.len(), groups);
            both(Deed::Cut(pairs.clone(), true), Deed::Cut(pairs, false))
        }
        Trouble::Heal => vec![(*at, Deed::Heal)],
        Trouble::Degrade(which, patch) => degraded(scenario, which, patch, *at, *until),
        Trouble::Flap { which, down, up } => flapping(scenario.topology.which(which), (*down, *up), *at, *until),
        Trouble::Gray { nodes, how } => {
            let (pairs, late) = gray(scenario.topology.nodes.len(), nodes, how);
            both(Deed::Gray(pairs.clone(), Some(late)), Deed::Gray(pairs, None))
        }
        Trouble::Hold(nodes) => both(Deed::Hold(nodes.clone(), true), Deed::Hold(nodes.clone(), false)),
        Trouble::Overload { .. } | Trouble::Skew { .. } | Trouble::Slow { .. } | Trouble::GossipLoss(_) => return None,
    })
}

/// Links between nodes of different groups; who is in none is with the first.
pub fn parted(count: usize, groups: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let group_of = |node: usize| groups.iter().position(|group| group.contains(&node)).unwrap_or(0);
    pairs(count).filter(|(a, b)| group_of(*a) != group_of(*b)).collect()
}

/// All directed links.
pub fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |from| (0..count).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn degraded(
    scenario: &Scenario,
    which: &Which,
    patch: &Patch,
    at: Duration,
    until: Option<Duration>,
) -> Vec<(Duration, Deed)> {
    let links = scenario.topology.which(which);
    let mut deeds = vec![(at, Deed::Change(links.clone(), Box::new(patch.clone())))];
    for link in until.iter().flat_map(|_| &links) {
        let line = scenario.topology.lines.get(link).cloned().unwrap_or_default();
        deeds.extend(until.map(|until| (until, Deed::Change(vec![*link], Box::new(whole(&line))))));
    }
    deeds
}

/// What makes a line as it is in the scenario.
fn whole(line: &Line) -> Patch {
    Patch {
        delay: Some(line.delay),
        jitter: Some(line.jitter),
        reorder: Some(line.reorder),
        loss: Some(line.loss),
        rate_bps: Some(line.rate_bps),
        queue: Some(line.queue),
        ..Patch::default()
    }
}

fn flapping(
    links: Vec<(usize, usize)>,
    (down, up): (Duration, Duration),
    at: Duration,
    until: Option<Duration>,
) -> Vec<(Duration, Deed)> {
    let until = until.unwrap_or(at);
    let (mut now, mut deeds) = (at, Vec::new());
    while now < until {
        deeds.push((now, Deed::Cut(links.clone(), true)));
        deeds.push(((now + down).min(until), Deed::Cut(links.clone(), false)));
        now += down + up;
    }
    deeds
}

/// Links on which gray nodes send no media, and how late it comes instead.
fn gray(count: usize, nodes: &[usize], how: &Gray) -> (Vec<(usize, usize)>, Option<Duration>) {
    let from = pairs(count).filter(|(from, _)| nodes.contains(from));
    match how {
        Gray::Drops => (from.collect(), None),
        Gray::Late(late) => (from.collect(), Some(*late)),
        Gray::Towards(others) => (from.filter(|(_, to)| others.contains(to)).collect(), None),
    }
}

/// Does one.
pub fn act(mesh: &mut Mesh, scenario: &Scenario, deed: &Deed) -> anyhow::Result<()> {
    match deed {
        Deed::Change(links, patch) => mesh.wan.change(links.clone(), (**patch).clone()),
        Deed::Cut(links, cut) => mesh.wan.cut(links.clone(), *cut),
        Deed::Gray(links, how) => mesh.wan.gray(links.clone(), *how),
        Deed::Kill(nodes) => nodes.iter().for_each(|node| mesh.kill(*node)),
        Deed::Start(nodes) => nodes.iter().try_for_each(|node| mesh.restart(*node))?,
        Deed::Hold(nodes, still) => {
            let signal = if *still { libc::SIGSTOP } else { libc::SIGCONT };
            for node in nodes {
                mesh.signal(*node, signal);
            }
        }
        Deed::Drain(nodes, deadline) => {
            nodes.iter().for_each(|node| mesh.nodes[*node].may_end = true);
            let deadline = format!("{}s", deadline.as_secs().max(1));
            nodes.iter().try_for_each(|node| tell(mesh, *node, &["drain", "--deadline", &deadline]))?;
        }
        Deed::Undrain(nodes) => {
            for node in nodes {
                if mesh.has_ended(*node) {
                    mesh.start(*node)?;
                } else {
                    tell(mesh, *node, &["undrain"])?;
                }
            }
        }
        Deed::Heal => {
            let all: Vec<(usize, usize)> = pairs(mesh.nodes.len()).collect();
            mesh.wan.mend();
            for link in all {
                let line = scenario.topology.lines.get(&link).cloned().unwrap_or_default();
                mesh.wan.change(vec![link], whole(&line));
            }
        }
    }
    Ok(())
}

/// `origo node` with these words, within the node's namespace.
fn tell(mesh: &mut Mesh, node: usize, words: &[&str]) -> anyhow::Result<()> {
    let metrics = format!("127.0.0.1:{METRICS_PORT}");
    let words = [&["node"], words, &["--metrics", &metrics]].concat();
    mesh.order(node, &words).with_context(|| format!("telling {} to {}", mesh.nodes[node].name, words[1]))
}

/// What was done, in words.
pub fn in_words(deed: &Deed, mesh: &Mesh) -> String {
    let names =
        |nodes: &[usize]| nodes.iter().map(|node| mesh.nodes[*node].name.as_str()).collect::<Vec<_>>().join(", ");
    match deed {
        Deed::Change(links, _) => format!("{} links changed", links.len()),
        Deed::Cut(links, _) => format!("{} links carry nothing now", links.len()),
        Deed::Gray(links, _) => format!("{} links carry no media in time now", links.len()),
        Deed::Kill(nodes) => format!("{} killed", names(nodes)),
        Deed::Start(nodes) => format!("{} started", names(nodes)),
        Deed::Hold(nodes, true) => format!("{} stands still", names(nodes)),
        Deed::Hold(nodes, false) => format!("{} goes on", names(nodes)),
        Deed::Drain(nodes, _) => format!("{} drains", names(nodes)),
        Deed::Undrain(nodes) => format!("{} takes people again", names(nodes)),
        Deed::Heal => "all links are as at the start".to_owned(),
    }
}

/// A loss in words, for people.
pub fn loss_in_words(loss: Loss) -> String {
    format!("{} %", crate::report::figure(loss.mean() * 100.0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::Choices;

    fn deeds_of(faults: &str) -> (Vec<(Duration, Deed)>, Vec<String>) {
        let mesh = "[run]\nduration = \"60s\"\n[topology]\nmatrix = \"azure\"\nnodes = [\"eastus\", \"westus\", \"uksouth\"]\n\
                    [[room]]\nname = \"r\"\nviewers = [{ node = \"eastus\" }]\n";
        let text = format!("{mesh}{faults}");
        deeds(&Scenario::parse(Path::new("case.toml"), &text, &Choices::default()).unwrap())
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn who_is_killed_for_a_time_starts_again_and_a_partition_heals() {
        let text = "[[fault]]\nat = \"4s\"\nkill = \"westus\"\nlasts = \"2s\"\n\
                    [[fault]]\nat = \"5s\"\npartition = [[\"eastus\"], [\"uksouth\"]]\nlasts = \"3s\"\n";
        let parted = vec![(0, 2), (1, 2), (2, 0), (2, 1)];
        let expected = vec![
            (S(4), Deed::Kill(vec![1])),
            (S(5), Deed::Cut(parted.clone(), true)),
            (S(6), Deed::Start(vec![1])),
            (S(8), Deed::Cut(parted, false)),
        ];
        assert_eq!(deeds_of(text), (expected, Vec::new()));
    }

    #[test]
    fn a_flapping_link_is_whole_in_the_end_and_a_degraded_one_as_before() {
        let text = "[[fault]]\nat = \"1s\"\nflap = { from = \"eastus\", to = \"uksouth\", down = \"1s\", up = \"1s\" }\nlasts = \"3s\"\n\
                    [[fault]]\nat = \"2s\"\ndegrade = { from = \"eastus\", to = \"westus\", loss = 5 }\nlasts = \"1s\"\n";
        let (deeds, _) = deeds_of(text);
        let cuts: Vec<(u64, bool)> = deeds
            .iter()
            .filter_map(|(at, deed)| match deed {
                Deed::Cut(_, cut) => Some((at.as_secs(), *cut)),
                _ => None,
            })
            .collect();
        assert_eq!(cuts, [(1, true), (2, false), (3, true), (4, false)]);
        let losses: Vec<Option<Loss>> = deeds
            .iter()
            .filter_map(|(_, deed)| match deed {
                Deed::Change(_, patch) => Some(patch.loss),
                _ => None,
            })
            .collect();
        assert_eq!(losses, [Some(Loss::Random(0.05)), Some(Loss::Random(0.0))]);
    }

    #[test]
    fn what_real_nodes_cannot_be_made_to_do_is_told() {
        let (deeds, untold) = deeds_of("[[fault]]\nat = \"1s\"\nskew = \"westus\"\nseconds = 3\n");
        assert!(deeds.is_empty() && untold.len() == 1 && untold[0].contains("Skew"), "{untold:?}");
    }
}
