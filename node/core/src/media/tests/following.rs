//! What a viewer gets while its way to the node narrows and widens again.

use std::time::Duration;

use super::call::{Call, longest_gap, told};

#[test]
fn the_picture_follows_a_way_that_narrows_within_3_s_and_one_that_widens_within_10_s() {
    for may_pause in [false, true] {
        let mut call = Call::new(may_pause);
        call.world.line().rate_bps = 3_000_000;
        let begins = call.settles(&[2], Duration::from_secs(10));
        call.world.line().rate_bps = 500_000;
        let down = call.settles(&[0, 1], Duration::from_secs(5));
        let narrow = call.send(Duration::from_secs(15));
        println!("{}", told(&narrow));
        call.world.line().rate_bps = 3_000_000;
        let up = call.settles(&[2], Duration::from_secs(20));
        println!("may pause {may_pause}: begins {begins:?}, down {down:?}, up {up:?}");
        assert!(begins.is_some_and(|s| s < 5.0), "{begins:?} s until the whole picture");
        assert!(down.is_some_and(|s| s <= 3.0), "{down:?} s down");
        assert!(up.is_some_and(|s| s <= 10.0), "{up:?} s up");
        assert!(narrow.iter().all(|layer| *layer < Some(2)), "what does not fit is not tried");
        assert!(longest_gap(&narrow) < 1_000, "no picture for {} ms", longest_gap(&narrow));
        assert!(call.paused().is_empty());
    }
}
