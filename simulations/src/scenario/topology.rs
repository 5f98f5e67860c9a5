//! `[topology]` and links: which nodes there are, and what lies between each two of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::seq::index::sample;

use super::line::{self, Line, Patch};
use super::matrix::{self, Matrix, Region};
use super::reader::{Reader, Section};
use super::table::Table;
use super::tree::Value;
use crate::dice::dice;

/// Nodes of one scenario: beyond some hundred every node still has a link with every other.
const NODES_MAX: usize = 300;
/// One way between two nodes of a region, unless something else is said.
const WITHIN_REGION: Duration = Duration::from_micros(250);

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique in the scenario.
    pub name: String,
    /// Where it is.
    pub region: Region,
    /// Busy share, 0 to 1, as it tells the others.
    pub load: f64,
}

/// Nodes, and the lines between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// In the order of the file.
    pub nodes: Vec<Node>,
    /// By (sending node, receiving node).
    pub lines: BTreeMap<(usize, usize), Line>,
}

/// How far a link goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Within a region.
    Region,
    /// Between regions of a continent.
    Continent,
    /// Between continents.
    Ocean,
}

/// Which links something is said of.
#[derive(Clone, Debug, PartialEq)]
pub enum Which {
    /// From one set of nodes to another.
    Between {
        /// Who sends.
        from: Vec<usize>,
        /// Who receives.
        to: Vec<usize>,
        /// The other direction too.
        both: bool,
    },
    /// All of a reach, in both directions.
    Reach(Reach),
}

const REACHES: [(&str, Reach); 3] =
    [("region", Reach::Region), ("continent", Reach::Continent), ("ocean", Reach::Ocean)];

impl Topology {
    /// Nodes of that name or region; all for `*`.
    pub(super) fn find(&self, name: &str) -> Vec<usize> {
        let all = self.nodes.iter().enumerate();
        if let Some((node, _)) = all.clone().find(|(_, node)| node.name == name) {
            return vec![node];
        }
        all.filter(|(_, node)| name == "*" || node.region.name == name).map(|(place, _)| place).collect()
    }

    /// How far the link between two nodes goes.
    pub fn reach(&self, a: usize, b: usize) -> Reach {
        let (a, b) = (&self.nodes[a].region, &self.nodes[b].region);
        if a.name == b.name {
            Reach::Region
        } else if a.continent == b.continent {
            Reach::Continent
        } else {
            Reach::Ocean
        }
    }

    /// The lines that something is said of.
    pub fn which(&self, which: &Which) -> Vec<(usize, usize)> {
        let is_meant = |&(from, to): &(usize, usize)| match which {
            Which::Between { from: senders, to: receivers, both } => {
                (senders.contains(&from) && receivers.contains(&to))
                    || (*both && senders.contains(&to) && receivers.contains(&from))
            }
            Which::Reach(reach) => self.reach(from, to) == *reach,
        };
        let count = self.nodes.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to).filter(is_meant).collect()
    }

    /// Names of nodes and regions, for a mistake.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        format!("a node or a region: {}, or \"*\"", names.join(", "))
    }
}

pub(super) fn read(root: &Section<'_>, seed: u64) -> Topology {
    let mut topology = Topology::default();
    let Some(section) = root.table("topology") else {
        root.refuse("topology", "missing", "[topology] with matrix and nodes, or with nodes and links");
        return topology;
    };
    let matrix = read_matrix(&section);
    let links = section.text("links", LINKS);
    topology.nodes = read_nodes(&section, matrix.as_ref(), seed);
    let mut known = BTreeMap::new();
    if let Some(matrix) = &matrix {
        known = lines_of(matrix, &topology);
    }
    if let Some(name) = &links {
        match links_of(section.reader, name, &topology) {
            Ok(lines) => known.extend(lines),
            Err(why) => section.refuse("links", format!("{name:?}: {why}"), LINKS),
        }
    }
    section.finish();
    topology.lines = settle(root, &topology, known);
    topology
}

fn read_matrix(section: &Section<'_>) -> Option<Matrix> {
    let name = section.text("matrix", matrix::ACCEPTED)?;
    match Matrix::load(&name, &section.reader.beside(&name)) {
        Ok(matrix) => Some(matrix),
        Err(why) => {
            section.refuse("matrix", format!("{name:?}: {why}"), matrix::ACCEPTED);
            None
        }
    }
}

const NODES: &str =
    "names of regions, or tables { name, region, count, load, country, continent, latitude, longitude }";

fn read_nodes(section: &Section<'_>, matrix: Option<&Matrix>, seed: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Some(count) = section.whole("random", 1, NODES_MAX as u64) {
        match matrix {
            Some(matrix) if count as usize <= matrix.regions.len() => {
                let mut drawn = sample(&mut dice(seed, "topology"), matrix.regions.len(), count as usize).into_vec();
                drawn.sort_unstable();
                let regions = drawn.into_iter().map(|place| matrix.regions[place].clone());
                nodes.extend(regions.map(|region| Node { name: region.name.clone(), region, load: 0.0 }));
            }
            Some(matrix) => {
                let most = matrix.regions.len();
                section.refuse("random", format!("{count} regions"), format!("at most the matrix's {most}"));
            }
            None => section.refuse("random", "no matrix to draw from", "matrix and random together"),
        }
    }
    for (number, item) in section.list("nodes").unwrap_or_default().iter().enumerate() {
        let path = format!("{}[{}]", section.key("nodes"), number + 1);
        match &item.value {
            Value::Text(name) => match region_of(name, matrix) {
                Some(region) => nodes.push(Node { name: name.clone(), region, load: 0.0 }),
                None => section.reader.mistake(item.line, &path, format!("no region {name:?}"), regions_of(matrix)),
            },
            Value::Table(_) => {
                if let Some(table) = section.reader.section(path, item) {
                    nodes.extend(read_node(table, matrix));
                }
            }
            other => section.reader.mistake(item.line, &path, other.shown(), NODES),
        }
    }
    if nodes.is_empty() {
        section.refuse("nodes", "no node", NODES);
    }
    if nodes.len() > NODES_MAX {
        section.refuse("nodes", format!("{} nodes", nodes.len()), format!("at most {NODES_MAX}"));
        nodes.truncate(NODES_MAX);
    }
    for (place, node) in nodes.iter().enumerate() {
        if nodes[..place].iter().any(|other| other.name == node.name) {
            section.refuse("nodes", format!("two nodes are called {:?}", node.name), "a name of its own for each");
        }
    }
    nodes
}

/// A region by name; without a matrix any name will do, somewhere on the equator.
fn region_of(name: &str, matrix: Option<&Matrix>) -> Option<Region> {
    match matrix {
        Some(matrix) => matrix.place(name).map(|place| matrix.regions[place].clone()),
        None => Some(Region {
            name: name.to_owned(),
            country: String::new(),
            continent: String::new(),
            latitude: 0.0,
            longitude: 0.0,
        }),
    }
}

fn regions_of(matrix: Option<&Matrix>) -> String {
    let names = matrix.map(|matrix| matrix.regions.iter().map(|region| region.name.as_str()).collect::<Vec<_>>());
    names.map_or_else(|| NODES.to_owned(), |names| names.join(", "))
}

fn read_node(table: Section<'_>, matrix: Option<&Matrix>) -> Vec<Node> {
    let name = table.text("name", "a name");
    let region = table.text("region", &regions_of(matrix)).or_else(|| name.clone());
    let Some(region_name) = region else {
        table.refuse("region", "missing", NODES);
        return Vec::new();
    };
    let Some(mut region) = region_of(&region_name, matrix) else {
        table.refuse("region", format!("no region {region_name:?}"), regions_of(matrix));
        return Vec::new();
    };
    region.country = table.text("country", "a country such as \"DE\"").unwrap_or(region.country);
    region.continent = table.text("continent", "a continent such as \"EU\"").unwrap_or(region.continent);
    region.latitude = table.number("latitude", -90.0, 90.0).unwrap_or(region.latitude);
    region.longitude = table.number("longitude", -180.0, 180.0).unwrap_or(region.longitude);
    let load = table.number("load", 0.0, 1.0).unwrap_or(0.0);
    let count = table.whole("count", 1, NODES_MAX as u64).unwrap_or(1);
    table.finish();
    let name = name.unwrap_or(region_name);
    let named = |number: u64| if count == 1 { name.clone() } else { format!("{name}-{number}") };
    (1..=count).map(|number| Node { name: named(number), region: region.clone(), load }).collect()
}

fn lines_of(matrix: &Matrix, topology: &Topology) -> BTreeMap<(usize, usize), Line> {
    let places: Vec<Option<usize>> = topology.nodes.iter().map(|node| matrix.place(&node.region.name)).collect();
    let mut lines = BTreeMap::new();
    for (from, a) in places.iter().enumerate() {
        for (to, b) in places.iter().enumerate() {
            let (Some(a), Some(b)) = (a, b) else { continue };
            if from == to || a == b {
                continue;
            }
            let half = |ms: f64| Duration::from_nanos((ms / 2.0 * 1e6).round() as u64);
            let jitter = matrix.jitter_ms.as_ref().map_or(Duration::ZERO, |jitter| half(jitter[*a][*b]));
            let delay = half(matrix.rtt_ms[*a][*b]);
            lines.insert((from, to), Line { delay, jitter, ..Line::default() });
        }
    }
    lines
}

const LINKS: &str = "a CSV file beside the scenario with the columns from, to, delay_ms (one way), and if need be jitter_ms, loss (percent), \
     rate_mbps; a link that is told in one direction alone is the same in both";

fn links_of(reader: &Reader<'_>, name: &str, topology: &Topology) -> Result<BTreeMap<(usize, usize), Line>, String> {
    let text = std::fs::read_to_string(reader.beside(name)).map_err(|error| error.to_string())?;
    let table = Table::parse(&text, &["from", "to", "delay_ms"])?;
    let mut lines: BTreeMap<(usize, usize), Line> = BTreeMap::new();
    for row in table.rows() {
        let end = |column| match topology.find(row.text(column))[..] {
            [node] => Ok(node),
            _ => Err(row.mistake(column, &format!("{:?} is no node", row.text(column)))),
        };
        let ms =
            |column| Ok::<_, String>(row.number(column, 0.0, 60_000.0)?.map(|ms| Duration::from_secs_f64(ms / 1e3)));
        let (from, to) = (end("from")?, end("to")?);
        let mut line = Line { delay: ms("delay_ms")?.unwrap_or_default(), ..Line::default() };
        line.jitter = ms("jitter_ms")?.unwrap_or_default();
        line.loss = line::Loss::Random(row.number("loss", 0.0, 100.0)?.unwrap_or(0.0) / 100.0);
        line.rate_bps = row.number("rate_mbps", 0.001, 1e6)?.map(|mbps| (mbps * 1e6) as u64);
        lines.insert((from, to), line);
    }
    let told: Vec<(usize, usize)> = lines.keys().copied().collect();
    for (from, to) in told {
        let same = lines[&(from, to)].clone();
        lines.entry((to, from)).or_insert(same);
    }
    Ok(lines)
}

/// Applies `[every_link]` and each `[[link]]`, and finds pairs between which nothing lies.
fn settle(
    root: &Section<'_>,
    topology: &Topology,
    known: BTreeMap<(usize, usize), Line>,
) -> BTreeMap<(usize, usize), Line> {
    let default = root.table("every_link").map_or_else(Patch::default, |section| {
        let patch = line::read(&section);
        section.finish();
        patch
    });
    let (mut lines, mut missing) = (BTreeMap::new(), BTreeSet::new());
    let all: Vec<usize> = (0..topology.nodes.len()).collect();
    for pair in topology.which(&Which::Between { from: all.clone(), to: all, both: false }) {
        let near = topology.reach(pair.0, pair.1) == Reach::Region;
        let is_known = known.contains_key(&pair) || near;
        let mut line = known.get(&pair).cloned().unwrap_or(Line { delay: WITHIN_REGION, ..Line::default() });
        Patch { delay: default.delay.filter(|_| !is_known), ..default.clone() }.apply(&mut line);
        if !is_known && default.delay.is_none() {
            missing.insert(pair);
        }
        lines.insert(pair, line);
    }
    for section in root.tables("link") {
        let which = read_which(&section, topology);
        let patch = line::read(&section);
        section.finish();
        for pair in which.map(|which| topology.which(&which)).unwrap_or_default() {
            if let Some(line) = lines.get_mut(&pair) {
                patch.apply(line);
            }
            if patch.delay.is_some() || patch.trace.is_some() {
                missing.remove(&pair);
            }
        }
    }
    if let Some((from, to)) = missing.first() {
        let (from, to) = (&topology.nodes[*from].name, &topology.nodes[*to].name);
        let found = format!("no delay for {} links, the first from {from} to {to}", missing.len());
        root.refuse(
            "link",
            found,
            "a matrix, a links file, a delay in [every_link], or a [[link]] with a delay for each",
        );
    }
    lines
}

/// Reads which links a table speaks of.
pub(super) fn read_which(section: &Section<'_>, topology: &Topology) -> Option<Which> {
    let reach = section.one_of("class", &REACHES);
    let both = section.switch("both").unwrap_or(false);
    let end = |key| {
        let name = section.text(key, &topology.names())?;
        let found = topology.find(&name);
        if found.is_empty() {
            section.refuse(key, format!("a link to nowhere: there is no node {name:?}"), topology.names());
            return None;
        }
        Some(found)
    };
    let ends = (end("from"), end("to"));
    match (reach, ends) {
        (Some(reach), _) => Some(Which::Reach(reach)),
        (None, (Some(from), Some(to))) => Some(Which::Between { from, to, both }),
        _ => {
            if !section.has("from") || !section.has("to") {
                let ends = format!(
                    "from and to, each {}; or class = \"ocean\", \"continent\" or \"region\"",
                    topology.names()
                );
                section.refuse("from", "a link without two ends", ends);
            }
            None
        }
    }
}
