//! The tables: which cases belong together, and which of their figures are shown.

use rand::Rng;

use super::case::{Case, Measured};
use super::control::Control;
use super::crowd::Media;
use super::path::Conditions;
use super::trunk::Setup;
use crate::dice::dice;

/// A figure: its heading, how it is got, digits behind the point.
pub type Column = (&'static str, fn(&Measured) -> Option<f64>, usize);

/// Cases that are compared.
pub struct Table {
    /// How it is asked for.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What is run.
    pub cases: Vec<Case>,
    /// What is shown.
    pub columns: &'static [Column],
}

const DELIVERY: &[Column] = &[
    ("delivered %", |it| Some(it.delivered), 2),
    ("first 2 s %", |it| Some(it.first_2s), 1),
    ("after 4 s %", |it| Some(it.after_4s), 2),
    ("dropped %", |it| Some(it.dropped), 1),
    ("path loss %", |it| Some(it.path_loss), 2),
    ("added p50", |it| Some(it.added_p50), 1),
    ("p95", |it| Some(it.added_p95), 1),
    ("p99 ms", |it| Some(it.added_p99), 1),
];
const CLASSES: &[Column] = &[
    ("audio %", |it| Some(it.audio), 2),
    ("base %", |it| Some(it.base), 2),
    ("enh. %", |it| Some(it.enhancement), 1),
    ("of path %", |it| it.used, 1),
    ("path loss %", |it| Some(it.path_loss), 2),
    ("added p50", |it| Some(it.added_p50), 1),
    ("p95", |it| Some(it.added_p95), 1),
    ("p99 ms", |it| Some(it.added_p99), 1),
    ("audio p95", |it| Some(it.audio_p95), 1),
    ("allowed Mb/s", |it| it.allowed_mbps, 1),
];
const OUTAGE: &[Column] = &[
    ("first ms", |it| it.first_after_ms, 0),
    ("at rate ms", |it| it.recovered_after_ms, 0),
    ("dropped %", |it| Some(it.dropped), 1),
    ("delivered %", |it| Some(it.delivered), 1),
];
const REPAIR: &[Column] = &[
    ("delivered %", |it| Some(it.delivered), 3),
    ("base %", |it| Some(it.base), 3),
    ("audio %", |it| Some(it.audio), 2),
    ("path loss %", |it| Some(it.path_loss), 2),
    ("restored", |it| Some(it.recovered as f64), 0),
    ("sent again", |it| Some(it.repairs as f64), 0),
    ("parities", |it| Some(it.parities as f64), 0),
    ("p99 ms", |it| Some(it.added_p99), 1),
];
const SHARED: &[Column] = &[
    ("audio %", |it| Some(it.audio), 2),
    ("base %", |it| Some(it.base), 2),
    ("carried Mb/s", |it| Some(it.carried_mbps), 1),
    ("download Mb/s", |it| it.download_mbps, 1),
    ("path loss %", |it| Some(it.path_loss), 2),
    ("added p50", |it| Some(it.added_p50), 1),
    ("p95", |it| Some(it.added_p95), 1),
    ("p99 ms", |it| Some(it.added_p99), 1),
    ("marked", |it| Some(it.marked as f64), 0),
    ("told", |it| Some(it.marks_told as f64), 0),
];

/// Ten publishers: 40 Mb/s, a fifth of it in base layers.
const FORTY: Media = Media { publishers: 10, mbps: 40.0, base: 0.2, tick_ms: 0.0 };
/// What is configured where the rate is known.
const KNOWN: Option<f64> = Some(50.0);

fn path(rtt_ms: f64, loss_percent: f64, bursts: bool) -> Conditions {
    Conditions { delay_ms: rtt_ms / 2.0, loss_percent, bursts, ..Conditions::default() }
}

fn narrow(rtt_ms: f64, rate: f64, queue_ms: f64, loss_percent: f64) -> Conditions {
    Conditions { rate_mbps: Some(rate), queue_ms, ..path(rtt_ms, loss_percent, false) }
}

/// All of them.
pub fn all(seed: u64, random_links: usize) -> Vec<Table> {
    let mut tables = vec![
        matrix(),
        start(),
        repair(),
        outage(),
        overload(),
        tick(),
        stalls(),
        shared(),
        marks(),
        random(seed, random_links),
    ];
    for case in tables.iter_mut().flat_map(|table| &mut table.cases).filter(|case| case.seed == 1) {
        case.seed = seed;
    }
    tables
}

fn matrix() -> Table {
    let mut cases = Vec::new();
    for rtt in [80.0, 200.0] {
        for (loss, bursts) in
            [(0.0, false), (0.01, false), (0.01, true), (0.1, false), (0.1, true), (1.0, false), (1.0, true)]
        {
            for control in [Control::Cubic, Control::NewReno, Control::Bbr, Control::Fixed, Control::Link] {
                let name = format!("{rtt} ms, {loss} %{}", if bursts { " in bursts" } else { "" });
                cases.push(Case::one(name, path(rtt, loss, bursts), control, FORTY, KNOWN));
            }
        }
    }
    Table {
        name: "matrix",
        title: "40 Mb/s, the path's rate unlimited; the link's rate is configured",
        cases,
        columns: DELIVERY,
    }
}

fn start() -> Table {
    let mut cases = Vec::new();
    for rtt in [20.0, 80.0, 200.0, 300.0] {
        for rate in [None, Some(50.0)] {
            let conditions = Conditions { rate_mbps: rate, queue_ms: 50.0, ..path(rtt, 0.1, false) };
            let wide = rate.map_or(String::from("unlimited"), |rate| format!("{rate} Mb/s"));
            cases.push(Case::one(format!("{rtt} ms, {wide}"), conditions, Control::Link, FORTY, None));
        }
    }
    Table { name: "start", title: "40 Mb/s on a path that nothing is known of, 0.1 % lost", cases, columns: DELIVERY }
}

fn repair() -> Table {
    let mut cases = Vec::new();
    for rtt in [20.0, 80.0, 120.0, 200.0, 300.0] {
        for (loss, bursts) in [(0.1, false), (1.0, false), (1.0, true), (3.0, false)] {
            let name = format!("{rtt} ms, {loss} %{}", if bursts { " in bursts" } else { "" });
            cases.push(Case::one(name, path(rtt, loss, bursts), Control::Link, FORTY, KNOWN));
        }
    }
    Table { name: "repair", title: "40 Mb/s: what repairs and parities bring back", cases, columns: REPAIR }
}

fn outage() -> Table {
    let mut cases = Vec::new();
    for rtt in [80.0, 200.0] {
        for span in [0.3, 1.0, 3.0] {
            for control in [Control::Cubic, Control::Bbr, Control::Link] {
                let conditions = Conditions { outage_s: Some((5.0, span)), ..path(rtt, 0.1, false) };
                cases.push(Case::one(format!("{rtt} ms, out for {span} s"), conditions, control, FORTY, KNOWN));
            }
        }
    }
    Table {
        name: "outage",
        title: "40 Mb/s, 0.1 % lost, an outage after 5 s; times after it ends",
        cases,
        columns: OUTAGE,
    }
}

fn overload() -> Table {
    let mut cases = Vec::new();
    for rtt in [80.0, 200.0] {
        for control in [Control::Cubic, Control::Bbr, Control::Fixed, Control::Link] {
            let name = format!("{rtt} ms, 30 Mb/s, queue 50 ms");
            cases.push(Case::one(name, narrow(rtt, 30.0, 50.0, 0.1), control, FORTY, None));
        }
        for queue in [2.0, 200.0] {
            let name = format!("{rtt} ms, 30 Mb/s, queue {queue} ms");
            cases.push(Case::one(name, narrow(rtt, 30.0, queue, 0.1), Control::Link, FORTY, None));
        }
        let falls = Conditions { later_mbps: Some((10.0, 15.0)), ..narrow(rtt, 50.0, 50.0, 0.0) };
        cases.push(Case::one(format!("{rtt} ms, 50 to 15 Mb/s after 10 s"), falls, Control::Link, FORTY, KNOWN));
        let jitter = Conditions { jitter_ms: 20.0, reorders: true, ..path(rtt, 0.1, false) };
        cases.push(Case::one(
            format!("{rtt} ms, no bound, 20 ms jitter out of order"),
            jitter,
            Control::Link,
            FORTY,
            KNOWN,
        ));
        cases.push(Case::one(
            format!("{rtt} ms, no bound, 4 % lost"),
            path(rtt, 4.0, false),
            Control::Link,
            FORTY,
            KNOWN,
        ));
        cases.push(Case::one(
            format!("{rtt} ms, no bound, 12 % lost in bursts"),
            path(rtt, 12.0, true),
            Control::Link,
            FORTY,
            KNOWN,
        ));
    }
    cases.iter_mut().for_each(|case| case.span_s = 20.0);
    Table { name: "overload", title: "40 Mb/s into less, or what looks like less", cases, columns: CLASSES }
}

fn tick() -> Table {
    let mut cases = Vec::new();
    for queue in [1.0, 2.0, 5.0] {
        for tick_ms in [1.0, 5.0, 33.0] {
            for control in [Control::Fixed, Control::Link] {
                let media = Media { tick_ms, ..FORTY };
                let name = format!("queue {queue} ms, handed over every {tick_ms} ms");
                cases.push(Case::one(name, narrow(80.0, 50.0, queue, 0.0), control, media, Some(46.0)));
            }
        }
    }
    Table { name: "tick", title: "40 Mb/s in bursts into 50 Mb/s with a shallow queue", cases, columns: DELIVERY }
}

fn stalls() -> Table {
    let mut cases = Vec::new();
    for (stall, every) in [(5.0, 100.0), (20.0, 100.0), (50.0, 500.0)] {
        for queue in [2.0, 6.0, 50.0] {
            let name = format!("{stall} ms without a tick every {every} ms, queue {queue} ms");
            let mut case = Case::one(name, narrow(80.0, 60.0, queue, 0.0), Control::Link, FORTY, KNOWN);
            case.setups[0].stalls_ms = Some((stall, every));
            cases.push(case);
        }
    }
    Table { name: "stalls", title: "40 Mb/s into 60 Mb/s, the link's thread stands still", cases, columns: DELIVERY }
}

fn shared() -> Table {
    let mut cases = Vec::new();
    let link = |media, rate_mbps| Setup { control: Control::Link, media: Some(media), rate_mbps, stalls_ms: None };
    let twenty = Media { mbps: 20.0, ..FORTY };
    for rtt in [20.0, 80.0, 200.0] {
        let mut case = Case::one(
            format!("{rtt} ms, two of 30 into 40 Mb/s"),
            narrow(rtt, 40.0, 50.0, 0.1),
            Control::Link,
            FORTY,
            None,
        );
        let thirty = Media { mbps: 30.0, ..FORTY };
        case.setups = vec![link(thirty, None), link(thirty, None)];
        cases.push(case);
        let mut case = Case::one(
            format!("{rtt} ms, 20 beside Cubic in 50 Mb/s"),
            narrow(rtt, 50.0, 50.0, 0.0),
            Control::Link,
            FORTY,
            None,
        );
        let download = Setup { control: Control::Cubic, media: None, rate_mbps: None, stalls_ms: None };
        case.setups = vec![link(twenty, Some(25.0)), download];
        cases.push(case);
    }
    cases.iter_mut().for_each(|case| case.span_s = 30.0);
    Table { name: "shared", title: "One bottleneck for two, queue 50 ms", cases, columns: SHARED }
}

fn marks() -> Table {
    let mut cases = Vec::new();
    for marks in [false, true] {
        for control in [Control::Cubic, Control::Link] {
            let conditions = Conditions { marks, ..narrow(80.0, 30.0, 50.0, 0.0) };
            let name = if marks { "marks above 2 ms of queue" } else { "no marks" };
            cases.push(Case::one(name, conditions, control, FORTY, None));
        }
    }
    cases.iter_mut().for_each(|case| case.span_s = 20.0);
    Table { name: "ecn", title: "40 into 30 Mb/s at 80 ms, with and without ECN", cases, columns: SHARED }
}

/// Links that nothing was tuned on: half of them are offered less than they carry, half of them more.
fn random(seed: u64, count: usize) -> Table {
    let mut dice = dice(seed, "random links");
    let mut log = |from: f64, to: f64| (dice.random_range(from.ln()..to.ln())).exp();
    let mut cases = Vec::new();
    for number in 0..count {
        let (rtt, rate, queue) = (log(5.0, 300.0), log(2.0, 100.0), log(5.0, 200.0));
        let loss = (log(0.01, 4.0) - 1.0).clamp(0.0, 3.0);
        let (bursts, jitter_ms) = (log(1.0, 4.0) > 2.0, log(0.1, 10.0));
        let offered = if number % 2 == 0 { 0.7 } else { 1.3 } * rate;
        let publishers = ((offered / 1.5) as usize).clamp(2, 30);
        let media = Media { publishers, mbps: offered - 0.05 * publishers as f64, base: 0.2, tick_ms: 0.0 };
        let conditions = Conditions { jitter_ms, bursts, ..narrow(rtt, rate, queue, loss) };
        let name = format!(
            "{rtt:.0} ms, {rate:.1} Mb/s, queue {queue:.0} ms, {loss:.2} %{}, jitter {jitter_ms:.1} ms, offered {offered:.1}",
            if bursts { " in bursts" } else { "" }
        );
        let mut case = Case::one(name, conditions, Control::Link, media, None);
        (case.span_s, case.seed) = (30.0, seed + number as u64 + 2);
        cases.push(case);
    }
    Table { name: "random", title: "Links that nothing was tuned on", cases, columns: CLASSES }
}
