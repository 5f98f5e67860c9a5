//! Links over real QUIC on modelled long paths, in virtual time: the tables that the trunk's laws rest on.
//!
//! This is the fidelity for calibration: two cores of `origo_cascade_core::link` over two connections of quinn-proto with
//! TLS. Whole meshes run with a modelled QUIC.

mod case;
mod control;
mod crowd;
mod path;
mod tables;
#[expect(clippy::module_inception, reason = "a trunk is what the module is about")]
mod trunk;
mod world;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use case::{Measured, percentile};
use tables::Table;

/// Runs tables of trunks with real QUIC in virtual time.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Only these tables: matrix, start, repair, outage, overload, tick, stalls, shared, ecn, random.
    pub tables: Vec<String>,
    /// Seed of losses, jitter and random links.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many random links.
    #[arg(long, default_value_t = 40)]
    pub links: usize,
    /// Write all figures as JSON here.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: &'a str,
    seed: u64,
    tables: Vec<WrittenTable<'a>>,
}

#[derive(Serialize)]
struct WrittenTable<'a> {
    name: &'a str,
    title: &'a str,
    rows: Vec<Measured>,
}

/// Runs the tables that are asked for, prints them and writes them. They judge nothing, so all is well when they ran.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let tables = tables::all(args.seed, args.links);
    for name in &args.tables {
        let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
        anyhow::ensure!(names.contains(&name.as_str()), "no table {name}; there are {}", names.join(", "));
    }
    let is_wanted = |table: &&Table| args.tables.is_empty() || args.tables.iter().any(|name| name == table.name);
    let mut written = Vec::new();
    let mut out = std::io::stdout().lock();
    for table in tables.iter().filter(is_wanted) {
        let rows = measure(table)?;
        print(&mut out, table, &rows)?;
        written.push(WrittenTable { name: table.name, title: table.title, rows });
    }
    if let Some(file) = &args.out {
        let written = Written { version: env!("CARGO_PKG_VERSION"), seed: args.seed, tables: written };
        let text = serde_json::to_string_pretty(&written)?;
        std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(true)
}

fn measure(table: &Table) -> anyhow::Result<Vec<Measured>> {
    let mut rows = Vec::new();
    for case in &table.cases {
        rows.extend(case.run()?.0);
    }
    Ok(rows)
}

fn print(out: &mut impl Write, table: &Table, rows: &[Measured]) -> anyhow::Result<()> {
    writeln!(out, "\n### {}: {}\n", table.name, table.title)?;
    let headings: Vec<&str> = table.columns.iter().map(|(heading, ..)| *heading).collect();
    writeln!(out, "| case | by | {} |", headings.join(" | "))?;
    writeln!(out, "| --- | --- |{}", " ---: |".repeat(headings.len()))?;
    for row in rows {
        let figures = table.columns.iter().map(|(_, get, digits)| show(get(row), *digits));
        writeln!(out, "| {} | {} | {} |", row.case, row.control, figures.collect::<Vec<_>>().join(" | "))?;
    }
    if table.name == "random" {
        summarise(out, table, rows)?;
    }
    Ok(())
}

fn show(value: Option<f64>, digits: usize) -> String {
    value.filter(|value| value.is_finite()).map_or(String::from("-"), |value| format!("{value:.digits$}"))
}

/// Percentiles over links, those that are offered less than they carry (the even ones) and the others apart.
fn summarise(out: &mut impl Write, table: &Table, rows: &[Measured]) -> anyhow::Result<()> {
    for (what, odd) in [("70 % of the rate offered", 0), ("130 % of the rate offered", 1)] {
        writeln!(out, "\n{what}: 5th, 25th, 50th, 75th and 95th percentile of links\n")?;
        for (heading, get, digits) in table.columns {
            let mut values: Vec<f64> = rows.iter().skip(odd).step_by(2).filter_map(get).collect();
            values.sort_by(f64::total_cmp);
            let marks = [5, 25, 50, 75, 95].map(|percent| show(Some(percentile(&values, percent)), *digits));
            writeln!(out, "| {heading} | {} |", marks.join(" | "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
