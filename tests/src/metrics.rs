//! Reads a node's Prometheus page.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::http;

/// All samples of one reading.
#[derive(Debug)]
pub struct Metrics(Vec<Sample>);

#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the page at `http://host:port/metrics` or `host:port`.
    pub fn read(url: &str) -> Result<Self> {
        let response = http::get(http::authority(url), "/metrics", &[]).with_context(|| format!("reading {url}"))?;
        anyhow::ensure!(response.status == 200, "{url} answers {}: {}", response.status, response.body);
        Ok(Self(response.body.lines().filter_map(parse).collect()))
    }

    /// The sum of all samples of that name which carry these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        self.0.iter().filter(fits).map(|sample| sample.value).sum()
    }

    /// The values of one label with the sum of their samples, those at zero left out.
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.0.iter().filter(|sample| sample.name == name && sample.value != 0.0) {
            let key = sample.labels.get(label).cloned().unwrap_or_default();
            *sums.entry(key).or_default() += sample.value;
        }
        sums
    }
}

fn parse(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.trim().rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        Some((key.trim().to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let page = "# HELP a b\na{x=\"1\",y=\"two\"} 3\na{x=\"2\",y=\"two\"} 4\nb 5\n";
        let metrics = Metrics(page.lines().filter_map(parse).collect());
        assert_eq!(metrics.sum("a", &[("y", "two")]), 7.0);
        assert_eq!(metrics.sum("a", &[("x", "2")]), 4.0);
        assert_eq!(metrics.sum("b", &[]), 5.0);
        assert_eq!(metrics.by_label("a", "x"), BTreeMap::from([("1".to_owned(), 3.0), ("2".to_owned(), 4.0)]));
    }
}
