//! Matrices of round trips between regions.

use std::path::Path;

use super::table::Table;

const AZURE: &str = include_str!("../../data/rtt_matrix.csv");
const GCP: &str = include_str!("../../data/rtt_matrix_gcp.csv");
const GCP_JITTER: &str = include_str!("../../data/rtt_jitter_gcp.csv");

/// What a matrix file is.
pub(super) const ACCEPTED: &str = "\"azure\" (54 regions), \"gcp\" (20 regions), or a CSV file beside the scenario with the columns region, \
     country, continent, lat, lon and one per region (round trip in ms, row is the source)";

/// A region of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name, such as `westeurope`.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// `AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`.
    pub continent: String,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Round trips between regions.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// In the order of the file.
    pub regions: Vec<Region>,
    /// Round trip in ms from row to column.
    pub rtt_ms: Vec<Vec<f64>>,
    /// Mean deviation of it, ms, where known.
    pub jitter_ms: Option<Vec<Vec<f64>>>,
}

impl Matrix {
    /// Loads a matrix by name, or from a file.
    pub(super) fn load(name: &str, path: &Path) -> Result<Self, String> {
        match name {
            "azure" => Self::parse(AZURE),
            "gcp" => {
                let jitter = Self::parse(GCP_JITTER)?.rtt_ms;
                Ok(Self { jitter_ms: Some(jitter), ..Self::parse(GCP)? })
            }
            _ => Self::parse(&std::fs::read_to_string(path).map_err(|error| error.to_string())?),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table = Table::parse(text, &["region", "country", "continent", "lat", "lon"])?;
        let (mut regions, mut rtt_ms) = (Vec::new(), Vec::new());
        let names: Vec<&str> = table.rows().map(|row| row.text("region")).collect();
        if let Some(missing) = names.iter().find(|name| !table.head().contains(name)) {
            return Err(format!("region {missing} has no column"));
        }
        for row in table.rows() {
            regions.push(Region {
                name: row.text("region").to_owned(),
                country: row.text("country").to_owned(),
                continent: row.text("continent").to_owned(),
                latitude: row.number("lat", -90.0, 90.0)?.unwrap_or(0.0),
                longitude: row.number("lon", -180.0, 180.0)?.unwrap_or(0.0),
            });
            let cell = |name: &&str| row.number(name, 0.0, 60_000.0)?.ok_or_else(|| row.mistake(name, "empty"));
            rtt_ms.push(names.iter().map(cell).collect::<Result<_, _>>()?);
        }
        Ok(Self { regions, rtt_ms, jitter_ms: None })
    }

    /// Where a region stands.
    pub(super) fn place(&self, region: &str) -> Option<usize> {
        self.regions.iter().position(|other| other.name == region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_matrices_that_come_along_are_whole() {
        let azure = Matrix::parse(AZURE).unwrap();
        assert_eq!((azure.regions.len(), azure.rtt_ms[0].len()), (54, 54));
        let gcp = Matrix::load("gcp", Path::new("")).unwrap();
        assert_eq!((gcp.regions.len(), gcp.jitter_ms.unwrap().len()), (20, 20));
    }
}
