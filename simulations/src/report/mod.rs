//! What a run leaves on disk: figures for programs, and one page for people.
//!
//! Everything is made of an [`Outcome`] alone, so that equal outcomes give equal bytes.

mod cdf;
mod chart;
mod csv;
mod figure;
mod gallery;
mod headline;
mod links;
mod map;
mod page;
mod summary;
mod table;
mod timeline;
mod tree;

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::outcome::Outcome;

pub use cdf::{Overlay, overlay};
pub use csv::field;
pub use figure::{bytes, figure, rate};
pub use gallery::gallery;
pub use headline::verdict;
pub use map::picture;
pub use page::{escape, shell};
pub use summary::{Percentiles, Totals, passed, summary};
pub use table::align;
pub use tree::text as tree_text;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes all files of a run into a folder, which is made when it is missing. Files of an earlier run are replaced.
pub fn write(outcome: &Outcome, dir: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(dir).map_err(|source| WriteError { path: dir.into(), source })?;
    for (name, text) in files(outcome) {
        write_file(&dir.join(name), &text)?;
    }
    Ok(())
}

/// Writes one file.
pub fn write_file(path: &Path, text: &str) -> Result<(), WriteError> {
    fs::write(path, text).map_err(|source| WriteError { path: path.into(), source })
}

/// All files of a run: name and content.
pub fn files(outcome: &Outcome) -> Vec<(String, String)> {
    let mut files = vec![
        ("summary.json".to_owned(), summary::json(outcome)),
        ("metrics.csv".to_owned(), csv::seconds(&outcome.seconds)),
        ("links.csv".to_owned(), csv::links(&outcome.links)),
        ("trees.dot".to_owned(), tree::dot(&outcome.trees)),
        ("trees.geojson".to_owned(), tree::geojson(outcome)),
        ("report.html".to_owned(), page::report(outcome)),
    ];
    for (metric, samples) in &outcome.metrics {
        files.push((format!("cdf_{}.csv", file_name(metric)), csv::cdf(samples)));
    }
    files
}

/// A metric's name as part of a file name.
fn file_name(metric: &str) -> String {
    metric.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
pub(crate) mod tests;
