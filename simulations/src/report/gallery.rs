//! The page over many runs: a card with map and verdict for each.

use super::figure::figure;
use super::headline::verdict;
use super::page::{escape, shell};
use super::{map, summary};
use crate::outcome::Outcome;

/// A page that links to `<scenario>/report.html` of each run.
pub fn gallery(runs: &[(Outcome, String)]) -> String {
    let passed = runs.iter().filter(|(outcome, _)| summary::passed(outcome)).count();
    let (class, all) = (if passed == runs.len() { "good" } else { "bad" }, runs.len());
    let cards: String = runs.iter().map(|(outcome, story)| card(outcome, story)).collect();
    let body = format!(
        "<header><h1>Stories</h1><p class=\"verdict {class}\">{passed} of {all} hold</p></header>\
         <p class=lead>Each is a scenario file that runs the cores of a node in virtual time, and asserts what it \
         promises. Open one for its map, time lines and distributions.</p><div class=stories>{cards}</div>"
    );
    shell("stories", &body)
}

fn card(outcome: &Outcome, story: &str) -> String {
    let (verdict, good) = verdict(outcome);
    let name = escape(&outcome.scenario.replace(['-', '_'], " "));
    let class = if good { "good" } else { "bad" };
    let (nodes, seconds) = (outcome.nodes.len(), figure(outcome.duration_s));
    format!(
        "<a class=story href=\"{}/report.html\">{}<div><h3>{name}</h3><p class={class}>{verdict}</p>\
         <p>{}</p><p>{nodes} nodes · {seconds} s · {}</p></div></a>",
        escape(&outcome.scenario),
        map::picture(outcome),
        escape(story),
        escape(&outcome.policy),
    )
}
