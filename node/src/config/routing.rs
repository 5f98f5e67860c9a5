//! Where media may go, and over which nodes: the policy of trees, prices of links, and countries of rooms.

use std::sync::Arc;

use origo_cascade_core::route::{Prices, RELAY_POLICIES, RelayPolicy, Residency, ResidencyRule, Tree, relay_policy};
use toml::{Table, Value};

use super::reader::Reader;
use super::region;
use crate::geo::{CONTINENTS, Country, continent_of};

/// More than any price list needs; it keeps sums of prices finite.
const PRICE_MAX: f64 = 1e6;
const LINKS_MAX: usize = 4096;
const RULES_MAX: usize = 256;
/// Letters of a rule's pattern: as long as a room's name may be.
const PATTERN_BYTES_MAX: usize = 256;
const COUNTRIES: &str = "codes of countries (ISO 3166-1) such as [\"DE\", \"AT\"], at least one";

/// How media is routed through the mesh.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Draws the trees.
    pub policy: Arc<dyn RelayPolicy>,
    /// What links cost.
    pub prices: Prices,
    /// Where rooms are to stay.
    pub residency: Residency,
}

impl Default for Routing {
    fn default() -> Self {
        Self { policy: Arc::new(Tree::default()), prices: Prices::default(), residency: Residency::default() }
    }
}

/// The node's country and continent, as set or as those of its region.
pub(super) fn read_land(reader: &mut Reader, region: &str) -> (String, String) {
    let accepted = "a code of a country (ISO 3166-1) such as DE";
    let country = reader.get("country", accepted, |value| country(value.as_str()?));
    let country = country.or_else(|| Some(region::find(region)?.country.to_owned())).unwrap_or_default();
    let accepted = format!("one of {}", CONTINENTS.join(", "));
    let continent = reader.get("continent", &accepted, |value| {
        CONTINENTS.iter().find(|code| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(code))).copied()
    });
    let continent = continent.or_else(|| continent_of(&country)).unwrap_or_default().to_owned();
    (country, continent)
}

/// The rest of it. `country` is where this node stands.
pub(super) fn read(reader: &mut Reader, country: &str) -> Routing {
    let accepted = format!("one of {}", RELAY_POLICIES.join(", "));
    let policy = reader.get("relay_policy", &accepted, |value| relay_policy(value.as_str()?));
    let routing = Routing { prices: read_prices(reader), residency: read_residency(reader), ..Routing::default() };
    if country.is_empty() && !routing.residency.0.is_empty() {
        reader.refuse("country", "required, because [[residency]] says where rooms stay: a code such as DE");
    }
    Routing { policy: policy.unwrap_or(routing.policy.clone()), ..routing }
}

fn read_prices(reader: &mut Reader) -> Prices {
    let table = reader.raw().prices.clone();
    let mut prices = Prices::default();
    for (name, value) in &table {
        let place = match name.as_str() {
            "region" => &mut prices.region,
            "continent" => &mut prices.continent,
            "ocean" => &mut prices.ocean,
            "links" => {
                read_links(reader, value, &mut prices);
                continue;
            }
            _ => {
                reader.refuse_part(format!("prices.{name}"), value, "region, continent, ocean and [[prices.links]]");
                continue;
            }
        };
        match price(value) {
            Some(price) => *place = price,
            None => reader.refuse_part(format!("prices.{name}"), value, price_accepted()),
        }
    }
    prices
}

fn read_links(reader: &mut Reader, value: &Value, prices: &mut Prices) {
    let tables = value.as_array().filter(|tables| tables.len() <= LINKS_MAX);
    let Some(tables) = tables else {
        let accepted = format!("tables [[prices.links]] with from, to and price, {LINKS_MAX} at most");
        return reader.refuse_part("prices.links".to_owned(), value, accepted);
    };
    for (index, link) in tables.iter().enumerate() {
        match read_link(link) {
            Ok((ends, price)) => drop(prices.links.insert(ends, price)),
            Err(accepted) => reader.refuse_part(format!("prices.links[{index}]"), link, accepted),
        }
    }
}

fn read_link(link: &Value) -> Result<((String, String), f64), String> {
    let link = table_of(link, &["from", "to", "price"])?;
    let text = |name: &str| link.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let ends = text("from").zip(text("to")).ok_or("from and to, each the name of a region")?;
    Ok((ends, link.get("price").and_then(price).ok_or_else(price_accepted)?))
}

fn read_residency(reader: &mut Reader) -> Residency {
    let tables = reader.raw().residency.clone();
    let mut residency = Residency::default();
    for (index, table) in tables.iter().enumerate() {
        match read_rule(table) {
            Ok(rule) if index < RULES_MAX => residency.0.push(rule),
            Ok(_) => reader.refuse_part(format!("residency[{index}]"), table, format!("{RULES_MAX} rules at most")),
            Err(accepted) => reader.refuse_part(format!("residency[{index}]"), table, accepted),
        }
    }
    residency
}

fn read_rule(table: &Value) -> Result<ResidencyRule, String> {
    let table = table_of(table, &["rooms", "countries"])?;
    let rooms = table.get("rooms").and_then(Value::as_str);
    let rooms = rooms.filter(|rooms| (1..=PATTERN_BYTES_MAX).contains(&rooms.len()));
    let rooms = rooms.ok_or("rooms: names such as \"clinic-*\", where * stands for any letters")?.to_owned();
    let codes = table.get("countries").and_then(Value::as_array).filter(|codes| !codes.is_empty());
    let codes = codes.and_then(|codes| codes.iter().map(|code| country(code.as_str()?)).collect());
    Ok(ResidencyRule { rooms, countries: codes.ok_or_else(|| format!("countries: {COUNTRIES}"))? })
}

fn table_of<'a>(value: &'a Value, known: &[&str]) -> Result<&'a Table, String> {
    let table = value.as_table().ok_or_else(|| format!("a table with {}", known.join(", ")))?;
    match table.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{} alone; {name} is unknown", known.join(", "))),
        None => Ok(table),
    }
}

/// A country's code in capitals, if there is such a country.
fn country(text: &str) -> Option<String> {
    let code = text.trim().to_ascii_uppercase();
    Country::by_code(&code).map(|_| code)
}

fn price(value: &Value) -> Option<f64> {
    let price = value.as_float().or_else(|| value.as_integer().map(|price| price as f64))?;
    (0.0..=PRICE_MAX).contains(&price).then_some(price)
}

fn price_accepted() -> String {
    format!("a price: a number from 0 to {PRICE_MAX}")
}
