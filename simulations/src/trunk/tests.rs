//! The promises of the trunk over real QUIC, each in one run.

use super::case::{Case, Measured};
use super::control::Control;
use super::crowd::Media;
use super::path::Conditions;

const FORTY: Media = Media { publishers: 10, mbps: 40.0, base: 0.2, tick_ms: 0.0 };

fn long(loss_percent: f64) -> Conditions {
    Conditions { delay_ms: 100.0, loss_percent, ..Conditions::default() }
}

fn run(conditions: Conditions, control: Control, rate: Option<f64>, span_s: f64) -> Measured {
    let case = Case { span_s, ..Case::one("test", conditions, control, FORTY, rate) };
    case.run().unwrap().0.remove(0)
}

#[test]
fn a_configured_trunk_carries_forty_megabits_where_cubic_carries_a_tenth() {
    let link = run(long(0.1), Control::Link, Some(50.0), 6.0);
    assert!(link.delivered >= 99.5 && link.first_2s >= 99.5, "{link:?}");
    let cubic = run(long(0.1), Control::Cubic, None, 6.0);
    assert!(cubic.delivered < 50.0, "{cubic:?}");
}

#[test]
fn an_unknown_trunk_carries_all_after_four_seconds() {
    let link = run(long(0.1), Control::Link, None, 8.0);
    assert!(link.after_4s >= 99.5, "{link:?}");
    assert!(link.base >= 99.9, "{link:?}");
}

#[test]
fn equal_seeds_give_equal_figures() {
    let conditions = Conditions { rate_mbps: Some(30.0), queue_ms: 50.0, ..long(1.0) };
    let one = run(conditions.clone(), Control::Link, None, 3.0);
    let other = run(conditions, Control::Link, None, 3.0);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}
