//! The countries of the world and where they are: gives a place to an answer that names only a country.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use origo_cascade_core::route::Place;

/// `code,latitude,longitude,name` in each line after the first, see `data/NOTICE`.
const TABLE: &str = include_str!("../../data/countries.csv");

static COUNTRIES_BY_CODE: LazyLock<BTreeMap<&'static str, Country>> =
    LazyLock::new(|| TABLE.lines().skip(1).filter_map(row).collect());

/// A country or territory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Country {
    /// English name.
    pub name: &'static str,
    /// Roughly the centre of where its people live.
    pub place: Place,
}

impl Country {
    /// The country with this ISO 3166-1 code, in capitals.
    pub fn by_code(code: &str) -> Option<Self> {
        COUNTRIES_BY_CODE.get(code).copied()
    }

    /// The codes of all countries.
    #[cfg(test)]
    pub fn codes() -> impl Iterator<Item = &'static str> {
        COUNTRIES_BY_CODE.keys().copied()
    }
}

fn row(line: &'static str) -> Option<(&'static str, Country)> {
    let mut cells = line.splitn(4, ',');
    let code = cells.next()?;
    let latitude = cells.next()?.parse().ok()?;
    let longitude = cells.next()?.parse().ok()?;
    Some((code, Country { name: cells.next()?, place: Place { latitude, longitude } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_country_on_the_globe() {
        assert_eq!(COUNTRIES_BY_CODE.len(), 251, "249 of ISO 3166-1, Kosovo, and AN which old registrations keep");
        assert_eq!(TABLE.lines().count(), COUNTRIES_BY_CODE.len() + 1);
        for (code, country) in COUNTRIES_BY_CODE.iter() {
            assert!(code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase()), "{code}");
            assert!(country.place.latitude.abs() <= 90.0 && country.place.longitude.abs() <= 180.0, "{code}");
        }
    }
}
