//! What a person types into a lab.

use std::time::Duration;

use super::super::troubles::{self, Deed};
use crate::scenario::{Loss, Patch, duration};

/// Drains end within this unless something else is said.
const DRAIN_DEADLINE: Duration = Duration::from_secs(120);

/// An order.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Something befalls the mesh.
    Do(Deed),
    /// How everything is, once.
    Status,
    /// The same each second until the next line.
    Watch,
    /// A page to open: node, room, name.
    Page(usize, String, String),
    /// What can be typed.
    Help,
    /// The end.
    Quit,
    /// An empty line.
    Nothing,
}

/// What can be typed.
pub const HELP: &str =
    "  link A B [delay 80ms] [jitter 5ms] [loss 2] [burst 5] [rate 10Mbps] [queue 50ms] [reorder on] [both]
                          changes the link from A to B; * is every node; rate unlimited takes the bound away
  kill A                  as a loss of power (SIGKILL)
  restart A               starts A anew, under its identity
  hold A, go A            A stands still (SIGSTOP), and goes on
  drain A [120s]          A sends its people elsewhere and ends; undrain A
  gray A [late 200ms]     A answers, and sends no media to other nodes, or late; heal ends it
  partition A,B | C,D     nothing passes between the two; who is not named is with the first
  heal                    all links are whole and as at the start
  page A [ROOM] [NAME]    a page at A, and how to open it in A's namespace
  status, watch           nodes and links with what they carry, once or each second until the next line
  help, quit";

impl Order {
    /// Reads a line; what is wrong with it, and what is accepted, as an error.
    pub fn read(line: &str, nodes: &[String]) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((&what, rest)) = words.split_first() else { return Ok(Self::Nothing) };
        let node = |place: usize| node_of(rest.get(place).copied().unwrap_or_default(), nodes);
        Ok(match what {
            "link" => Self::Do(read_link(rest, nodes)?),
            "kill" => Self::Do(Deed::Kill(node(0)?)),
            "restart" | "start" => Self::Do(Deed::Start(node(0)?)),
            "hold" => Self::Do(Deed::Hold(node(0)?, true)),
            "go" => Self::Do(Deed::Hold(node(0)?, false)),
            "drain" => {
                let deadline = rest.get(1).map_or(Ok(DRAIN_DEADLINE), |text| time(text))?;
                Self::Do(Deed::Drain(node(0)?, deadline))
            }
            "undrain" => Self::Do(Deed::Undrain(node(0)?)),
            "gray" => Self::Do(read_gray(rest, nodes)?),
            "partition" => Self::Do(read_partition(line.trim_start().trim_start_matches("partition"), nodes)?),
            "heal" => Self::Do(Deed::Heal),
            "page" => {
                let text = |place: usize, default: &str| rest.get(place).copied().unwrap_or(default).to_owned();
                match node(0)?[..] {
                    [node] => Self::Page(node, text(1, "lab"), text(2, "guest")),
                    _ => return Err("a page is at one node".to_owned()),
                }
            }
            "status" => Self::Status,
            "watch" => Self::Watch,
            "help" => Self::Help,
            "quit" | "exit" => Self::Quit,
            other => return Err(format!("{other:?} is no order:\n{HELP}")),
        })
    }
}

/// The node of that name, or the only one whose name begins so; all for `*`.
fn node_of(name: &str, nodes: &[String]) -> Result<Vec<usize>, String> {
    if name == "*" {
        return Ok((0..nodes.len()).collect());
    }
    if let Some(node) = nodes.iter().position(|node| node == name) {
        return Ok(vec![node]);
    }
    let alike: Vec<usize> =
        (0..nodes.len()).filter(|node| !name.is_empty() && nodes[*node].starts_with(name)).collect();
    match alike[..] {
        [node] => Ok(vec![node]),
        _ => Err(format!("{name:?} is no node; there are {}", nodes.join(", "))),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| format!("{text:?} is no time; accepted: 80ms, 1.5s, 2m"))
}

fn read_link(words: &[&str], nodes: &[String]) -> Result<Deed, String> {
    let [from, to, rest @ ..] = words else { return Err("link A B, and what changes".to_owned()) };
    let (from, to) = (node_of(from, nodes)?, node_of(to, nodes)?);
    let (mut patch, mut both, mut loss, mut burst) = (Patch::default(), false, None, None);
    let mut rest = rest.iter();
    while let Some(key) = rest.next() {
        if *key == "both" {
            both = true;
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("{key} needs a value"))?;
        match *key {
            "delay" => patch.delay = Some(time(value)?),
            "jitter" => patch.jitter = Some(time(value)?),
            "queue" => patch.queue = Some(time(value)?),
            "loss" => loss = Some(number(value, 0.0, 100.0)?),
            "burst" => burst = Some(number(value, 1.0, 10_000.0)?),
            "rate" => patch.rate_bps = Some(read_rate(value)?),
            "reorder" => patch.reorder = Some(*value == "on"),
            other => {
                return Err(format!(
                    "{other:?} is nothing of a link; accepted: delay, jitter, loss, burst, rate, queue, reorder, both"
                ));
            }
        }
    }
    patch.loss = match (loss, burst) {
        (Some(percent), Some(packets)) => Some(Loss::in_bursts(percent / 100.0, packets)),
        (Some(percent), None) => Some(Loss::Random(percent / 100.0)),
        (None, Some(_)) => return Err("burst goes with loss".to_owned()),
        (None, None) => None,
    };
    let pairs = troubles::pairs(nodes.len());
    let is_meant =
        |(a, b): &(usize, usize)| (from.contains(a) && to.contains(b)) || (both && from.contains(b) && to.contains(a));
    Ok(Deed::Change(pairs.filter(is_meant).collect(), Box::new(patch)))
}

fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{text:?}; accepted: a number from {least} to {most}"))
}

fn read_rate(text: &str) -> Result<Option<u64>, String> {
    if text == "unlimited" {
        return Ok(None);
    }
    let rate = crate::scenario::rate(text);
    rate.map(Some).ok_or_else(|| format!("{text:?} is no rate; accepted: 500kbps, 10Mbps, unlimited"))
}

fn read_gray(words: &[&str], nodes: &[String]) -> Result<Deed, String> {
    let gray = node_of(words.first().copied().unwrap_or_default(), nodes)?;
    let late = match words.get(1..).unwrap_or_default() {
        [] => None,
        ["late", late] => Some(time(late)?),
        _ => return Err("gray A, or gray A late 200ms".to_owned()),
    };
    let from = troubles::pairs(nodes.len()).filter(|(from, _)| gray.contains(from));
    Ok(Deed::Gray(from.collect(), Some(late)))
}

fn read_partition(text: &str, nodes: &[String]) -> Result<Deed, String> {
    let group = |text: &str| {
        let names = text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
        let found = names.map(|name| node_of(name, nodes)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, String>(found.concat())
    };
    let groups = text.split('|').map(group).collect::<Result<Vec<_>, _>>()?;
    if groups.len() < 2 || groups.iter().any(Vec::is_empty) {
        return Err("two groups or more, such as partition A,B | C,D".to_owned());
    }
    Ok(Deed::Cut(troubles::parted(nodes.len(), &groups), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<String> {
        ["frankfurt", "virginia", "tokyo"].map(str::to_owned).into()
    }

    fn read(line: &str) -> Result<Order, String> {
        Order::read(line, &nodes())
    }

    #[test]
    fn a_link_is_changed_in_one_direction_or_in_both_by_names_or_their_beginning() {
        let patch = Patch {
            delay: Some(Duration::from_millis(80)),
            loss: Some(Loss::Random(0.05)),
            rate_bps: Some(Some(4_000_000)),
            ..Patch::default()
        };
        let expected = |pairs: Vec<(usize, usize)>| Ok(Order::Do(Deed::Change(pairs, Box::new(patch.clone()))));
        assert_eq!(read("link fra virginia loss 5 delay 80ms rate 4Mbps"), expected(vec![(0, 1)]));
        assert_eq!(read("link fra vir loss 5% delay 80ms both rate 4Mbps"), expected(vec![(0, 1), (1, 0)]));
        assert_eq!(read("link * tokyo delay 80ms loss 5 rate 4Mbps"), expected(vec![(0, 2), (1, 2)]));
        let Ok(Order::Do(Deed::Change(_, patch))) = read("link fra tokyo loss 2 burst 5") else { panic!() };
        assert!((patch.loss.unwrap().mean() - 0.02).abs() < 1e-9);
    }

    #[test]
    fn faults_are_done_by_their_names() {
        assert_eq!(read("kill tok"), Ok(Order::Do(Deed::Kill(vec![2]))));
        assert_eq!(read("drain fra 20s"), Ok(Order::Do(Deed::Drain(vec![0], Duration::from_secs(20)))));
        let cut = Deed::Cut(vec![(0, 1), (0, 2), (1, 0), (2, 0)], true);
        assert_eq!(read("partition frankfurt | virginia, tokyo"), Ok(Order::Do(cut)));
        assert_eq!(read("heal"), Ok(Order::Do(Deed::Heal)));
        assert_eq!(read("page vir lobby Ana"), Ok(Order::Page(1, "lobby".into(), "Ana".into())));
        assert_eq!(read("  "), Ok(Order::Nothing));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_accepted() {
        for (line, told) in [
            ("kill mars", "\"mars\" is no node; there are frankfurt, virginia, tokyo"),
            ("link fra vir delay soon", "\"soon\" is no time"),
            ("link fra vir loss 101", "\"101\"; accepted: a number from 0 to 100"),
            ("link fra vir colour red", "\"colour\" is nothing of a link"),
            ("link fra vir delay", "delay needs a value"),
            ("partition fra", "two groups or more"),
            ("dance", "\"dance\" is no order"),
            ("gray fra later", "gray A, or"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.starts_with(told), "{line}: {error}");
        }
    }
}
