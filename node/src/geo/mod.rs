//! Where in the world an address is: from the operator's MaxMind-format file, or from the embedded country database.
//!
//! A guess is better than none here, but never an error: an address that no database knows has no place.

mod continent;
mod country;
mod database;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::OnceLock;

use origo_cascade_core::route::Place;
use serde::Serialize;

pub use continent::{CONTINENTS, continent_of};
pub use country::Country;
pub use database::OpenError;
use database::{Database, Found};

/// The embedded database, see `data/NOTICE`.
const EMBEDDED: &[u8] = include_bytes!("../../data/geo-whois-asn-country.mmdb.zst");
/// Above the inflated size of [`EMBEDDED`] (7.8 MB), so that inflating ends in any case.
const EMBEDDED_BYTES_MAX: u64 = 32 << 20;

/// Who said where an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The operator's file.
    Database,
    /// The embedded country database; the place is its country's centre.
    Embedded,
    /// Nobody: a private or unknown address.
    None,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// ISO 3166-1 code in capitals.
    pub country: Option<String>,
    /// The city's English name.
    pub city: Option<String>,
    /// Where it is; a country's centre when only the country is known.
    pub place: Option<Place>,
    /// Who says so.
    pub source: Source,
}

impl Located {
    /// An address of which nothing is known.
    pub const NOWHERE: Self = Self { country: None, city: None, place: None, source: Source::None };

    /// What to call the place in a sentence: the city, else the country.
    pub fn name(&self) -> Option<&str> {
        let country =
            || self.country.as_deref().map(|code| Country::by_code(code).map_or(code, |country| country.name));
        self.city.as_deref().or_else(country)
    }
}

/// The databases of one node.
pub struct Geo {
    given: Option<Database>,
    /// Inflated at the first look-up: a node that only sees private addresses never pays for it.
    embedded: OnceLock<Database>,
}

impl Geo {
    /// Opens the operator's file, or makes ready the embedded database when there is none.
    ///
    /// # Errors
    /// The file cannot be read or is no MaxMind-format database.
    pub fn open(path: Option<&Path>) -> Result<Self, OpenError> {
        Ok(Self { given: path.map(Database::open).transpose()?, embedded: OnceLock::new() })
    }

    /// Where `address` is. The operator's file is asked for every address, also a private one: he may know his network.
    pub fn locate(&self, address: IpAddr) -> Located {
        let address = address.to_canonical();
        if let Some(database) = &self.given {
            return located(database.look_up(address), Source::Database);
        }
        if !is_public(address) {
            return Located::NOWHERE;
        }
        located(self.embedded.get_or_init(inflate).look_up(address), Source::Embedded)
    }
}

/// Completes a database's answer: a country alone gets its centre, an answer without any place is none.
fn located(found: Found, source: Source) -> Located {
    let centre = || found.country.as_deref().and_then(Country::by_code).map(|country| country.place);
    let place = found.place.or_else(centre);
    if place.is_none() && found.country.is_none() {
        return Located::NOWHERE;
    }
    Located { place, country: found.country, city: found.city, source }
}

fn inflate() -> Database {
    let mut bytes = Vec::with_capacity(8 << 20);
    zstd::Decoder::new(EMBEDDED)
        .and_then(|decoder| decoder.take(EMBEDDED_BYTES_MAX).read_to_end(&mut bytes))
        .expect("the embedded database inflates: a test does it");
    Database::read(bytes).expect("the embedded database opens: a test does it")
}

/// Whether an address can be anybody's on the internet, so that a public database may know it.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && b & 0xc0 == 64; // RFC 6598: carrier-grade NAT
    let reserved = a == 0 || a >= 240;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || shared
        || reserved)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let documentation = address.segments()[..2] == [0x2001, 0xdb8]; // RFC 3849
    // RFC 4291: global unicast is 2000::/3 today.
    address.segments()[0] & 0xe000 == 0x2000 && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(address: &str) -> Located {
        Geo::open(None).unwrap().locate(address.parse().unwrap())
    }

    #[test]
    fn the_embedded_database_knows_public_addresses_of_both_families() {
        let ripe = locate("193.0.6.139"); // RIPE NCC, Amsterdam
        assert_eq!(ripe.country.as_deref(), Some("NL"));
        assert_eq!(ripe.source, Source::Embedded);
        assert_eq!(ripe.name(), Some("Netherlands"));
        assert!((ripe.place.unwrap().latitude - 52.0).abs() < 2.0);
        assert_eq!(locate("2001:67c:2e8:22::c100:68b").country.as_deref(), Some("NL"));
        assert_eq!(locate("::ffff:193.0.6.139"), ripe);
    }

    #[test]
    fn a_private_address_has_no_place() {
        for address in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.20.0.1", "100.64.0.1", "::1", "fd77::1", "fe80::1"]
        {
            assert_eq!(locate(address), Located::NOWHERE, "{address}");
        }
    }

    #[test]
    fn every_country_of_the_embedded_database_has_a_centre() {
        let database = inflate();
        let missing: Vec<_> =
            database.countries().into_iter().filter(|code| Country::by_code(code).is_none()).collect();
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn an_unreadable_database_is_one_clear_error() {
        let error = Geo::open(Some(Path::new("/nonexistent/geo.mmdb"))).err().unwrap().to_string();
        assert!(error.starts_with("cannot read the GeoIP database /nonexistent/geo.mmdb: "), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "<html>not found</html>").unwrap();
        let error = Geo::open(Some(file.path())).err().unwrap().to_string();
        assert!(error.contains("is not a MaxMind-format database"), "{error}");
    }
}
