//! A part crosses the mesh whole, and rubbish harms nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::{Identity, NodeId, RoomKey};
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Map, Prices};
use origo_cascade_core::{Node, NodeAddress};
use proptest::prelude::*;

use super::part::{Part, read_request, request};
use super::{Figures, METHOD};
use crate::rooms::Watching;

const WIRE: &str = include_str!("../../../docs/wire.md");

fn id(byte: u8) -> NodeId {
    NodeId([byte; 16])
}

fn node(byte: u8, region: &str) -> Node {
    Node {
        id: id(byte),
        region: region.to_owned(),
        country: String::new(),
        continent: String::new(),
        latitude: 0.0,
        longitude: 0.0,
        url: String::new(),
        address: NodeAddress { quic: ([127, 0, 0, 1], 1).into() },
        load: 0.0,
        draining: false,
        overload: Default::default(),
    }
}

fn metric(loss: f32) -> LinkMetric {
    LinkMetric { rtt: Duration::from_millis(80), loss, free_bps: u64::MAX, ..LinkMetric::default() }
}

fn part() -> Part {
    let takes = (Identity("ana".to_owned()), BTreeSet::from([id(1), id(2), id(3)]));
    let watching = Watching { watchers: vec![takes], countries: Vec::new() };
    let mut part = Part::of(&RoomKey::new("default", "standup"), watching, &[], vec![(id(2), metric(0.02))]);
    part.paths.insert(id(1), vec![id(1), id(2), id(3)]);
    part
}

/// The bytes of the block "golden `name`" in `docs/wire.md`.
fn golden(name: &str) -> Vec<u8> {
    let (_, rest) = WIRE.split_once(&format!("```golden {name}\n")).expect("a block of that name");
    let (block, _) = rest.split_once("```").expect("the block ends");
    block.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

#[test]
fn a_part_crosses_the_mesh_whole_as_the_documents_show() {
    assert_eq!(Part::decode(&part().encode()), Some(part()));
    assert_eq!(part().encode(), golden("paths_part"), "{:02x?}", &part().encode()[..]);
    assert_eq!(read_request(&request("standup".into())).as_deref(), Some("standup"));
    assert!(WIRE.contains(&format!("`{METHOD}`")));
}

#[test]
fn a_participant_is_fed_over_the_tree_or_straight_where_no_tree_is_known() {
    let subscribers = part().subscribers(id(3));
    assert_eq!(subscribers[0].identity, "ana");
    assert_eq!(subscribers[0].paths, [vec![id(1), id(2), id(3)], vec![id(2), id(3)], vec![id(3)]]);
    // A path that ends elsewhere is no path to this node.
    assert_eq!(part().subscribers(id(4))[0].paths[0], [id(1), id(4)]);
}

#[test]
fn the_figures_of_a_path_are_told_from_both_ends_and_name_the_link_that_hurts() {
    let mut map = Map::new(Prices::default());
    map.set_nodes(&[node(1, "sao-paulo"), node(2, "frankfurt"), node(3, "virginia")]);
    map.set_metrics(id(3), &[(id(2), metric(0.02))]);
    map.set_metrics(id(2), &[(id(3), LinkMetric { queue: Duration::from_millis(4), ..metric(0.0) })]);
    let figures = serde_json::to_value(Figures::of(&[id(1), id(2), id(3)], &map)).unwrap();
    assert_eq!(figures["hops"][1]["rtt_ms"], 80.0);
    assert_eq!(figures["hops"][1]["delay_ms"], 44.0, "half the round trip, and the queue");
    assert_eq!((&figures["hops"][1]["loss_percent"], &figures["hops"][1]["lost_percent"]), (&2.0.into(), &0.0.into()));
    assert!(figures["hops"][0]["loss_percent"].is_null(), "nobody has measured this one");
    assert_eq!(figures["hurts"]["hop"], 1);
    assert_eq!(figures["hurts"]["why"], "the link Frankfurt - Virginia lost 2 %, repaired");
    assert_eq!(figures["delay_ms"], 44.25);
    let gone = serde_json::to_value(Figures::of(&[id(9), id(2), id(3)], &map)).unwrap();
    assert!(gone["delay_ms"].is_null() && gone["hops"][0]["from_region"].is_null());
    assert_eq!(gone["hurts"]["hop"], 1);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = bytes::Bytes::from(bytes);
        if let Some(part) = Part::decode(&bytes) {
            let _ = part.subscribers(id(1));
        }
        let _ = read_request(&bytes);
    }
}
