//! Small worlds whose outcome is known.

use std::path::Path;

use super::*;
use crate::scenario::Choices;

fn scenario(text: &str) -> Scenario {
    Scenario::parse(Path::new("case.toml"), text, &Choices::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

const FRIENDS: &str = r#"
[run]
duration = "10s"
warmup = "2s"
[topology]
nodes = ["a", "b"]
[every_link]
delay = "40ms"
[[room]]
name = "friends"
publishers = [{ node = "*", layer = "top" }]
"#;

#[test]
fn two_friends_see_and_hear_each_other() {
    let outcome = run(&scenario(FRIENDS));
    assert_eq!(outcome.violations, []);
    let of = |metric: &str, percent| outcome.metrics[metric].percentile(percent).unwrap();
    assert_eq!(of("video_lost_percent", 100.0), 0.0);
    assert_eq!(of("one_way_ms", 50.0), 40.0);
    assert!(of("copies_per_link", 100.0) <= 1.0);
    let second = &outcome.seconds[8];
    // 1700 kb/s of pictures and 50 packets of sound each.
    assert!((380..560).contains(&second.delivered), "{second:?}");
    assert_eq!(second.copies, 4);
}

#[test]
fn equal_seeds_give_equal_outcomes_and_others_do_not() {
    let text = FRIENDS.replace("[[room]]", "loss = 1.0\njitter = \"2ms\"\n[[room]]");
    let (one, same) = (run(&scenario(&text)), run(&scenario(&text)));
    assert!(one == same);
    assert!(crate::report::files(&one) == crate::report::files(&same), "the same bytes");
    let other = run(&Scenario { seed: 2, ..scenario(&text) });
    assert!(one.seconds != other.seconds);
}

#[test]
fn a_control_stream_that_loses_packets_stays_whole_and_in_order() {
    let text = FRIENDS.replace("[[room]]", "loss = 30.0\n[[room]]");
    let scenario = scenario(&text);
    let mut ignore = |_: News<'_>| {};
    let mut world = World::new(&scenario, Following::default(), &mut ignore);
    world.begin();
    world.run();
    for stream in &world.streams {
        assert!(stream.next < stream.expected + 5, "{stream:?}");
    }
    assert!(world.streams[1].expected > 4, "{:?}", world.streams[1]);
    assert_eq!(world.into_outcome().violations, []);
}

#[test]
fn what_an_outage_holds_up_comes_soon_after_it() {
    let outage = "[[at]]\nat = \"0s\"\nlink = { from = \"a\", to = \"b\", loss = 100 }\n\
                  [[at]]\nat = \"3s\"\nlink = { from = \"a\", to = \"b\", loss = 0 }\n";
    let outcome = run(&scenario(&format!("{FRIENDS}{outage}")));
    assert_eq!(outcome.violations, []);
    assert_eq!(outcome.seconds[2].copies, 0, "b has not heard of a");
    assert_eq!(outcome.seconds[5].copies, 4);
}
