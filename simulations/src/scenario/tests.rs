//! Good files are read whole, and bad ones tell everything at once.

use super::*;

fn parse(text: &str) -> Result<Scenario, Mistakes> {
    Scenario::parse(Path::new("case.toml"), text, &Choices::default())
}

const GOOD: &str = r#"
[run]
duration = "20s"
warmup = "5s"
seed = 7

[topology]
matrix = "azure"
nodes = ["westeurope", "eastus", { region = "japaneast", count = 2, name = "tokyo" }]

[every_link]
jitter = "1ms"

[[link]]
from = "westeurope"
to = "eastus"
loss = { model = "gilbert", percent = 1.0, burst = 4 }
rate = "50Mbps"

[[link]]
class = "ocean"
extra_delay = "10ms"

[[room]]
name = "standup"
publishers = [{ node = "westeurope", count = 2, video = [{ w = 320, kbps = 150 }], layer = 0 }]
viewers = [{ node = "japaneast", count = 5, spread = true, layer = "top" }, { node = "eastus", layer = "none" }]

[policy]
alpha = [1.05, 1.1, 1.2]

[[at]]
at = "10s"
link = { from = "eastus", to = "tokyo-1", both = true, loss = 100 }

[[assert]]
metric = "added_delay_ms"
p50 = "<= 5"
p95 = "<= 15"
"#;

#[test]
fn a_scenario_is_read_whole() {
    let scenario = parse(GOOD).unwrap();
    assert_eq!((scenario.seed, scenario.name.as_str()), (7, "case"));
    let names: Vec<&str> = scenario.topology.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["westeurope", "eastus", "tokyo-1", "tokyo-2"]);
    let line = &scenario.topology.lines[&(0, 1)];
    assert!((line.loss.mean() - 0.01).abs() < 1e-9, "{line:?}");
    assert_eq!((line.rate_bps, line.jitter), (Some(50_000_000), Duration::from_millis(1)));
    assert_eq!(scenario.topology.lines[&(2, 3)].delay, Duration::from_micros(250), "two nodes of one region");
    let back = &scenario.topology.lines[&(1, 0)];
    assert_eq!((back.loss, back.rate_bps), (Loss::Random(0.0), None), "only one direction was told");
    let counts: Vec<(usize, usize)> = scenario.rooms[0].groups.iter().map(|group| (group.node, group.count)).collect();
    assert_eq!(counts, [(0, 2), (2, 3), (3, 2), (1, 1)]);
    assert_eq!(scenario.rooms[0].groups[3].takes, Some(Takes { layer: None, audio: true }));
    assert_eq!(
        scenario.axes[0],
        Axis { key: "policy.alpha".into(), values: vec!["1.05".into(), "1.1".into(), "1.2".into()] }
    );
    assert_eq!(scenario.policy.alpha, 1.05, "the first where nothing is chosen");
    assert_eq!(scenario.asserts.len(), 2);
}

#[test]
fn a_link_may_have_a_price_of_its_own() {
    let text = GOOD.replace(
        "[policy]",
        "[policy]\nprices = { ocean = 6, links = [{ from = \"eastus\", to = \"japaneast\", both = true, price = 9 }] }",
    );
    let policy = parse(&text).unwrap().policy;
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(policy.prices, [0.0, 1.0, 6.0]);
    let prices = BTreeMap::from([(pair("eastus", "japaneast"), 9.0), (pair("japaneast", "eastus"), 9.0)]);
    assert_eq!(policy.link_prices, prices);
    let mistakes =
        parse(&text.replace("from = \"eastus\", to = \"japaneast\", both", "from = \"mars\", to = \"eastus\", both"));
    assert!(mistakes.unwrap_err().to_string().contains("policy.prices.links[1].from: a link to nowhere"));
}

#[test]
fn a_choice_takes_another_value_of_a_sweep() {
    let choices = Choices { seed: Some(9), values: BTreeMap::from([("policy.alpha".to_owned(), 2)]) };
    let scenario = Scenario::parse(Path::new("case.toml"), GOOD, &choices).unwrap();
    assert_eq!((scenario.policy.alpha, scenario.seed), (1.2, 9));
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_line_and_key() {
    let text = r#"[run]
duration = "20"
warmpu = "1s"
[topology]
nodes = ["a", "b", "b"]
[[link]]
from = "a"
to = "nowhere"
loss = 120
[[room]]
name = "empty"
[[room]]
name = "lost"
viewers = [{ node = "c", layer = 9 }]
[[assert]]
metric = "speed"
p95 = "15"
"#;
    let mistakes = parse(text).unwrap_err();
    let told: Vec<(usize, &str)> = mistakes.0.iter().map(|mistake| (mistake.line, mistake.key.as_str())).collect();
    let expected = [
        (2, "run.duration"),
        (3, "run.warmpu"),
        (5, "topology.nodes"),
        (6, "link"),
        (8, "link[1].to"),
        (9, "link[1].loss"),
        (10, "room[1].publishers"),
        (14, "room[2].viewers[1].node"),
        (14, "room[2].viewers[1].layer"),
        (16, "assert[1].metric"),
        (17, "assert[1].p95"),
    ];
    for mistake in expected {
        assert!(told.contains(&mistake), "{mistake:?} is not among\n{mistakes}");
    }
    assert!(
        mistakes.to_string().contains("case.toml:9: link[1].loss: 120; accepted: percent from 0 to 100"),
        "{mistakes}"
    );
}

#[test]
fn random_rooms_are_the_same_for_one_seed_and_others_for_another() {
    let text = "[topology]\nmatrix = \"gcp\"\nrandom = 12\n[[people]]\nrooms = 5\nsize = 8\nnodes_per_room = 4\n";
    let drawn =
        |seed| Scenario::parse(Path::new("x.toml"), text, &Choices { seed: Some(seed), ..Choices::default() }).unwrap();
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1).rooms, drawn(2).rooms);
    for room in drawn(1).rooms {
        let nodes: std::collections::BTreeSet<usize> = room.groups.iter().map(|group| group.node).collect();
        assert_eq!((room.groups.len(), nodes.len()), (8, 4));
    }
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let mistakes = parse("[run]\nduration = \n").unwrap_err();
    assert_eq!((mistakes.0.len(), mistakes.0[0].line), (1, 2), "{mistakes}");
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_harm(text in "[ -~\n]{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn a_good_file_with_a_piece_cut_out_is_refused_without_harm(from in 0..900_usize, length in 0..60_usize) {
        let end = (from + length).min(GOOD.len());
        let _ = parse(&format!("{}{}", &GOOD[..from.min(GOOD.len())], &GOOD[end.max(from.min(GOOD.len()))..]));
    }
}

#[test]
fn the_scenarios_that_come_along_are_without_mistake() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            Scenario::load(&path, &Choices::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            count += 1;
        }
    }
    assert!(count >= 2, "{count} scenarios");
}

#[test]
fn the_document_explains_every_metric() {
    let document = include_str!("../../../docs/simulation.md");
    for metric in crate::measures::METRICS {
        let row = format!("| `{}` | {} | {} |", metric.name, metric.unit, metric.meaning);
        assert!(document.contains(&row), "docs/simulation.md lacks\n{row}");
    }
}
