//! Plans that people can check by hand, with the sentences that they give.

use std::collections::BTreeSet;
use std::time::Duration;

use origo_auth::NodeId;
use origo_cascade_core::Level;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Map, Parameters, Plan, RELAY_POLICIES, Tree, relay_policy};

use crate::matrix::Matrix;
use crate::world::World;

/// A room over these regions of Azure, whose publisher is in the first.
fn azure(regions: &[&str]) -> World {
    let matrix = Matrix::azure();
    let index = |region: &&str| matrix.nodes.iter().position(|node| node.region == *region).expect("a region");
    let indices: Vec<usize> = regions.iter().map(index).collect();
    let members = indices.iter().map(|index| matrix.nodes[*index].id);
    World::new(matrix.map(&indices, || 1.0), matrix.nodes[indices[0]].id, members)
}

fn id(world: &World, region: &str) -> NodeId {
    world.map.nodes().find(|node| node.region == region).expect("a region").id
}

/// `child <- parent: why` by region.
fn told(world: &World, plan: &Plan) -> Vec<String> {
    let region = |id| world.map.node(id).map_or("?", |node| &node.region);
    let mut told: Vec<String> = plan
        .edges
        .iter()
        .map(|(to, edge)| format!("{} <- {}: {}", region(*to), region(edge.parent), edge.why))
        .collect();
    told.sort();
    told
}

/// Adds nodes to the map without measuring links to them, each as a change of the node of a region.
fn add(world: &mut World, region: &str, nodes: impl IntoIterator<Item = (u8, fn(&mut origo_cascade_core::Node))>) {
    let mut all: Vec<_> = world.map.nodes().cloned().collect();
    for (byte, change) in nodes {
        let mut node = all.iter().find(|node| node.region == region).expect("a region").clone();
        node.id = NodeId([byte; 16]);
        change(&mut node);
        all.push(node);
    }
    world.map.set_nodes(&all);
}

#[test]
fn an_ocean_is_crossed_once_for_a_continent() {
    let world = azure(&["westeurope", "eastus", "eastus2", "southcentralus", "germanywestcentral"]);
    assert_eq!(
        told(&world, &world.plan(&Tree::default())),
        [
            "eastus <- westeurope: straight from the publisher's node",
            "eastus2 <- eastus: 4.8 ms longer than straight, saves an ocean crossing",
            "germanywestcentral <- westeurope: straight from the publisher's node",
            "southcentralus <- eastus2: 8.0 ms longer than straight, saves an ocean crossing",
        ]
    );
}

#[test]
fn the_nodes_of_one_region_take_one_copy_and_share_it() {
    let mut world = azure(&["westeurope", "eastus"]);
    add(&mut world, "eastus", [(201, |_| {}), (202, |_| {}), (203, |_| {})] as [(u8, fn(&mut _)); 3]);
    world.members.extend([201, 202, 203].map(|byte| (NodeId([byte; 16]), 2_000_000)));
    let mut ingresses = BTreeSet::new();
    for room in 0..20 {
        world.room.name = format!("room {room}");
        let plan = world.plan(&Tree::default());
        let from_outside: Vec<NodeId> =
            plan.edges.iter().filter(|(_, edge)| edge.parent == world.origin).map(|(node, _)| *node).collect();
        assert_eq!(from_outside.len(), 1, "{:?}", told(&world, &plan));
        assert!(
            plan.edges
                .iter()
                .all(|(node, edge)| [world.origin, from_outside[0]].contains(&edge.parent) && *node != edge.parent)
        );
        ingresses.insert(from_outside[0]);
    }
    assert!(ingresses.len() >= 3, "rooms share the work: {ingresses:?}");
}

#[test]
fn a_new_node_in_a_region_does_not_take_the_ingress_away() {
    let mut world = azure(&["westeurope", "eastus"]);
    for room in 0..20 {
        world.room.name = format!("room {room}");
        world.before = Plan::default();
        let plan = world.plan(&Tree::default());
        world.take(plan);
        let mut grown = world.clone();
        add(&mut grown, "eastus", [(201, |_| {})] as [(u8, fn(&mut _)); 1]);
        grown.members.insert(NodeId([201; 16]), 2_000_000);
        grown.now += Duration::from_secs(60);
        assert_eq!(grown.plan(&Tree::default()).edges[&NodeId([201; 16])].parent, id(&world, "eastus"));
    }
}

#[test]
fn a_node_without_viewers_relays_where_it_saves_more_than_one_ocean_copy_and_only_if_it_is_idle() {
    // Viewers in South America, whose links to each other are too slow to serve each other.
    let world = |load: f64, viewers: u8| {
        let mut world = azure(&["westeurope", "brazilsouth"]);
        let hub = id(&world, "brazilsouth");
        let mut nodes: Vec<_> = world.map.nodes().cloned().collect();
        nodes[0].load = if nodes[0].id == hub { load } else { 0.0 };
        nodes[1].load = if nodes[1].id == hub { load } else { 0.0 };
        let mut links = Vec::new();
        for viewer in 0..viewers {
            let mut node = nodes.iter().find(|node| node.id == hub).expect("the hub").clone();
            (node.id, node.load, node.region) = (NodeId([100 + viewer; 16]), 0.0, format!("viewers-{viewer}"));
            links.push((
                node.id,
                LinkMetric { rtt: Duration::from_millis(4), free_bps: u64::MAX, ..LinkMetric::default() },
            ));
            nodes.push(node);
        }
        world.map.set_nodes(&nodes);
        world.map.set_metrics(hub, &links);
        let slow = |rtt| LinkMetric { rtt: Duration::from_millis(rtt), free_bps: u64::MAX, ..LinkMetric::default() };
        for viewer in 0..viewers {
            let others =
                (0..viewers).filter(|other| *other != viewer).map(|other| (NodeId([100 + other; 16]), slow(200)));
            let links: Vec<_> = others.chain([(world.origin, slow(190)), (hub, slow(4))]).collect();
            world.map.set_metrics(NodeId([100 + viewer; 16]), &links);
        }
        world.members = (0..viewers).map(|viewer| (NodeId([100 + viewer; 16]), 2_000_000)).collect();
        world
    };
    let relays = |world: &World| world.plan(&Tree::default()).edges.contains_key(&id(world, "brazilsouth"));
    assert!(relays(&world(0.5, 4)), "{:?}", told(&world(0.5, 4), &world(0.5, 4).plan(&Tree::default())));
    assert!(!relays(&world(0.6, 4)), "it is 60 % busy");
    assert!(!relays(&world(0.0, 2)), "one ocean copy is not worth a relay");
    let mut leaving = world(0.0, 4);
    let plan = leaving.plan(&Tree::default());
    leaving.take(plan);
    leaving.members.pop_first();
    leaving.now += Duration::from_secs(60);
    assert!(relays(&leaving), "a relay in use stays while it saves anything to speak of");
}

#[test]
fn a_room_for_europe_is_not_carried_over_america_and_tells_who_is_left_out() {
    let mut world = azure(&["westeurope", "austriaeast", "eastus", "germanywestcentral"]);
    world.countries = ["NL", "AT", "DE"].map(str::to_owned).to_vec();
    let outside = id(&world, "eastus");
    for policy in RELAY_POLICIES.iter().filter_map(|name| relay_policy(name)) {
        let plan = world.plan(policy.as_ref());
        assert_eq!(plan.edges.len(), 2, "{}", policy.name());
        assert_eq!(plan.refused[&outside], "this room's media stays in NL, AT, DE, and this node stands in US");
    }
    world.countries = vec!["US".to_owned()];
    let refused = world.plan(&Tree::default()).refused;
    assert_eq!(
        refused[&outside],
        "the publisher's node may not carry it: this room's media stays in US, and this node stands in NL"
    );
}

#[test]
fn a_lossy_link_is_left_for_a_clean_detour() {
    let mut world = azure(&["westeurope", "eastus", "southafricanorth"]);
    assert_eq!(world.plan(&Tree::default()).edges[&id(&world, "southafricanorth")].parent, world.origin);
    let (far, us) = (id(&world, "southafricanorth"), id(&world, "eastus"));
    let lossy = LinkMetric { rtt: Duration::from_millis(170), loss: 0.4, free_bps: u64::MAX, ..LinkMetric::default() };
    let clean = LinkMetric { rtt: Duration::from_millis(100), free_bps: u64::MAX, ..LinkMetric::default() };
    world.map.set_metrics(far, &[(world.origin, lossy), (us, clean)]);
    let plan = world.plan(&Tree::default());
    assert_eq!(plan.edges[&far].parent, us, "{:?}", told(&world, &plan));
}

#[test]
fn a_full_link_takes_no_new_edge_and_loses_an_old_one_only_when_nothing_more_fits() {
    let mut world = azure(&["westeurope", "eastus", "eastus2"]);
    let (us, us2) = (id(&world, "eastus"), id(&world, "eastus2"));
    let free = |free_bps| LinkMetric { rtt: Duration::from_millis(7), free_bps, ..LinkMetric::default() };
    let parent = |world: &World| world.plan(&Tree::default()).edges[&us2].parent;
    world.map.set_metrics(us, &[(us2, free(2_300_000))]);
    assert_eq!(parent(&world), world.origin, "2 Mb/s are more than 85 % of 2.3");
    world.map.set_metrics(us, &[(us2, free(2_400_000))]);
    assert_eq!(parent(&world), us);
    let plan = world.plan(&Tree::default());
    world.take(plan);
    world.now += Duration::from_secs(60);
    world.map.set_metrics(us, &[(us2, free(200_000))]);
    assert_eq!(parent(&world), us, "what passes already has its room");
    world.map.set_metrics(us, &[(us2, free(0))]);
    assert_eq!(parent(&world), world.origin);
}

#[test]
fn a_draining_node_feeds_nobody_and_its_children_leave_it_at_once() {
    let mut world = azure(&["westeurope", "eastus", "eastus2"]);
    let (us, us2) = (id(&world, "eastus"), id(&world, "eastus2"));
    let plan = world.plan(&Tree::default());
    assert_eq!(plan.edges[&us2].parent, us);
    world.take(plan);
    world.moved = [(us2, world.now)].into();
    let mut nodes: Vec<_> = world.map.nodes().cloned().collect();
    nodes.iter_mut().filter(|node| node.id == us).for_each(|node| node.draining = true);
    world.map.set_nodes(&nodes);
    assert_ne!(world.plan(&Tree::default()).edges[&us2].parent, us);
}

#[test]
fn the_children_of_a_node_that_relays_no_more_leave_it_and_come_back_when_it_does() {
    let mut world = azure(&["westeurope", "eastus", "eastus2"]);
    let (us, us2) = (id(&world, "eastus"), id(&world, "eastus2"));
    let plan = world.plan(&Tree::default());
    assert_eq!(plan.edges[&us2].parent, us);
    world.take(plan);
    let set = |world: &mut World, level: Level| {
        let mut nodes: Vec<_> = world.map.nodes().cloned().collect();
        nodes.iter_mut().filter(|node| node.id == us).for_each(|node| node.overload.level = level);
        world.map.set_nodes(&nodes);
    };
    for level in [Level::Full, Level::Shedding] {
        set(&mut world, level);
        assert_eq!(world.plan(&Tree::default()).edges[&us2].parent, us, "{level:?}: who hangs there stays");
    }
    set(&mut world, Level::NotRelaying);
    let plan = world.plan(&Tree::default());
    assert_ne!(plan.edges[&us2].parent, us);
    assert_ne!(plan.edges[&us2].backup, Some(us));
    world.take(plan);
    world.now += Duration::from_secs(60);
    set(&mut world, Level::Full);
    assert_ne!(world.plan(&Tree::default()).edges[&us2].parent, us, "a full node takes no new children");
    set(&mut world, Level::Calm);
    assert_eq!(world.plan(&Tree::default()).edges[&us2].parent, us);
}

#[test]
fn a_relay_lifts_what_it_takes_itself_only_where_that_is_cheaper_than_a_second_copy() {
    // The node in the east takes a thumbnail; the one behind it wants ten times that.
    let mut world = azure(&["westeurope", "eastus", "eastus2"]);
    let (us, us2) = (id(&world, "eastus"), id(&world, "eastus2"));
    world.members = [(us, 150_000), (us2, 1_500_000)].into();
    let plan = world.plan(&Tree::default());
    // Straight costs 4 x 1.5; behind it 1 x 1.5 and the lift of 4 x 1.35 over the ocean: 6.9.
    assert_eq!(plan.edges[&us2].parent, world.origin, "{:?}", told(&world, &plan));
    world.members = [(us, 1_500_000), (us2, 1_500_000)].into();
    assert_eq!(world.plan(&Tree::default()).edges[&us2].parent, us, "what is carried already costs nothing");
}

#[test]
fn a_child_of_the_origin_makes_room_for_one_that_can_hang_nowhere_else_though_it_has_just_moved() {
    let mut world = azure(&["westeurope", "uksouth", "francecentral", "northeurope"]);
    let straight = Tree::new(Parameters { degree: 3, hops: 1, ..Parameters::default() });
    let plan = world.plan(&straight);
    world.take(plan);
    world.moved = world.members.keys().map(|member| (*member, world.now)).collect();
    let lonely = id(&world, "northeurope");
    for other in ["uksouth", "francecentral"] {
        let other = id(&world, other);
        world.map.set_down(lonely, other, true);
    }
    for hops in [2, 3] {
        let plan = world.plan(&Tree::new(Parameters { degree: 2, hops, ..Parameters::default() }));
        let straight: Vec<NodeId> =
            plan.edges.iter().filter(|(_, edge)| edge.parent == world.origin).map(|(node, _)| *node).collect();
        assert_eq!((straight.len(), straight.contains(&lonely)), (2, true));
        let told = told(&world, &plan);
        assert!(told.iter().any(|told| told.ends_with("it makes room for others")), "{told:?}");
    }
}

#[test]
fn the_star_has_the_node_that_is_nearest_to_all_as_its_hub() {
    let world = azure(&["japaneast", "westeurope", "uksouth", "francecentral", "eastus"]);
    let star = relay_policy("star").expect("a policy");
    let plan = world.plan(star.as_ref());
    let hub = plan.edges[&id(&world, "eastus")].parent;
    assert!(["uksouth", "francecentral", "westeurope"].map(|region| id(&world, region)).contains(&hub));
    assert_eq!(plan.edges[&hub].parent, world.origin);
    assert_eq!(plan.edges.values().filter(|edge| edge.parent == hub && edge.backup == Some(world.origin)).count(), 3);
}

#[test]
fn each_policy_is_found_by_its_name_and_only_the_mesh_carries_what_nobody_watches() {
    for name in RELAY_POLICIES {
        let policy = relay_policy(name).expect("a policy");
        assert_eq!((policy.name(), policy.carries_unwatched()), (name, name == "mesh"));
    }
    assert!(relay_policy("ring").is_none());
    let world = World::new(Map::default(), NodeId([1; 16]), [NodeId([2; 16])]);
    let plan = world.plan(&Tree::default());
    assert_eq!(
        plan.edges[&NodeId([2; 16])].why,
        "straight from the publisher's node, until gossip tells where this one is"
    );
}
