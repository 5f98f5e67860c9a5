//! Small worlds whose outcome is known.

use std::path::Path;

use super::*;
use crate::scenario::Choices;

fn scenario(text: &str) -> Scenario {
    Scenario::parse(Path::new("case.toml"), text, &Choices::default()).unwrap_or_else(|faults| panic!("{faults}"))
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
    let other = run(&Scenario { seed: 2, ..scenario(&text) });
    assert!(one.seconds != other.seconds);
}
