//! What trees save, and what delay they add, on the round trips between 54 regions of Azure.

use std::time::{Duration, Instant};

use origo_cascade_core::route::{Parameters, Tree};
use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};

use crate::matrix::Matrix;
use crate::world::World;

const SEED: u64 = 20_261_125;
const ROOMS: usize = 400;

/// What rooms over so many regions come to.
#[derive(Debug, Default)]
struct Figures {
    copy_ms: f64,
    oceans: f64,
    egress: f64,
    stretch_p95: f64,
    added_ms: [f64; 3],
    deepest: usize,
}

/// Draws rooms from a seed and sums up their trees.
fn figures(matrix: &Matrix, regions: usize, parameters: Parameters) -> Figures {
    let mut rng = StdRng::seed_from_u64(SEED + regions as u64);
    let mut sums = [[0.0; 2]; 3];
    let (mut added, mut stretches, mut deepest) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROOMS {
        let room: Vec<usize> = sample(&mut rng, matrix.nodes.len(), regions).into_vec();
        let origin = room[rng.random_range(0..regions)];
        let index = |node| matrix.nodes.iter().position(|other| other.id == node).expect("a region");
        let world =
            World::new(matrix.map(&room, || 1.0), matrix.nodes[origin].id, room.iter().map(|r| matrix.nodes[*r].id));
        let plan = world.plan(&Tree::new(parameters));
        assert_eq!(plan.edges.len(), regions - 1);
        let best = best_ms(matrix, &room, origin, parameters.hops);
        for (node, edge) in &plan.edges {
            let (parent, node) = (index(edge.parent), index(*node));
            let ocean = |from: usize| f64::from(u8::from(matrix.nodes[from].continent != matrix.nodes[node].continent));
            let (one_way, straight) = (matrix.rtt_ms[parent][node] / 2.0, matrix.rtt_ms[origin][node] / 2.0);
            let pairs =
                [(one_way, straight), (ocean(parent), ocean(origin)), (f64::from(u8::from(parent == origin)), 1.0)];
            for (sum, (tree, mesh)) in sums.iter_mut().zip(pairs) {
                *sum = [sum[0] + tree, sum[1] + mesh];
            }
            let delay = edge.delay.as_secs_f64() * 1e3;
            added.push(delay - best[room.iter().position(|region| *region == node).expect("in the room")]);
            stretches.push(delay / (straight + 1.0));
            deepest = deepest.max(edge.path.len());
        }
    }
    let [copy_ms, oceans, egress] = sums.map(|[tree, mesh]| tree / mesh);
    let added_ms = [0.5, 0.95, 0.99].map(|share| percentile(&mut added, share));
    Figures { copy_ms, oceans, egress, stretch_p95: percentile(&mut stretches, 0.95), added_ms, deepest }
}

/// Best one-way delay from the origin over nodes of the room and at most so many links, 1 ms for each.
fn best_ms(matrix: &Matrix, room: &[usize], origin: usize, hops: usize) -> Vec<f64> {
    let link = |a: usize, b: usize| matrix.rtt_ms[a][b] / 2.0 + 1.0;
    let mut best: Vec<f64> = room.iter().map(|to| if *to == origin { 0.0 } else { link(origin, *to) }).collect();
    for _ in 1..hops {
        let last = best.clone();
        let over = |to: usize| {
            room.iter().zip(&last).map(move |(via, delay)| if *via == to { *delay } else { delay + link(*via, to) })
        };
        best = room.iter().map(|to| over(*to).fold(f64::INFINITY, f64::min)).collect();
    }
    best
}

fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

#[test]
fn trees_save_copies_over_long_links_and_add_few_milliseconds() {
    let matrix = Matrix::azure();
    println!("seed {SEED}, {ROOMS} rooms a line, 54 regions of Azure");
    println!(
        "| regions | copy-ms / mesh | ocean copies / mesh | source egress / mesh | stretch p95 | added one-way p50 / p95 / p99 ms | deepest |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (regions, copy_ms, egress, added) in [
        (3, 1.0, 1.0, [5.0, 15.0, 20.0]),
        (6, 0.85, 0.75, [5.0, 15.0, 20.0]),
        (12, 0.65, 0.40, [5.0, 15.0, 20.0]),
        (24, 0.55, 0.25, [8.0, 15.0, 20.0]),
        (54, 0.50, 0.15, [8.0, 15.0, 20.0]),
    ] {
        let Figures { copy_ms: saved, oceans, egress: source, stretch_p95, added_ms, deepest } =
            figures(&matrix, regions, Parameters::default());
        let [p50, p95, p99] = added_ms;
        println!(
            "| {regions} | {saved:.2} | {oceans:.2} | {source:.2} | {stretch_p95:.2} | {p50:.1} / {p95:.1} / {p99:.1} | {deepest} |"
        );
        assert!(saved <= copy_ms && source <= egress, "{regions} regions");
        assert!(added_ms.iter().zip(added).all(|(is, most)| *is <= most), "{regions} regions");
        assert!(deepest <= 3);
    }
}

#[test]
fn a_plan_over_all_54_regions_takes_less_than_a_batch() {
    let matrix = Matrix::azure();
    let all: Vec<usize> = (0..54).collect();
    let world = World::new(matrix.map(&all, || 1.0), matrix.nodes[0].id, matrix.nodes.iter().map(|node| node.id));
    let mut took: Vec<Duration> = (0..50)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(world.plan(&Tree::default()).edges.len(), 53);
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("one plan at 54 regions: median {:?}, slowest {:?}", took[25], took[49]);
    assert!(took[25] < Duration::from_millis(200), "plans are batched over 200 ms");
}
