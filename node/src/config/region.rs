//! Cities whose coordinates are known, so that a region's name is enough.

/// A place where a node may stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct City {
    /// The region's name in configuration, routes and logs.
    pub region: &'static str,
    /// As people write it.
    pub name: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

const fn city(region: &'static str, name: &'static str, country: &'static str, latitude: f64, longitude: f64) -> City {
    City { region, name, country, latitude, longitude }
}

/// In the order in which a demo mesh grows: the first ones are as far apart as people are.
pub const CITIES: &[City] = &[
    city("frankfurt", "Frankfurt", "DE", 50.11, 8.68),
    city("sao-paulo", "São Paulo", "BR", -23.55, -46.63),
    city("singapore", "Singapore", "SG", 1.35, 103.82),
    city("virginia", "Ashburn", "US", 39.04, -77.49),
    city("tokyo", "Tokyo", "JP", 35.68, 139.69),
    city("sydney", "Sydney", "AU", -33.87, 151.21),
    city("mumbai", "Mumbai", "IN", 19.08, 72.88),
    city("johannesburg", "Johannesburg", "ZA", -26.20, 28.05),
    city("oregon", "Portland", "US", 45.52, -122.68),
    city("london", "London", "GB", 51.51, -0.13),
    city("dubai", "Dubai", "AE", 25.20, 55.27),
    city("santiago", "Santiago de Chile", "CL", -33.45, -70.67),
    city("seoul", "Seoul", "KR", 37.57, 126.98),
    city("stockholm", "Stockholm", "SE", 59.33, 18.07),
    city("toronto", "Toronto", "CA", 43.65, -79.38),
    city("lagos", "Lagos", "NG", 6.52, 3.38),
];

/// What to call a region in a sentence: `Frankfurt`, `São Paulo`; one that is no known city as it is named.
pub fn title(region: &str) -> String {
    let Some(city) = find(region) else { return region.to_owned() };
    let mut letters = region.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    // Virginia is not called by its city.
    if city.name.starts_with(&first) { city.name.to_owned() } else { first + letters.as_str() }
}

/// The city of a region's name.
pub fn find(region: &str) -> Option<&'static City> {
    CITIES.iter().find(|city| city.region == region)
}
