//! A MaxMind-format file, in either of two schemas: MaxMind's nested one (GeoIP2, GeoLite2) and the flat one of
//! ip-location-db and others.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::Reader;
use serde::Deserialize;

use origo_cascade_core::route::Place;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the GeoIP database {path}: {source}")]
    Read {
        /// The operator's setting.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a MaxMind-format database (.mmdb): {source}")]
    Format {
        /// The operator's setting.
        path: PathBuf,
        /// What the reader said.
        source: maxminddb::MaxMindDbError,
    },
}

/// What a database says of an address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) country: Option<String>,
    pub(super) city: Option<String>,
    pub(super) place: Option<Place>,
}

/// An opened database, whole in memory: look-ups touch no disk.
pub(super) struct Database(Reader<Vec<u8>>);

impl Database {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let bytes = std::fs::read(path).map_err(|source| OpenError::Read { path: path.into(), source })?;
        Self::read(bytes).map_err(|source| OpenError::Format { path: path.into(), source })
    }

    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, maxminddb::MaxMindDbError> {
        Reader::from_source(bytes).map(Self)
    }

    /// Asks for an address. One of the other family, an unknown one and a broken record are all nothing.
    pub(super) fn look_up(&self, address: IpAddr) -> Found {
        let record = self.0.lookup(address).and_then(|found| found.decode::<Record>());
        match record {
            Ok(Some(record)) => record.into(),
            Ok(None) => Found::default(),
            Err(error) => {
                tracing::debug!(%error, "no place for an address");
                Found::default()
            }
        }
    }

    /// Every country code in the database.
    #[cfg(test)]
    pub(super) fn countries(&self) -> std::collections::BTreeSet<String> {
        let networks = self.0.networks(Default::default()).unwrap();
        let codes = networks.filter_map(|network| Found::from(network.unwrap().decode::<Record>().unwrap()?).country);
        codes.collect()
    }
}

/// A record of either schema; what is of neither is skipped.
#[derive(Deserialize)]
struct Record {
    country: Option<NestedOr<NestedCountry>>,
    registered_country: Option<NestedCountry>,
    country_code: Option<String>,
    city: Option<NestedOr<NestedCity>>,
    location: Option<NestedLocation>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// The two schemas give one name to different things.
#[derive(Deserialize)]
#[serde(untagged)]
enum NestedOr<T> {
    Flat(String),
    Nested(T),
}

#[derive(Deserialize)]
struct NestedCountry {
    iso_code: Option<String>,
}

#[derive(Deserialize)]
struct NestedCity {
    names: Option<Names>,
}

#[derive(Deserialize)]
struct Names {
    en: Option<String>,
}

#[derive(Deserialize)]
struct NestedLocation {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl From<Record> for Found {
    fn from(record: Record) -> Self {
        let country = match record.country {
            Some(NestedOr::Flat(code)) => Some(code),
            Some(NestedOr::Nested(country)) => country.iso_code,
            None => None,
        };
        let registered = || record.registered_country.and_then(|country| country.iso_code);
        let city = match record.city {
            Some(NestedOr::Flat(name)) => Some(name),
            Some(NestedOr::Nested(city)) => city.names.and_then(|names| names.en),
            None => None,
        };
        let (latitude, longitude) = match record.location {
            Some(location) => (location.latitude, location.longitude),
            None => (record.latitude, record.longitude),
        };
        Self {
            country: country.or(record.country_code).or_else(registered).and_then(code),
            city: city.filter(|name| !name.is_empty()),
            place: latitude.zip(longitude).and_then(|(latitude, longitude)| on_globe(latitude, longitude)),
        }
    }
}

/// Two letters in capitals; databases hold placeholders such as `-` for unknown ones.
fn code(text: String) -> Option<String> {
    let is_code = text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

fn on_globe(latitude: f64, longitude: f64) -> Option<Place> {
    let is_on_globe = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    is_on_globe.then_some(Place { latitude, longitude })
}

#[cfg(test)]
mod tests {
    use maxminddb_writer::metadata::IpVersion;
    use maxminddb_writer::paths::IpAddrWithMask;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn file(version: IpVersion, network: &str, record: &Value) -> Vec<u8> {
        let mut database = maxminddb_writer::Database::default();
        database.metadata.ip_version = version;
        database.metadata.database_type = "Test".into();
        database.metadata.binary_format_major_version = 2;
        let data = database.insert_value(record).unwrap();
        database.insert_node(network.parse::<IpAddrWithMask>().unwrap(), data);
        database.write_to(Vec::new()).unwrap()
    }

    fn v4(record: &Value) -> Database {
        Database::read(file(IpVersion::V4, "10.77.0.0/24", record)).unwrap()
    }

    fn look_up(database: &Database, address: &str) -> Found {
        database.look_up(address.parse().unwrap())
    }

    fn tokyo() -> Found {
        let place = Some(Place { latitude: 35.5, longitude: 139.75 });
        Found { country: Some("JP".into()), city: Some("Tokyo".into()), place }
    }

    #[test]
    fn both_schemas_say_the_same() {
        let nested = json!({"country": {"iso_code": "JP", "geoname_id": 1}, "city": {"names": {"en": "Tokyo", "ja": "東京"}},
            "location": {"latitude": 35.5, "longitude": 139.75, "accuracy_radius": 5}});
        let flat =
            json!({"country_code": "JP", "city": "Tokyo", "latitude": 35.5, "longitude": 139.75, "postcode": ""});
        assert_eq!(look_up(&v4(&nested), "10.77.0.9"), tokyo());
        assert_eq!(look_up(&v4(&flat), "10.77.0.9"), tokyo());
    }

    #[test]
    fn a_country_may_stand_alone_and_a_placeholder_is_none() {
        let country = |record| look_up(&v4(&record), "10.77.0.9").country;
        assert_eq!(country(json!({"country_code": "jp"})).as_deref(), Some("JP"));
        assert_eq!(country(json!({"registered_country": {"iso_code": "JP"}})).as_deref(), Some("JP"));
        assert_eq!(country(json!({"country": "JP"})).as_deref(), Some("JP"));
        assert_eq!(country(json!({"country_code": "-"})), None);
    }

    #[test]
    fn an_unknown_address_and_the_other_family_are_none_and_no_error() {
        let database = v4(&json!({"country_code": "JP"}));
        assert_eq!(look_up(&database, "10.78.0.1"), Found::default());
        assert_eq!(look_up(&database, "fd77::1"), Found::default());
        let database = Database::read(file(IpVersion::V6, "fd77::/64", &json!({"country_code": "JP"}))).unwrap();
        assert_eq!(look_up(&database, "10.77.0.1"), Found::default());
        assert_eq!(look_up(&database, "fd77::1").country.as_deref(), Some("JP"));
    }

    #[test]
    fn a_record_of_another_shape_is_nothing() {
        assert_eq!(look_up(&v4(&json!("JP")), "10.77.0.1"), Found::default());
        assert_eq!(look_up(&v4(&json!({"country": ["JP"], "latitude": "north"})), "10.77.0.1"), Found::default());
        assert_eq!(look_up(&v4(&json!({"latitude": 1e9, "longitude": 0.0})), "10.77.0.1"), Found::default());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_read_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(database) = Database::read(bytes) {
                look_up(&database, "10.77.0.1");
            }
        }

        #[test]
        fn a_damaged_database_never_panics(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let record = json!({"country": {"iso_code": "JP"}, "city": {"names": {"en": "Tokyo"}}});
            let mut bytes = file(IpVersion::V6, "fd77::/64", &record);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(bytes.len() - cut.index(8));
            if let Ok(database) = Database::read(bytes) {
                look_up(&database, "fd77::1");
                look_up(&database, "10.77.0.1");
            }
        }
    }
}
