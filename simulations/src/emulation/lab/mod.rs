//! A mesh that stays up for people: they call through it with browsers in its namespaces, and change it by what they type.

mod order;
mod status;

use std::io::{BufRead, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

pub use self::order::{HELP, Order};

use self::status::Status;
use super::mesh::{Mesh, Options};
use super::settings::HTTP_PORT;
use super::wan::address;
use super::{interrupt, troubles};
use crate::scenario::Scenario;

/// How often it looks for a signal while nobody types.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
const TELLS_EVERY: Duration = Duration::from_secs(1);

/// Brings the mesh of a scenario up and does what is typed, until somebody quits.
pub fn run(scenario: &Scenario, options: &Options) -> anyhow::Result<()> {
    eprintln!("{}: bringing {} nodes up", scenario.name, scenario.topology.nodes.len());
    let mut mesh = Mesh::up(scenario, options)?;
    mesh.wan.begin_traces();
    let names: Vec<String> = mesh.nodes.iter().map(|node| node.name.clone()).collect();
    println!("{}", welcome(&mesh)?);
    let lines = typed();
    let mut status = Status::new(&mesh);
    let (mut watches, mut told) = (false, Instant::now());
    prompt();
    loop {
        if interrupt::look().is_err() {
            return Ok(());
        }
        tell_ends(&mut mesh);
        if watches && told.elapsed() >= TELLS_EVERY {
            told = Instant::now();
            println!("{}", status.text(&mesh, scenario));
        }
        let line = match lines.recv_timeout(LOOKS_EVERY) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            // Nobody can type any more: it stays up until a signal ends it.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(LOOKS_EVERY);
                continue;
            }
        };
        watches = false;
        match Order::read(&line, &names) {
            Ok(Order::Quit) => return Ok(()),
            Ok(Order::Watch) => watches = true,
            Ok(order) => match obey(&mut mesh, scenario, &mut status, order) {
                Ok(said) => print!("{said}"),
                Err(error) => eprintln!("{error:#}"),
            },
            Err(error) => eprintln!("{error}"),
        }
        prompt();
    }
}

/// Does an order; what is said to it.
fn obey(mesh: &mut Mesh, scenario: &Scenario, status: &mut Status, order: Order) -> anyhow::Result<String> {
    Ok(match order {
        Order::Do(deed) => {
            troubles::act(mesh, scenario, &deed)?;
            status.note(scenario, &deed);
            format!("{}\n", troubles::in_words(&deed, mesh))
        }
        Order::Status => status.text(mesh, scenario) + "\n",
        Order::Page(node, room, name) => page(mesh, node, &room, &name)? + "\n",
        Order::Help => format!("{HELP}\n"),
        Order::Watch | Order::Quit | Order::Nothing => String::new(),
    })
}

/// Nodes that ended though nobody killed them.
fn tell_ends(mesh: &mut Mesh) {
    if let Err(error) = mesh.look_for_ends() {
        eprintln!("{error:#}");
        for place in 0..mesh.nodes.len() {
            if mesh.nodes[place].program().is_some_and(|program| program.ended().is_some()) {
                mesh.kill(place);
            }
        }
    }
}

fn prompt() {
    if std::io::stdout().is_terminal() {
        print!("> ");
    }
    // Whoever does not read is not served.
    let _ = std::io::stdout().flush();
}

/// Lines as they are typed.
fn typed() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn welcome(mesh: &Mesh) -> anyhow::Result<String> {
    let mut text = String::from("\nThe mesh is up. Nodes, and the namespace that each is in:\n");
    for (place, node) in mesh.nodes.iter().enumerate() {
        let url = format!("http://{}:{HTTP_PORT}", address(place));
        text.push_str(&format!("  {:20} {url:28} {}\n", node.name, node.namespace().name()));
    }
    text.push_str(&format!("Logs and keys: {}\n\n", mesh.folder().display()));
    text.push_str(&page(mesh, 0, "lab", "Ana")?);
    if mesh.nodes.len() > 1 {
        text.push('\n');
        text.push_str(&page(mesh, 1, "lab", "Ben")?);
    }
    text.push_str("\n\n`page A` makes another one, `help` tells what else can be typed.");
    Ok(text)
}

/// A page that joins a room at a node, and how to open it there.
fn page(mesh: &Mesh, node: usize, room: &str, name: &str) -> anyhow::Result<String> {
    let origin = format!("http://{}:{HTTP_PORT}", address(node));
    let token = mesh.token(room, name)?;
    let at = &mesh.nodes[node];
    Ok(format!(
        "{name} at {}:\n  ip netns exec {} chromium --no-sandbox --user-data-dir=/tmp/og-emu-{} \\\n    \
         --unsafely-treat-insecure-origin-as-secure={origin} \\\n    '{origin}/?room={room}&name={name}&autojoin=1&token={token}'",
        at.name,
        at.namespace().name(),
        name.to_lowercase(),
    ))
}
