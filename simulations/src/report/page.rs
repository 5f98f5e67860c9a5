//! The page that people look at: one file, nothing fetched, light and dark.

use super::{cdf, headline, links, map, timeline, tree};
use crate::outcome::Outcome;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Trees shown as text; all are in `trees.dot`.
const TREES_MAX: usize = 60;

/// The report of a run.
pub fn report(outcome: &Outcome) -> String {
    let (verdict, good) = headline::verdict(outcome);
    let class = if good { "good" } else { "bad" };
    let nodes = outcome.nodes.len();
    let facts = [
        format!("policy <b>{}</b>", escape(&outcome.policy)),
        format!("seed <b>{}</b>", outcome.seed),
        format!("<b>{}</b> s of virtual time", super::figure(outcome.duration_s)),
        format!("<b>{nodes}</b> {}", if nodes == 1 { "node" } else { "nodes" }),
        format!("<b>{}</b> events", super::figure(outcome.events as f64)),
    ];
    let facts: String = facts.iter().map(|fact| format!("<span>{fact}</span>")).collect();
    let name = escape(&outcome.scenario.replace(['-', '_'], " "));
    let body = format!(
        "<header><h1>{name}</h1><p class=\"verdict {class}\">{verdict}</p><p class=facts>{facts}</p></header>\
         {}<section>{}</section>\
         <section><h2>Where it went</h2>{}</section>\
         <section><h2>Second by second</h2><div class=cards>{}</div></section>\
         <section><h2>Distributions</h2>{}</section>\
         <section><h2>Links</h2>{}</section>\
         <section><h2>Trees</h2>{}</section>\
         <footer>origo-sim {} · scenario {} · again: <code>origo-sim run {}.toml --seed {}</code></footer>",
        headline::tiles(outcome),
        headline::asserts(outcome),
        map::map(outcome),
        timeline::cards(outcome),
        cdf::cards(outcome),
        links::table(outcome),
        trees(outcome),
        escape(&outcome.version),
        escape(outcome.scenario_hash.get(..12).unwrap_or(&outcome.scenario_hash)),
        escape(&outcome.scenario),
        outcome.seed,
    );
    shell(&name, &body)
}

fn trees(outcome: &Outcome) -> String {
    if outcome.trees.is_empty() {
        return "<p class=none>No tree stood at the end.</p>".into();
    }
    let mut out = String::new();
    for tree in outcome.trees.iter().take(TREES_MAX) {
        let title = escape(&format!("{} from {}", tree.room, tree.origin));
        let open = if outcome.trees.len() <= 4 { " open" } else { "" };
        let (text, edges) = (escape(&tree::text(tree)), tree.edges.len());
        out += &format!(
            "<details{open}><summary>{title} <span class=quiet>{edges} edges</span></summary><pre>{text}</pre></details>"
        );
    }
    if outcome.trees.len() > TREES_MAX {
        out += &format!("<p class=quiet>{} more in trees.dot</p>", outcome.trees.len() - TREES_MAX);
    }
    out
}

/// A whole page around a body. `title` and `body` are HTML already.
pub fn shell(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><title>{title} · origo-sim</title>\
         <style>{STYLE}</style></head><body><main>{body}</main><script>{SCRIPT}</script></body></html>\n"
    )
}

/// A plot with its head. All three are HTML already.
pub fn card(title: &str, legend: &str, plot: &str) -> String {
    format!("<div class=card><h3>{title}</h3><p class=keys>{legend}</p>{plot}</div>")
}

/// Text as HTML, fit for quoted attributes too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
