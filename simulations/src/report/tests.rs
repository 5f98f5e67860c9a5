//! Reports of an outcome made by hand.

use std::collections::BTreeMap;

use super::*;
use crate::outcome::*;

/// Eight nodes of real places, two trees, ten seconds, one assert that fails.
pub(crate) fn made_by_hand() -> Outcome {
    let places = [
        ("frankfurt", 50.11, 8.68),
        ("virginia", 37.37, -79.82),
        ("oregon", 45.6, -121.2),
        ("tokyo", 35.68, 139.77),
        ("singapore", 1.28, 103.83),
        ("sydney", -33.86, 151.21),
        ("sao-paulo", -23.55, -46.63),
        ("johannesburg", -25.73, 28.22),
    ];
    let node = |(at, (name, latitude, longitude)): (usize, &(&str, f64, f64))| NodeOutcome {
        name: (*name).into(),
        region: (*name).into(),
        latitude: *latitude,
        longitude: *longitude,
        bytes_out: 1_000_000 * (8 - at as u64) * (8 - at as u64),
    };
    let edge = |from: &str, to: &str, why: &str| (from.to_owned(), to.to_owned(), 4, why.to_owned());
    let trees = vec![
        TreeOutcome {
            room: "standup".into(),
            origin: "frankfurt".into(),
            edges: vec![
                edge("frankfurt", "virginia", ""),
                edge("virginia", "oregon", "1.2 ms longer than straight, saves an ocean crossing"),
                edge("virginia", "sao-paulo", "saves an ocean crossing"),
                edge("oregon", "tokyo", ""),
                edge("oregon", "sydney", ""),
                edge("frankfurt", "singapore", ""),
                edge("frankfurt", "johannesburg", ""),
            ],
        },
        TreeOutcome {
            room: "standup".into(),
            origin: "tokyo".into(),
            edges: vec![edge("tokyo", "singapore", ""), edge("tokyo", "oregon", ""), edge("oregon", "virginia", "")],
        },
    ];
    let link = |(at, (from, to)): (usize, (&str, &str))| LinkOutcome {
        from: from.into(),
        to: to.into(),
        bytes: 9_000_000 >> at.min(6),
        warm_bytes: 8_000_000 >> at.min(6),
        payload_bytes: 8_700_000 >> at.min(6),
        packets: 7_900,
        lost: 79,
        lost_for_good: u64::from(at == 2),
        retransmissions: 81,
        fec: 12,
        copies_max: 1,
        rtt_ms: 88.25,
        queue_ms: 0.4,
    };
    let pairs: Vec<(&str, &str)> =
        trees.iter().flat_map(|tree| tree.edges.iter().map(|edge| (edge.0.as_str(), edge.1.as_str()))).collect();
    let links = pairs.into_iter().chain([("frankfurt", "sydney")]).enumerate().map(link).collect();
    let wave = |at: usize| 40.0 * (1.0 + (at as f64 / 9.0).sin());
    let samples = |scale: f64| Samples { values: (0..400).map(|at| scale * (at as f64 / 400.0).powi(3)).collect() };
    Outcome {
        scenario: "made-by-hand".into(),
        scenario_hash: "0123456789abcdef".into(),
        seed: 7,
        version: "0.1.0".into(),
        policy: "tree".into(),
        duration_s: 40.0,
        events: 1_234_567,
        metrics: BTreeMap::from([
            ("added_delay_ms".into(), samples(21.0)),
            ("one_way_ms".into(), samples(160.0)),
            ("join_to_first_packet_ms".into(), Samples { values: vec![] }),
        ]),
        seconds: (0..40)
            .map(|at| Second {
                published: 900,
                delivered: 6000 + wave(at) as u64,
                network_lost: wave(at) as u64,
                repaired: wave(at) as u64 + 2,
                missed: u64::from(at == 12),
                link_bytes: 900_000 + 3000 * wave(at) as u64,
                copies: 28,
                moves: if at == 3 { 4 } else { 0 },
                one_way_ms: 61.0 + wave(at) / 20.0,
                shed: [0, 0, if (20..24).contains(&at) { 30 } else { 0 }],
                keyframe_requests: u64::from(at % 7 == 0),
            })
            .collect(),
        begun: BTreeMap::new(),
        nodes: places.iter().enumerate().map(node).collect(),
        links,
        trees,
        violations: vec![],
        asserts: vec![
            AssertOutcome { what: "added_delay_ms p95 <= 20".into(), measured: Some(17.98), holds: true },
            AssertOutcome { what: "one_way_ms p99 <= 120".into(), measured: Some(155.3), holds: false },
            AssertOutcome { what: "copies_max max <= 1".into(), measured: Some(1.0), holds: true },
        ],
    }
}

#[test]
fn equal_outcomes_give_equal_bytes_and_unequal_ones_do_not() {
    let outcome = made_by_hand();
    assert_eq!(files(&outcome), files(&outcome.clone()));
    let mut other = outcome.clone();
    other.links[0].bytes += 1;
    assert_ne!(files(&outcome), files(&other));
}

#[test]
fn every_file_is_written_and_a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("a/b");
    write(&made_by_hand(), &out).expect("written");
    for name in
        ["summary.json", "metrics.csv", "links.csv", "trees.dot", "trees.geojson", "report.html", "cdf_one_way_ms.csv"]
    {
        assert!(out.join(name).metadata().is_ok_and(|file| file.len() > 0), "{name}");
    }
    let seconds = fs::read_to_string(out.join("metrics.csv")).expect("read");
    assert_eq!(seconds.lines().count(), 1 + 40);
    let columns: Vec<usize> = seconds.lines().map(|line| line.split(',').count()).collect();
    assert!(columns.iter().all(|count| *count == columns[0]), "{seconds}");
    fs::write(dir.path().join("file"), "").expect("written");
    let fault = write(&made_by_hand(), &dir.path().join("file/below")).expect_err("a file is no folder");
    assert!(fault.to_string().contains("file/below"), "{fault}");
}

#[test]
fn the_summary_tells_asserts_totals_and_percentiles() {
    let read: serde_json::Value = serde_json::from_str(&summary::json(&made_by_hand())).expect("JSON");
    assert_eq!(read["passed"], false);
    assert_eq!(read["asserts"][1]["measured"], 155.3);
    assert_eq!(read["totals"]["shed"], serde_json::json!([0, 0, 120]));
    assert_eq!(read["metrics"]["added_delay_ms"]["samples"], 400);
    assert!(read["metrics"].get("join_to_first_packet_ms").is_none(), "no samples, no percentiles");
}

#[test]
fn the_page_fetches_nothing_and_says_what_fails() {
    let page = page::report(&made_by_hand());
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("@import"));
    assert!(page.contains("1 of 3 asserts fail"));
    assert!(page.contains("155"), "the measured value stands beside its bound");
}

#[test]
fn names_from_a_scenario_cannot_become_markup() {
    let mut outcome = made_by_hand();
    outcome.scenario = "<script>alert(1)</script>".into();
    outcome.nodes[0].name = "\"><img src=x>".into();
    outcome.links[0].from = outcome.nodes[0].name.clone();
    outcome.trees[0].edges[0].3 = "</pre><b>".into();
    outcome.violations = vec![Violation { at_s: 1.0, what: "<i>".into() }];
    let page = page::report(&outcome);
    for bad in ["<script>alert", "<img", "</pre><b>", "at 1 s: <i>"] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert!(gallery(&[(outcome, "<u>".into())]).contains("&lt;u&gt;"));
}

#[test]
fn an_empty_outcome_still_makes_a_page() {
    let page = page::report(&Outcome::default());
    assert!(page.contains("nothing asserted"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn a_tree_as_text_shows_who_feeds_whom_and_ends_in_a_loop_too() {
    let mut tree = made_by_hand().trees.remove(0);
    let text = tree_text(&tree);
    assert!(text.starts_with("frankfurt\n├─ virginia  4 layers\n│  ├─ oregon  4 layers, 1.2 ms longer"), "{text}");
    tree.edges.push(("tokyo".into(), "virginia".into(), 1, String::new()));
    tree.edges.push(("nobody".into(), "sydney".into(), 1, String::new()));
    let text = tree_text(&tree);
    assert!(text.contains("apart from the origin: nobody -> sydney  1 layer"), "{text}");
}

#[test]
fn geojson_has_a_feature_for_each_node_and_each_edge() {
    let outcome = made_by_hand();
    let read: serde_json::Value = serde_json::from_str(&tree::geojson(&outcome)).expect("JSON");
    assert_eq!(read["features"].as_array().map(Vec::len), Some(8 + 10));
    assert_eq!(read["features"][0]["geometry"]["coordinates"], serde_json::json!([8.68, 50.11]));
    assert_eq!(tree::dot(&outcome.trees).matches("->").count(), 10);
}

/// Writes the page made by hand where a person can look at it.
#[test]
#[ignore = "for people who work on the page: set REPORT_OUT"]
fn the_page_is_there_to_be_looked_at() {
    let dir = std::env::var("REPORT_OUT").expect("REPORT_OUT");
    let outcome = made_by_hand();
    write(&outcome, Path::new(&dir).join(&outcome.scenario).as_path()).expect("written");
    let page = gallery(&[(outcome, "A story.".into())]);
    write_file(&Path::new(&dir).join("index.html"), &page).expect("written");
}
