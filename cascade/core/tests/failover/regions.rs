//! Where the nodes of these tests are, and how far that is.

use std::time::Duration;

use origo_cascade_core::route::Place;
use origo_cascade_core::{Node, NodeAddress};

use crate::mesh::{MS, id};

/// Where nodes are: name, continent, latitude, longitude.
pub const REGIONS: [(&str, &str, f64, f64); 12] = [
    ("frankfurt", "EU", 50.1, 8.7),
    ("paris", "EU", 48.9, 2.3),
    ("london", "EU", 51.5, -0.1),
    ("virginia", "NA", 38.9, -77.4),
    ("oregon", "NA", 45.6, -121.2),
    ("texas", "NA", 29.4, -98.5),
    ("tokyo", "AS", 35.7, 139.7),
    ("singapore", "AS", 1.3, 103.8),
    ("mumbai", "AS", 19.1, 72.9),
    ("sydney", "OC", -33.9, 151.2),
    ("saopaulo", "SA", -23.5, -46.6),
    ("johannesburg", "AF", -26.2, 28.0),
];

/// One way between two regions: light in fibre along a path of median stretch.
pub fn delay(a: usize, b: usize) -> Duration {
    let place = |region: usize| {
        let (_, _, latitude, longitude) = REGIONS[region];
        Place { latitude, longitude }
    };
    Duration::from_secs_f64(place(a).distance_km(place(b)) * 1.83 / 200.0 / 1e3).max(MS / 2)
}

/// A node as gossip tells of it.
pub fn node(number: usize, region: usize) -> Node {
    let (name, continent, latitude, longitude) = REGIONS[region];
    Node {
        id: id(number),
        region: name.to_owned(),
        country: String::new(),
        continent: continent.to_owned(),
        latitude,
        longitude,
        url: String::new(),
        address: NodeAddress { quic: ([127, 0, 0, 1], number as u16).into() },
        load: 0.0,
        draining: false,
        overload: Default::default(),
    }
}
