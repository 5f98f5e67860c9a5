//! A node that floods its origin with complaints about others harms nobody but itself.

use bytes::Bytes;
use origo_cascade_core::Input;
use origo_cascade_core::wire::message::{Attached, Body};

use crate::kills::{busiest, watched};
use crate::mesh::{MS, Mesh, SECOND, id, room};

fn complain(mesh: &mut Mesh, child: usize, epoch: u64, parent: usize, gray: bool) {
    let parent = Bytes::copy_from_slice(&id(parent).0);
    let why = "it is said to be bad".to_owned();
    let message = Attached { room: Some((&room()).into()), epoch, parent, rate_bps: 1, why, gray };
    let (kind, message) = (Attached::KIND as u64, message.to_body());
    mesh.ask(0, Input::Control { from: id(child), message, kind });
}

#[test]
fn complaints_of_one_node_however_many_move_nobody_else() {
    for (seed, gray) in [(0, true), (1, true), (1, false)] {
        let mut mesh = watched(seed);
        let (_, children) = busiest(&mesh).expect("a relay");
        let liar = children[0];
        let others: Vec<usize> = mesh.living().into_iter().filter(|node| ![0, liar].contains(node)).collect();
        let parents = |mesh: &Mesh| others.iter().map(|node| mesh.parent(*node, 0)).collect::<Vec<_>>();
        let before = parents(&mesh);
        for round in 0..100 {
            let epoch = mesh.node(0).cascade.trees()[0].epoch;
            for parent in 0..8 {
                if parent != liar {
                    complain(&mut mesh, liar, epoch, parent, gray);
                }
            }
            mesh.run_for(50 * MS);
            let map = mesh.node(0).cascade.map();
            for a in 0..8 {
                assert!(!map.is_held_off(id(a)), "{a} in round {round}");
                for b in (0..8).filter(|b| ![a, liar].contains(b) && a != liar) {
                    assert!(!map.is_down(id(a), id(b)), "{a} and {b} in round {round}");
                }
            }
        }
        mesh.run_for(SECOND);
        // Who hung at the liar may have been moved with it; nobody else.
        let after = parents(&mesh);
        for ((node, before), after) in others.iter().zip(before).zip(after) {
            assert!(before == after || before == Some(liar) || after == Some(0), "{node}: {before:?}, then {after:?}");
        }
    }
}
