//! Our own estimator and str0m's on the same lines: what a viewer gets of each.

use std::time::Duration;

use super::call::{Call, FRAME_MS};
use super::line::{DELAY, Line};
use super::rival::Rival;
use crate::media::Egress;

/// Sound that takes this long beyond the line's own delay comes too late to be played.
const LATE: Duration = Duration::from_millis(120);
/// Bits per second of the best picture that fits a line, with sound and headers.
const WHOLE_BPS: u64 = 1_400_000;

/// A line that changes over time.
struct Trace {
    name: &'static str,
    seconds: u64,
    /// What the line carries, in kbit/s, so many milliseconds after it began.
    kbps: fn(u64) -> u64,
    /// What else is the matter with it.
    shape: fn(&mut Line),
    /// Where the line becomes narrower, and where wider, in seconds.
    steps: Option<(u64, u64)>,
    /// How much less ours may be.
    margin: Margin,
}

/// By how much one figure may be behind the other.
struct Margin {
    used: f64,
    wait_ms: u64,
    lost: f64,
    unheard: f64,
}

/// What a frame, a few packets and one look more or less make.
const SMALL: Margin = Margin { used: 3.0, wait_ms: 15, lost: 0.5, unheard: 0.7 };

/// Each trace is played so often on either way, and the median counts: a figure of one call hangs on where a frame was
/// when the line changed.
const PLAYS: u64 = 7;

/// What a viewer got.
#[derive(Debug)]
struct Outcome {
    /// Of what the line carries, or of what there was to send, in percent.
    used: f64,
    /// The wait that one packet in twenty exceeds.
    wait_ms: u64,
    /// Packets that the line dropped, in percent.
    lost: f64,
    /// Sound that came late or not at all, in percent.
    unheard: f64,
    /// Seconds from a step until the picture is what it stays.
    down: Option<f64>,
    up: Option<f64>,
    /// Changes of layer in a minute.
    changes: f64,
}

/// Plays a trace to a viewer with a single connection (v1) or with two (v0). Each number has chance of its own, its line
/// changes some milliseconds earlier, and carries a percent or two more or less.
fn play(trace: &Trace, egress: Egress, single: bool, number: u64) -> Outcome {
    let mut call = Call::on(egress, single, false);
    let mut line = Line::seeded(7 + number);
    (trace.shape)(&mut line);
    *call.world.line() = line;
    let (mut got, mut carries) = (Vec::new(), 0);
    for at_ms in (0..trace.seconds * 1_000).step_by(FRAME_MS as usize) {
        let kbps = (trace.kbps)(at_ms + number * 13) * (98 + number % 5) / 100;
        call.world.line().rate_bps = kbps * 1_000;
        let fair = if call.world.line().rival.is_some() { kbps * 500 } else { kbps * 1_000 };
        carries += fair.min(WHOLE_BPS) * FRAME_MS / 8_000;
        got.extend(call.send(Duration::from_millis(FRAME_MS)));
    }
    let (said, heard) = call.heard(DELAY + LATE);
    let passed = call.media_bytes();
    let line = call.world.line();
    line.waits.sort();
    let at = |percent: usize| line.waits[line.waits.len() * percent / 100].as_millis() as u64;
    let follows = |from: u64, to: u64, keeps: &dyn Fn(u8) -> bool| {
        let frames = &got[(from * 1_000 / FRAME_MS) as usize..(to * 1_000 / FRAME_MS) as usize];
        let after = frames.iter().rposition(|layer| !layer.is_none_or(keeps)).map_or(0, |at| at + 1);
        (after < frames.len()).then_some(after as f64 * FRAME_MS as f64 / 1_000.0)
    };
    let changes = got.iter().flatten().zip(got.iter().flatten().skip(1)).filter(|(one, next)| one != next).count();
    Outcome {
        used: passed as f64 * 100.0 / carries as f64,
        wait_ms: at(95),
        lost: line.lost as f64 * 100.0 / (line.waits.len() as u64 + line.lost) as f64,
        unheard: (said - heard) as f64 * 100.0 / said as f64,
        down: trace.steps.and_then(|(down, up)| follows(down, up, &|layer| layer < 2)),
        up: trace.steps.and_then(|(_, up)| follows(up, trace.seconds, &|layer| layer == 2)),
        changes: changes as f64 * 60.0 / trace.seconds as f64,
    }
}

/// One figure of several plays.
struct Figure(Vec<f64>);

impl Figure {
    /// What never came stands behind everything that did.
    fn of(plays: &[Outcome], figure: impl Fn(&Outcome) -> f64) -> Self {
        let mut all: Vec<f64> = plays.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// The median and between what it is, where that differs as it is told.
    fn told(&self, digits: usize, unit: &str) -> String {
        let tell = |value: f64| format!("{value:.digits$}");
        let [median, least, most] = [self.median(), self.0[0], self.0[self.0.len() - 1]].map(tell);
        if least == most { format!("{median} {unit}") } else { format!("{median} {unit} ({least} to {most})") }
    }
}

/// Plays a trace on one way; prints what came, and gives the medians.
fn medians(trace: &Trace, egress: Egress, single: bool) -> Outcome {
    let plays: Vec<_> = (0..PLAYS).map(|number| play(trace, egress, single, number)).collect();
    let figure = |of: &dyn Fn(&Outcome) -> f64| Figure::of(&plays, of);
    let never = f64::INFINITY;
    let (used, wait) = (figure(&|play| play.used), figure(&|play| play.wait_ms as f64));
    let (lost, unheard) = (figure(&|play| play.lost), figure(&|play| play.unheard));
    let (down, up) = (figure(&|play| play.down.unwrap_or(never)), figure(&|play| play.up.unwrap_or(never)));
    let changes = figure(&|play| play.changes);
    let followed = |of: &Figure| trace.steps.map_or(String::new(), |_| of.told(1, "s"));
    println!(
        "| {} | {}, {} | {} | {} | {} | {} | {} | {} | {} |",
        trace.name,
        if egress == Egress::Own { "own" } else { "str0m" },
        if single { "v1" } else { "v0" },
        used.told(0, "%"),
        wait.told(0, "ms"),
        lost.told(1, "%"),
        unheard.told(1, "%"),
        followed(&down),
        followed(&up),
        changes.told(0, "").replace("  ", " ").trim_end(),
    );
    let seconds = |of: &Figure| Some(of.median()).filter(|seconds| seconds.is_finite());
    Outcome {
        used: used.median(),
        wait_ms: wait.median() as u64,
        lost: lost.median(),
        unheard: unheard.median(),
        down: seconds(&down),
        up: seconds(&up),
        changes: changes.median(),
    }
}

/// Plays a trace on both ways, on ours to viewers of both kinds, prints what came, and asserts that ours is as good. str0m's
/// has the kind for which it is at its larger layer when the line becomes narrow, as ours is for both.
fn compare(trace: &Trace) {
    let theirs = medians(trace, Egress::Str0m, false);
    for single in [false, true] {
        is_as_good(trace, &medians(trace, Egress::Own, single), &theirs);
    }
}

fn is_as_good(trace: &Trace, ours: &Outcome, theirs: &Outcome) {
    let margin = &trace.margin;
    assert!(ours.used >= theirs.used - margin.used, "{ours:?} {theirs:?}");
    assert!(ours.wait_ms <= theirs.wait_ms + margin.wait_ms, "{ours:?} {theirs:?}");
    assert!(ours.lost <= theirs.lost + margin.lost, "{ours:?} {theirs:?}");
    assert!(ours.unheard <= theirs.unheard + margin.unheard, "{ours:?} {theirs:?}");
    if trace.steps.is_some() {
        let seconds = |of: Option<f64>| of.unwrap_or(f64::MAX);
        assert!(seconds(ours.down) <= seconds(theirs.down) + 0.2, "{ours:?} {theirs:?}");
        assert!(seconds(ours.up) <= seconds(theirs.up) + 0.5, "{ours:?} {theirs:?}");
    }
}

/// The same where chance decides which packets of sound are lost.
const LOSSY: Margin = Margin { unheard: 1.5, ..SMALL };
const PLAIN: Trace = Trace { name: "", seconds: 30, kbps: |_| 0, shape: |_| {}, steps: None, margin: SMALL };

#[test]
fn on_a_steady_line_ours_is_as_good() {
    compare(&Trace { name: "steady, 700 kbit/s", kbps: |_| 700, ..PLAIN });
}

#[test]
fn on_a_steady_line_that_carries_everything_ours_is_as_good() {
    compare(&Trace { name: "steady, 2 Mbit/s", kbps: |_| 2_000, ..PLAIN });
}

#[test]
fn at_steps_ours_is_as_good() {
    let kbps = |ms| if (10_000..25_000).contains(&ms) { 500 } else { 3_000 };
    let steps = Some((10, 25));
    compare(&Trace { name: "3 Mbit/s, 500 kbit/s, 3 Mbit/s", seconds: 40, kbps, steps, ..PLAIN });
}

#[test]
fn on_a_sawtooth_ours_is_as_good() {
    compare(&Trace { name: "sawtooth, 0.4 to 2.4 Mbit/s", kbps: |ms| 400 + ms % 10_000 / 5, margin: LOSSY, ..PLAIN });
}

#[test]
fn in_shared_air_ours_is_as_good() {
    compare(&Trace { name: "Wi-Fi-like, 2.5 Mbit/s", kbps: |_| 2_500, shape: |line| line.shares_air = true, ..PLAIN });
}

#[test]
fn behind_a_policer_ours_is_as_good() {
    let shape = |line: &mut Line| line.policed_bytes = Some(12_000);
    // Either tries the large layer more often in some plays than in others.
    let margin = Margin { used: 8.0, ..SMALL };
    compare(&Trace { name: "policer, 800 kbit/s", kbps: |_| 800, shape, margin, ..PLAIN });
}

#[test]
fn beside_a_download_ours_is_as_good() {
    let shape = |line: &mut Line| line.rival = Some(Rival::new());
    // Either holds the large layer in some plays and gives it up in others; then less is used, and more is heard.
    let margin = Margin { used: 60.0, lost: 3.0, unheard: 25.0, ..SMALL };
    compare(&Trace { name: "beside TCP, 3 Mbit/s", kbps: |_| 3_000, shape, margin, ..PLAIN });
}

#[test]
fn with_loss_at_random_ours_is_as_good() {
    let shape = |line: &mut Line| line.loses_one_in = Some(20);
    compare(&Trace { name: "5 % random loss, 2 Mbit/s", kbps: |_| 2_000, shape, margin: LOSSY, ..PLAIN });
}
