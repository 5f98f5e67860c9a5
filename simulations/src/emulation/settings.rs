//! What a scenario says of a node, as that node's own configuration file.

use std::fmt::Write;

use crate::scenario::{Policy, Scenario};

use super::wan::address;

/// Ports of each node, in a namespace of its own.
pub const HTTP_PORT: u16 = 7880;
/// Links to other nodes.
pub const QUIC_PORT: u16 = 7881;
/// The metrics page.
pub const METRICS_PORT: u16 = 7882;
/// Nodes that the others begin with. Two, so that each of them has another one to begin with.
const SEEDS: usize = 2;

/// The file of one node. Secrets are not in it.
pub fn file(scenario: &Scenario, node: usize, estimates: bool) -> String {
    let at = &scenario.topology.nodes[node];
    let mut text = String::new();
    let mut set = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    set("region", &quoted(&at.region.name));
    set("latitude", &at.region.latitude.to_string());
    set("longitude", &at.region.longitude.to_string());
    for (key, value) in [("country", &at.region.country), ("continent", &at.region.continent)] {
        if !value.is_empty() {
            set(key, &quoted(value));
        }
    }
    set("bind", &quoted(&address(node).to_string()));
    set("port", &HTTP_PORT.to_string());
    set("workers", "1");
    set("bwe", &estimates.to_string());
    // The simulator tells of every sound, and its people are all equally loud.
    set("audio_loudest", "0");
    let seeds = (0..scenario.topology.nodes.len()).filter(|seed| *seed != node).take(SEEDS);
    set("seeds", &list(seeds.map(|seed| format!("{}:{QUIC_PORT}", address(seed)))));
    set("link_rates", &list(rates(scenario, node)));
    set("relay_policy", &quoted(scenario.policy.relay));
    text + &prices(&scenario.policy) + &residency(scenario)
}

/// What is known of the lines from a node, by region, in whole megabits.
fn rates(scenario: &Scenario, node: usize) -> impl Iterator<Item = String> {
    let nodes = &scenario.topology.nodes;
    let lines = scenario.topology.lines.iter().filter(move |((from, _), _)| *from == node);
    lines.filter_map(|((_, to), line)| {
        Some(format!("{}={}Mbps", nodes[*to].region.name, (line.configured_bps? / 1_000_000).max(1)))
    })
}

fn prices(policy: &Policy) -> String {
    let [region, continent, ocean] = policy.prices;
    let mut text = format!("[prices]\nregion = {region:?}\ncontinent = {continent:?}\nocean = {ocean:?}\n");
    for ((from, to), price) in &policy.link_prices {
        let (from, to) = (quoted(from), quoted(to));
        let _ = writeln!(text, "[[prices.links]]\nfrom = {from}\nto = {to}\nprice = {price:?}");
    }
    text
}

fn residency(scenario: &Scenario) -> String {
    let kept = scenario.rooms.iter().filter(|room| !room.countries.is_empty());
    let rule = |room: &crate::scenario::Room| {
        let countries = list(room.countries.iter().cloned());
        format!("[[residency]]\nrooms = {}\ncountries = {countries}\n", quoted(&room.name))
    };
    kept.map(rule).collect()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| quoted(&item)).collect::<Vec<_>>().join(", "))
}

/// What the scenario says that real nodes, or their people, cannot be told; one sentence each.
pub fn untold(scenario: &Scenario) -> Vec<String> {
    let (policy, default) = (&scenario.policy, Policy::default());
    let mut untold = Vec::new();
    let bounds = |policy: &Policy| (policy.alpha, policy.beta, policy.degree, policy.hops);
    if bounds(policy) != bounds(&default) {
        untold.push("nodes have no setting for policy.alpha, beta, degree and hops: they keep their own".to_owned());
    }
    if scenario.topology.nodes.iter().any(|node| node.load > 0.0) {
        untold.push("a node's load is what it really is, not what the scenario says".to_owned());
    }
    let media = scenario.rooms.iter().flat_map(|room| &room.groups).filter_map(|group| group.publishes.as_ref());
    if media.clone().any(|media| media.in_stream && media.video.len() > 1) {
        untold.push("origo-load publishes layers as streams of their own: in_stream is not heard".to_owned());
    }
    untold
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::Choices;

    #[test]
    fn a_node_is_told_what_the_scenario_says_of_it() {
        let text = "[topology]\nmatrix = \"azure\"\nnodes = [\"eastus\", \"uksouth\", \"westus\"]\n\
                    [[link]]\nfrom = \"eastus\"\nto = \"uksouth\"\nconfigured_rate = \"40Mbps\"\n\
                    [policy]\nrelay = \"direct\"\nprices = { ocean = 9, links = [{ from = \"eastus\", to = \"uksouth\", price = 2 }] }\n\
                    [[room]]\nname = \"r\"\ncountries = [\"US\"]\nviewers = [{ node = \"eastus\" }]\n";
        let scenario = Scenario::parse(Path::new("case.toml"), text, &Choices::default()).unwrap();
        let file: toml::Table = self::file(&scenario, 0, false).parse().unwrap();
        assert_eq!(file["region"].as_str(), Some("eastus"));
        assert_eq!((file["country"].as_str(), file["bind"].as_str()), (Some("US"), Some("10.86.0.1")));
        assert_eq!(file["seeds"].to_string(), "[\"10.86.0.2:7881\", \"10.86.0.3:7881\"]");
        assert_eq!(file["link_rates"].to_string(), "[\"uksouth=40Mbps\"]");
        assert_eq!(file["relay_policy"].as_str(), Some("direct"));
        assert_eq!(file["audio_loudest"].as_integer(), Some(0), "the simulator tells of every sound");
        assert_eq!(file["prices"]["ocean"].as_float(), Some(9.0));
        assert_eq!(file["prices"]["links"][0]["price"].as_float(), Some(2.0));
        assert_eq!(file["residency"][0]["countries"].to_string(), "[\"US\"]");
        assert!(untold(&scenario).is_empty());
    }
}
