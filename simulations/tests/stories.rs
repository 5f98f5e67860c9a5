//! Every scenario holds what it asserts: `simulations/scenarios` for the stories, `bugs` in it for what swarms found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use origo_sim::report::{passed, summary, tree_text};
use origo_sim::scenario::{Choices, Scenario};
use origo_sim::sweep::{points, pooled, set};
use origo_sim::{parallel, world};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn holds(file: &Path) {
    let scenario = Scenario::load(file, &Choices::default()).unwrap_or_else(|faults| panic!("{faults}"));
    let outcome = world::run(&scenario);
    if passed(&outcome) {
        return;
    }
    let again = format!("origo-sim run {} --seed {}", file.display(), scenario.seed);
    let report = serde_json::to_string_pretty(&summary(&outcome)).expect("JSON");
    let trees: String = outcome.trees.iter().take(4).map(tree_text).collect();
    panic!("{report}\n{trees}\n{again}");
}

macro_rules! stories {
    ($($sentence:ident: $file:literal,)*) => {
        $(#[test]
        fn $sentence() {
            holds(&folder().join(concat!($file, ".toml")));
        })*

        const STORIES: &[&str] = &[$($file),*];
    };
}

stories! {
    two_friends_on_two_continents_talk_straight: "two-friends",
    a_standup_over_six_regions_shares_its_long_links: "standup",
    a_stage_feeds_three_thousand_people_by_a_handful_of_copies: "town-hall",
    twelve_regions_save_a_third_for_a_few_milliseconds: "twelve-regions",
    twenty_four_regions_save_nearly_half: "twenty-four-regions",
    a_lossy_trunk_is_repaired_on_the_trunk: "lossy-trunk",
    a_long_trunk_carries_its_rate_from_the_first_second_on: "long-trunk",
    an_unknown_path_is_found_out_and_only_upper_layers_wait: "unknown-path",
    a_congested_ocean_lets_sound_through: "congested-ocean",
    an_asymmetric_route_is_avoided_in_one_direction: "asymmetric-route",
    bad_routing_costs_no_more_than_the_best_way: "bad-routing",
    a_late_joiner_waits_for_one_round_trip: "late-joiner",
    a_storm_of_layers_goes_up_at_once_and_down_after_two_seconds: "layer-storm",
    a_room_stays_within_its_countries: "residency-room",
    a_storm_of_keyframes_reaches_a_publisher_twice_a_second: "keyframe-storm",
    many_small_rooms_meet_at_once: "many-small-rooms",
    one_stream_of_layers_is_cut_for_each_link: "svc-class-room",
    a_shared_screen_is_seen_by_who_comes_between_keyframes: "screen-share",
    nodes_of_one_region_share_one_ingress: "shared-ingress",
    a_price_moves_a_relay: "expensive-link",
    a_link_degrades_and_comes_back: "link-comes-back",
    bursts_of_loss_are_repaired: "bursts",
    a_policer_is_noticed_by_loss_alone: "policer",
    a_satellite_carries_a_conversation: "satellite",
    a_relay_dies_and_its_children_go_elsewhere: "relay-killed",
    speakers_are_heard_on_when_their_relays_die: "relay-killed-voices",
    a_region_is_lost_and_its_people_are_back: "region-lost",
    a_cut_ocean_is_gone_round: "transatlantic-cut",
    a_partition_heals_to_one_room: "partition-heals",
    rooms_outlive_both_their_homes: "homes-lost",
    a_relay_stands_still_and_goes_on: "relay-held",
    clocks_that_disagree_keep_nobody_out: "clocks-disagree",
    homes_that_die_while_rooms_move_to_them_lose_nobody: "home-dies-moving",
    a_node_that_is_back_at_once_is_a_new_life: "quick-restart",
    a_flapping_link_is_left_alone: "flapping-link",
    nobody_is_taken_for_dead_though_gossip_is_lost: "gossip-lost",
    a_slow_node_costs_its_children_no_sound: "slow-node",
    gray_relays_are_gone_round: "gray-relay",
    a_flash_crowd_meets_a_failover: "flash-crowd-failover",
    three_deaths_at_once_leave_another_way: "deaths-at-once",
    stock_clients_are_back_within_five_seconds: "stock-clients",
    a_short_partition_ends_no_connection: "short-partition",
    four_nodes_are_upgraded_and_nobody_misses_a_word: "rolling-upgrade",
    stock_clients_are_led_on_and_nobody_sees_them_leave: "rolling-upgrade-stock",
    drained_relays_are_left_before_they_end: "drained-relay",
    an_overloaded_relay_is_spared_and_used_again: "overloaded-relay",
    a_drain_on_one_side_of_a_partition_leaves_no_ghosts: "drain-in-partition",
}

/// Rooms differ; the design's figures are of many rooms together.
fn holds_over_eight_draws(name: &str) {
    let file = folder().join(name).with_extension("toml");
    let text = set(&std::fs::read_to_string(&file).expect("a scenario"), &["run.seed=1,2,3,4,5,6,7,8".into()]);
    let text = text.expect("a seed can be set");
    let load = |values| Scenario::parse(&file, &text, &Choices { seed: None, values }).expect("a scenario");
    let points = points(&load(BTreeMap::new()).axes).expect("one axis");
    let outcomes = parallel::map(&points, |point| world::run(&load(point.clone())), |_, _| ());
    let ran: Vec<_> = points.iter().cloned().zip(outcomes.into_iter().map(|ran| ran.expect("no panic"))).collect();
    let all = pooled(&ran);
    for assertion in load(BTreeMap::new()).asserts {
        let judged = world::judge(&assertion, all.get(&assertion.metric));
        assert!(judged.holds, "{}: {:?}", judged.what, judged.measured);
    }
}

#[test]
fn eight_rooms_over_twelve_regions_reach_the_goals_of_the_design() {
    holds_over_eight_draws("twelve-regions");
}

#[test]
fn eight_rooms_over_twenty_four_regions_reach_the_goals_of_the_design() {
    holds_over_eight_draws("twenty-four-regions");
}

#[test]
fn every_scenario_has_a_test_and_tells_its_story() {
    for file in scenarios(&folder()) {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(STORIES.contains(&name), "{name} is in no test");
        let text = std::fs::read_to_string(&file).expect("a scenario");
        assert!(origo_sim::command::gallery::story(&text).len() > 60, "{name} tells nothing");
    }
}

#[test]
fn what_swarms_found_stays_mended() {
    for file in scenarios(&folder().join("bugs")) {
        holds(&file);
    }
}

fn scenarios(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    files.sort();
    files
}
