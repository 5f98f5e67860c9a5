//! Sweeps: a scenario run at every combination of some values, and what came of each.

use std::collections::BTreeMap;
use std::fmt::Write;

use toml::{Table, Value};

use crate::outcome::{AssertOutcome, Outcome, Samples};
use crate::report::{Percentiles, align, field, figure};
use crate::scenario::Axis;

/// Combinations of one sweep; more are a mistake in the file.
pub const POINTS_MAX: usize = 1000;

/// Why a sweep cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SweepError {
    #[error("the scenario cannot be read: {0}")]
    Syntax(String),
    #[error("--set {0}: accepted: a key and its values, such as policy.alpha=1.0,1.1,1.2")]
    Set(String),
    #[error("--set {0}: there is no such place; accepted: a section's key, such as policy.alpha or link[1].rate")]
    Place(String),
    #[error("nothing to sweep; accepted: a list where the scenario has one value, or --set policy.alpha=1.0,1.1,1.2")]
    Nothing,
    #[error("{0} combinations; accepted: at most {POINTS_MAX}")]
    TooMany(usize),
}

/// Which value of every axis a run takes: what `Choices::values` is.
pub type Choice = BTreeMap<String, usize>;

/// A scenario's text with keys set: `policy.alpha=1.0,1.1`, numbered tables from 1 as in `link[1].rate`.
///
/// A value is a number, `true`, `false`, a table or a list in TOML, or else a text. Several make a list, and that a sweep.
pub fn set(text: &str, sets: &[String]) -> Result<String, SweepError> {
    if sets.is_empty() {
        return Ok(text.to_owned());
    }
    let mut table: Table = toml::from_str(text).map_err(|mistake| SweepError::Syntax(mistake.to_string()))?;
    for set in sets {
        let mistake = || SweepError::Set(set.clone());
        let (key, values) = set.split_once('=').ok_or_else(mistake)?;
        let mut values: Vec<Value> = pieces(values).into_iter().map(value).collect();
        let value = match values.len() {
            0 => return Err(mistake()),
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        put(&mut table, key.trim(), value)?;
    }
    Ok(table.to_string())
}

/// Splits at commas that no bracket and no quote encloses.
fn pieces(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut begin, mut pieces) = (0i32, false, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                pieces.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[begin..]);
    pieces.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

fn value(piece: &str) -> Value {
    let read: Option<Table> = toml::from_str(&format!("value = {piece}")).ok();
    read.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(piece.to_owned()))
}

fn put(table: &mut Table, key: &str, value: Value) -> Result<(), SweepError> {
    let mistake = || SweepError::Place(key.to_owned());
    let (path, last) = key.rsplit_once('.').filter(|(_, last)| !last.is_empty()).ok_or_else(mistake)?;
    let mut place = &mut *table;
    for step in path.split('.') {
        let (name, number) = match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
            Some((name, number)) => (name, Some(number.parse::<usize>().map_err(|_| mistake())?)),
            None => (step, None),
        };
        let entry = place.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let entry = match number {
            Some(number) => entry.as_array_mut().and_then(|items| items.get_mut(number.checked_sub(1)?)),
            None => Some(entry),
        };
        place = entry.and_then(Value::as_table_mut).ok_or_else(mistake)?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

/// All combinations, the last axis fastest.
pub fn points(axes: &[Axis]) -> Result<Vec<Choice>, SweepError> {
    if axes.is_empty() {
        return Err(SweepError::Nothing);
    }
    let count = axes.iter().try_fold(1usize, |count, axis| count.checked_mul(axis.values.len()));
    match count {
        Some(count) if count <= POINTS_MAX => {}
        count => return Err(SweepError::TooMany(count.unwrap_or(usize::MAX))),
    }
    let mut points = vec![Choice::new()];
    for axis in axes {
        let with = |point: &Choice, value: usize| {
            let mut point = point.clone();
            point.insert(axis.key.clone(), value);
            point
        };
        points = points.iter().flat_map(|point| (0..axis.values.len()).map(move |value| with(point, value))).collect();
    }
    Ok(points)
}

/// The values of a point as they are written.
fn values(axes: &[Axis], point: &Choice) -> Vec<String> {
    let value = |axis: &Axis| axis.values[point.get(&axis.key).copied().unwrap_or(0)].trim_matches('"').to_owned();
    axes.iter().map(value).collect()
}

/// What is told of every metric of a point.
const COLUMNS: [&str; 4] = ["mean", "p50", "p95", "p99"];

/// One row a point as CSV: the values, whether all held, and every metric.
pub fn csv(axes: &[Axis], points: &[(Choice, Outcome)]) -> String {
    let mut metrics: Vec<&str> =
        points.iter().flat_map(|(_, outcome)| outcome.metrics.keys().map(String::as_str)).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut out = String::new();
    let keys = axes.iter().map(|axis| field(&axis.key)).chain(["asserts_failed".into(), "violations".into()]);
    let columns = metrics.iter().flat_map(|metric| COLUMNS.iter().map(move |column| format!("{metric}_{column}")));
    let _ = writeln!(out, "{}", keys.chain(columns).collect::<Vec<_>>().join(","));
    for (point, outcome) in points {
        let failed = outcome.asserts.iter().filter(|assert| !assert.holds).count();
        let mut fields: Vec<String> = values(axes, point).iter().map(|value| field(value)).collect();
        fields.extend([failed.to_string(), outcome.violations.len().to_string()]);
        for metric in &metrics {
            match outcome.metrics.get(*metric).and_then(Percentiles::of) {
                Some(of) => fields.extend([of.mean, of.p50, of.p95, of.p99].map(|value| value.to_string())),
                None => fields.extend(COLUMNS.map(|_| String::new())),
            }
        }
        let _ = writeln!(out, "{}", fields.join(","));
    }
    out
}

/// Samples of all points together.
pub fn pooled(points: &[(Choice, Outcome)]) -> BTreeMap<String, Samples> {
    let mut pooled: BTreeMap<String, Samples> = BTreeMap::new();
    for (name, samples) in points.iter().flat_map(|(_, outcome)| &outcome.metrics) {
        pooled.entry(name.clone()).or_default().values.extend(&samples.values);
    }
    pooled.values_mut().for_each(|samples| samples.values.sort_by(f64::total_cmp));
    pooled
}

/// A table for a terminal: the values of each point, then what the scenario asserts, measured; at last what all points
/// together give (`all`), which is what counts when the seed is swept over.
pub fn table(axes: &[Axis], points: &[(Choice, Outcome)], all: &[AssertOutcome]) -> String {
    let asserted = all.iter().map(|assert| assert.what.clone());
    let mut rows = vec![axes.iter().map(|axis| axis.key.clone()).chain(asserted).chain(["broken".into()]).collect()];
    for (point, outcome) in points {
        let measured = outcome.asserts.iter().map(measured);
        let broken = outcome.violations.len().to_string();
        rows.push(values(axes, point).into_iter().chain(measured).chain([broken]).collect::<Vec<String>>());
    }
    let broken: usize = points.iter().map(|(_, outcome)| outcome.violations.len()).sum();
    let name = axes.iter().enumerate().map(|(at, _)| if at == 0 { "all".to_owned() } else { String::new() });
    rows.push(name.chain(all.iter().map(measured)).chain([broken.to_string()]).collect());
    align(&rows)
}

fn measured(assert: &AssertOutcome) -> String {
    let value = assert.measured.map_or("none".into(), figure);
    if assert.holds { value } else { format!("{value} ✗") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::made_by_hand;

    const SCENARIO: &str = "[run]\nduration = \"10s\"\n[policy]\nalpha = [1.0, 1.1]\n[[link]]\nrate = \"1Gbps\"\n";

    fn with(set_to: &str) -> Result<Table, SweepError> {
        set(SCENARIO, &[set_to.to_owned()]).map(|text| toml::from_str(&text).expect("TOML"))
    }

    #[test]
    fn keys_are_set_to_one_value_or_to_a_list() {
        assert_eq!(with("policy.alpha=1.3").unwrap()["policy"]["alpha"].as_float(), Some(1.3));
        assert_eq!(with("policy.relay=direct").unwrap()["policy"]["relay"].as_str(), Some("direct"));
        let rates = with("link[1].rate=10Mbps,20Mbps").unwrap();
        assert_eq!(rates["link"][0]["rate"].as_array().map(Vec::len), Some(2));
        let losses = with("every_link.loss={ model = \"gilbert\", percent = 1 }, 0.5,\"a,b\"").unwrap();
        let losses = losses["every_link"]["loss"].as_array().expect("a list");
        assert_eq!((losses.len(), losses[2].as_str()), (3, Some("a,b")));
        assert_eq!(set(SCENARIO, &[]).as_deref(), Ok(SCENARIO), "nothing set changes no byte");
    }

    #[test]
    fn what_cannot_be_set_or_swept_is_named() {
        assert_eq!(with("alpha"), Err(SweepError::Set("alpha".into())));
        assert_eq!(with("policy.alpha="), Err(SweepError::Set("policy.alpha=".into())));
        for place in ["alpha", "link[2].rate", "link[0].rate", "link[x].rate", "run.duration.x", "policy."] {
            assert_eq!(with(&format!("{place}=1")), Err(SweepError::Place(place.into())));
        }
        assert!(matches!(set("x = ", &["a.b=1".into()]), Err(SweepError::Syntax(_))));
        assert_eq!(points(&[]), Err(SweepError::Nothing));
        let axis = Axis { key: "policy.beta".into(), values: vec!["1ms".into(); 600] };
        assert_eq!(points(&[axis.clone(), axis]), Err(SweepError::TooMany(360_000)));
    }

    #[test]
    fn a_sweep_has_a_row_for_each_combination() {
        let axis = |key: &str, values: [&str; 2]| Axis { key: key.into(), values: values.map(str::to_owned).to_vec() };
        let axes = [axis("policy.alpha", ["1.0", "1.1"]), axis("policy.relay", ["\"tree\"", "\"star\""])];
        let points: Vec<_> = points(&axes).unwrap().into_iter().map(|point| (point, made_by_hand())).collect();
        let text = csv(&axes, &points);
        assert!(text.starts_with("policy.alpha,policy.relay,asserts_failed,violations,added_delay_ms_mean,"), "{text}");
        let begins: Vec<&str> = text.lines().skip(1).map(|line| &line[..8]).collect();
        assert_eq!(begins, ["1.0,tree", "1.0,star", "1.1,tree", "1.1,star"]);
        let all = pooled(&points);
        assert_eq!(all["added_delay_ms"].values.len(), 4 * 400);
        assert!(all["added_delay_ms"].values.is_sorted());
        let table = table(&axes, &points, &made_by_hand().asserts);
        assert!(table.lines().nth(5).is_some_and(|line| line.starts_with("all ")), "{table}");
        assert!(table.lines().nth(3).is_some_and(|line| line.starts_with("1.1") && line.contains("155 ✗")), "{table}");
    }
}
