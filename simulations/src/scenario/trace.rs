//! Traces: what a link was like over time.

use std::path::Path;
use std::time::Duration;

use super::table::Table;

/// What a trace file is.
pub(super) const ACCEPTED: &str = "a CSV file beside the scenario with the columns t_ms, owd_ms, jitter_ms, loss (percent), rate_mbps; empty cells change nothing";

/// A link over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// In the order of time; the last one lasts.
    pub rows: Vec<Row>,
}

/// A link from an instant on. What is `None` stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// From when, since the start of the run.
    pub at: Duration,
    /// One-way delay.
    pub delay: Option<Duration>,
    /// Mean of the random part.
    pub jitter: Option<Duration>,
    /// Share lost at random, 0 to 1.
    pub loss: Option<f64>,
    /// Bits per second.
    pub rate_bps: Option<u64>,
}

/// Reads a trace file.
pub(super) fn load(path: &Path) -> Result<Trace, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Trace, String> {
    let table = Table::parse(text, &["t_ms"])?;
    let mut rows: Vec<Row> = Vec::new();
    for row in table.rows() {
        let ms = |name, most| row.number(name, 0.0, most).map(|ms| ms.map(|ms: f64| Duration::from_secs_f64(ms / 1e3)));
        let at = ms("t_ms", 6e8)?.ok_or_else(|| row.mistake("t_ms", "empty"))?;
        if rows.last().is_some_and(|last| last.at >= at) {
            return Err(row.mistake("t_ms", "does not grow"));
        }
        rows.push(Row {
            at,
            delay: ms("owd_ms", 60_000.0)?,
            jitter: ms("jitter_ms", 60_000.0)?,
            loss: row.number("loss", 0.0, 100.0)?.map(|percent| percent / 100.0),
            rate_bps: row.number("rate_mbps", 0.001, 1e6)?.map(|mbps| (mbps * 1e6) as u64),
        });
    }
    if rows.is_empty() { Err("no rows".to_owned()) } else { Ok(Trace { rows }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_keeps_what_a_row_leaves_out_and_refuses_time_that_runs_back() {
        let trace = parse("t_ms,owd_ms,jitter_ms,loss,rate_mbps\n0,40,1,0.5,50\n1000,,,100,\n").unwrap();
        assert_eq!(trace.rows[0].delay, Some(Duration::from_millis(40)));
        assert_eq!((trace.rows[1].delay, trace.rows[1].loss), (None, Some(1.0)));
        assert_eq!(parse("t_ms,owd_ms\n5,1\n5,2\n").unwrap_err(), "line 3, t_ms: does not grow");
        assert_eq!(parse("t_ms,loss\n5,101\n").unwrap_err(), "line 2, loss: 101 is not from 0 to 100");
        assert_eq!(parse("owd_ms\n1\n").unwrap_err(), "there is no column t_ms");
    }
}
