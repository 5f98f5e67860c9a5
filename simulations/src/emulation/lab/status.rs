//! How a lab's mesh is: nodes, and links with what they carry.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::mesh::Mesh;
use super::super::settings::HTTP_PORT;
use super::super::troubles::{self, Deed};
use super::super::wan::{Counts, address};
use crate::report::{align, figure, rate};
use crate::scenario::{Line, Scenario};

/// Remembers what links carried when it was last asked, and what was done to them.
#[derive(Debug)]
pub(super) struct Status {
    before: (Instant, Counts),
    lines: BTreeMap<(usize, usize), Line>,
    cuts: BTreeMap<(usize, usize), bool>,
}

impl Status {
    pub(super) fn new(mesh: &Mesh) -> Self {
        Self { before: (Instant::now(), mesh.wan.counts()), lines: BTreeMap::new(), cuts: BTreeMap::new() }
    }

    /// Something was done to the mesh.
    pub(super) fn note(&mut self, scenario: &Scenario, deed: &Deed) {
        match deed {
            Deed::Change(links, patch) => {
                for link in links {
                    let line = scenario.topology.lines.get(link).cloned().unwrap_or_default();
                    patch.apply(self.lines.entry(*link).or_insert(line));
                }
            }
            Deed::Cut(links, cut) => self.cuts.extend(links.iter().map(|link| (*link, *cut))),
            Deed::Heal => {
                self.lines.clear();
                self.cuts.clear();
            }
            _ => {}
        }
    }

    /// As text.
    pub(super) fn text(&mut self, mesh: &Mesh, scenario: &Scenario) -> String {
        nodes(mesh) + "\n" + &self.links(mesh, scenario)
    }

    fn links(&mut self, mesh: &Mesh, scenario: &Scenario) -> String {
        let (now, counts) = (Instant::now(), mesh.wan.counts());
        let seconds = now.duration_since(self.before.0).as_secs_f64().max(0.001);
        let before = std::mem::replace(&mut self.before, (now, counts.clone())).1;
        let head = ["link", "carries", "packets/s", "lost/s", "delay", "jitter", "loss", "rate"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let count = mesh.nodes.len();
        for (from, to) in troubles::pairs(count) {
            let of = |counts: &Counts| counts.links.get(from * count + to).copied().unwrap_or_default();
            let (was, is) = (of(&before), of(&counts));
            let per_second = |was: u64, is: u64| (is - was) as f64 / seconds;
            let lost = |link: &super::super::wan::LinkCount| link.tally.lost + link.tally.dropped + link.withheld;
            let line = self.lines.get(&(from, to)).or_else(|| scenario.topology.lines.get(&(from, to)));
            let mut row = vec![
                format!("{} to {}", mesh.nodes[from].name, mesh.nodes[to].name),
                rate(per_second(was.tally.bytes, is.tally.bytes) * 8.0),
                figure(per_second(was.tally.packets, is.tally.packets).round()),
                figure(per_second(lost(&was), lost(&is)).round()),
            ];
            row.extend(line.map_or_else(Vec::new, |line| in_words(line, self.cuts.get(&(from, to)) == Some(&true))));
            rows.push(row);
        }
        align(&rows)
    }
}

fn in_words(line: &Line, cut: bool) -> Vec<String> {
    let ms = |duration: std::time::Duration| format!("{} ms", figure(duration.as_secs_f64() * 1e3));
    let loss = if cut { "cut".to_owned() } else { troubles::loss_in_words(line.loss) };
    let rate = line.rate_bps.map_or_else(|| "unlimited".to_owned(), |bps| rate(bps as f64));
    vec![ms(line.delay), ms(line.jitter), loss, rate]
}

fn nodes(mesh: &Mesh) -> String {
    let mut rows = vec![["node", "page", "state", "sees", "people", "tracks"].map(str::to_owned).to_vec()];
    for (place, node) in mesh.nodes.iter().enumerate() {
        let url = format!("http://{}:{HTTP_PORT}", address(place));
        let health = node.health(place);
        let word = |key: &str| health.as_ref().map_or_else(String::new, |health| health[key].to_string());
        let state = health.as_ref().map_or("does not answer", |health| health["status"].as_str().unwrap_or_default());
        let cells = vec![node.name.clone(), url, state.to_owned(), word("nodes"), word("participants"), word("tracks")];
        rows.push(cells);
    }
    align(&rows)
}
