//! Links that fall silent while both nodes live: for a moment, for good, or in one direction.

use crate::kills::{busiest, watched};
use crate::mesh::{MS, Mesh, SECOND, id};

const PICTURE: usize = 1;

/// A mesh with a relay and one of its children.
fn with_relay(seed: u64) -> (Mesh, usize, usize) {
    let mesh =
        (seed..).map(watched).find_map(|mesh| busiest(&mesh).map(|(relay, children)| (mesh, relay, children[0])));
    mesh.expect("some mesh has a relay")
}

#[test]
fn a_parent_that_is_silent_for_a_moment_stays_and_nothing_is_lost() {
    let (mut mesh, relay, child) = with_relay(0);
    let (cut_at, asked) = (mesh.now(), mesh.sent(child));
    mesh.cut(relay, child);
    mesh.cut(child, relay);
    mesh.run_for(170 * MS + mesh.delay(relay, child));
    mesh.mend(relay, child);
    mesh.mend(child, relay);
    mesh.run_for(2 * SECOND);
    assert_eq!(mesh.parent(child, 0), Some(relay));
    assert!(mesh.sent(child) > asked, "the backup was asked");
    assert_eq!(mesh.viewer(child, PICTURE).missing(cut_at + SECOND), Vec::<u64>::new());
    assert_eq!(mesh.node(child).cascade.branches()[0].moving_to, None);
    assert!(!mesh.node(0).cascade.map().is_down(id(relay), id(child)), "nobody complained");
}

#[test]
fn a_child_that_its_parent_does_not_hear_leaves_it() {
    for (from_child, seed) in [(true, 0), (false, 0), (true, 3), (false, 3)] {
        let (mut mesh, relay, child) = with_relay(seed);
        let cut_at = mesh.now();
        if from_child {
            mesh.cut(child, relay)
        } else {
            mesh.cut(relay, child)
        }
        mesh.run_for(SECOND);
        assert!(mesh.node(0).cascade.map().is_down(id(relay), id(child)), "the origin has heard");
        mesh.run_for(2 * SECOND);
        let viewer = mesh.viewer(child, PICTURE);
        assert_ne!(mesh.parent(child, 0), Some(relay));
        let gap = viewer.gap(cut_at, cut_at + 2 * SECOND);
        assert!(gap < 700 * MS, "{gap:?}");
        assert_eq!(viewer.missing(cut_at + 2 * SECOND), Vec::<u64>::new(), "from the child: {from_child}");
    }
}

#[test]
fn a_link_that_flaps_is_left_alone_for_longer_each_time() {
    let (mut mesh, relay, child) = with_relay(0);
    let mut held = Vec::new();
    for _ in 0..4 {
        mesh.cut(relay, child);
        mesh.cut(child, relay);
        mesh.run_for(SECOND);
        assert_ne!(mesh.parent(child, 0), Some(relay));
        mesh.mend(relay, child);
        mesh.mend(child, relay);
        let mended_at = mesh.now();
        while mesh.node(child).cascade.map().is_down(id(relay), id(child)) {
            mesh.run_for(100 * MS);
        }
        held.push((mesh.now() - mended_at).as_secs());
        mesh.run_for(2 * SECOND);
    }
    assert_eq!(held, [2, 4, 8, 16]);
}

#[test]
fn a_link_that_flaps_is_used_all_the_same_when_there_is_no_other_way() {
    let (mut mesh, relay, child) = with_relay(0);
    let others: Vec<usize> = mesh.living().into_iter().filter(|other| ![relay, child].contains(other)).collect();
    for _ in 0..3 {
        mesh.cut(relay, child);
        mesh.cut(child, relay);
        mesh.run_for(SECOND);
        mesh.mend(relay, child);
        mesh.mend(child, relay);
        mesh.run_for(SECOND);
    }
    for other in others {
        mesh.cut(other, child);
        mesh.cut(child, other);
    }
    mesh.run_for(8 * SECOND);
    let viewer = mesh.viewer(child, PICTURE);
    let last = viewer.last_at().unwrap();
    assert!(mesh.now() - last < 100 * MS, "{:?} ago, from {:?}", mesh.now() - last, mesh.parent(child, 0));
}
