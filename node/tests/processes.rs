//! The program's processes: a demo leaves nothing behind however it ends, and a node follows its file.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The demo promises 5 s for its start and for its end; a loaded test machine gets more.
const PATIENCE: Duration = Duration::from_secs(20);

fn origo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_origo"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORIGO_")) {
        command.env_remove(name);
    }
    command
}

/// A port base of this test's own: the demo skips used blocks by itself.
fn port_base(test: u16) -> u16 {
    20_000 + test * 500 + u16::try_from(std::process::id() % 25).unwrap() * 20
}

struct Demo {
    process: Child,
    line: String,
}

impl Demo {
    fn start(test: u16, nodes: u16, temporary: &Path) -> Self {
        let mut command = origo();
        command.args(["demo", "--json", "--nodes", &nodes.to_string(), "--port-base", &port_base(test).to_string()]);
        command.env("TMPDIR", temporary).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { process, line }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill takes two integers, and the process is our own child, not reaped yet.
        assert_eq!(unsafe { libc::kill(self.process.id().cast_signed(), signal) }, 0);
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.line).unwrap_or_else(|error| panic!("{error}: {:?}", self.line))
    }

    fn pids(&self) -> Vec<i32> {
        let nodes = self.json()["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| i32::try_from(node["pid"].as_i64().unwrap()).unwrap()).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A failed test leaves no demo behind; after a passed one there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_running(pid: i32) -> bool {
    // A zombie waits to be reaped by whoever inherited it; it runs no more.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(url: &str) -> String {
    let address = url.split("://").nth(1).unwrap();
    let (host, path) = address.split_once('/').map_or((address, String::new()), |(host, path)| (host, path.to_owned()));
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_demo_prints_one_line_when_all_nodes_see_each_other_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(0, 3, temporary.path());
    let line = demo.json();
    let nodes = line["nodes"].as_array().unwrap().clone();
    assert_eq!(nodes.len(), 3);
    let regions: Vec<&str> = nodes.iter().map(|node| node["region"].as_str().unwrap()).collect();
    assert_eq!(regions, ["frankfurt", "sao-paulo", "singapore"]);
    for node in &nodes {
        let http = node["url"].as_str().unwrap().replace("ws://", "http://");
        assert!(get(&format!("{http}/health")).contains("\"nodes\":3"));
        assert!(get(node["metrics"].as_str().unwrap()).contains("origo_participants 0"));
    }
    assert!(get(line["web"].as_str().unwrap()).contains(" 200 OK"));
    assert!(line["api_key"].is_string() && line["api_secret"].is_string());

    demo.signal(libc::SIGTERM);
    let asked = Instant::now();
    let status = demo.process.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(demo.pids().iter().all(|&pid| !is_running(pid)));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn nodes_die_with_a_demo_that_is_killed() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = Demo::start(1, 2, temporary.path());
    let pids = demo.pids();
    assert!(pids.iter().all(|&pid| is_running(pid)));
    demo.signal(libc::SIGKILL);
    until("the nodes end", || pids.iter().all(|&pid| !is_running(pid)));
}

#[test]
fn a_demo_whose_node_cannot_start_shows_why_and_ends() {
    let base = port_base(2).to_string();
    let output = run(origo().args(["demo", "--json", "--port-base", &base, "--geoip", "/nonexistent.mmdb"]));
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("ended at its start") && words.contains("/nonexistent.mmdb"), "{words}");
}

fn token(key: &str, secret: &str) -> String {
    let line = ["token", "--api-key", key, "--api-secret", secret, "--room", "lobby", "--identity", "ana"];
    let output = run(origo().args(line));
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A node of its own, ended with the test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn api_keys_follow_the_file_and_a_broken_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("origo.toml");
    let port = port_base(3);
    let head = format!("port = {port}\nworkers = 1\nlog = \"error\"\ndata_dir = {:?}\n", folder.path().join("data"));
    let write = |keys: &str| std::fs::write(&file, format!("{head}{keys}")).unwrap();
    let opens = |key: &str| {
        let token = token(key, "a secret");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
            && get(&format!("http://127.0.0.1:{port}/rtc/validate?access_token={}", token.trim_end())).contains(" 200 ")
    };
    write("[keys.first]\nsecret = \"a secret\"\n");
    let node = Node(origo().arg("node").arg("--config").arg(&file).spawn().unwrap());
    until("the first key opens", || opens("first"));
    assert!(!opens("second"));
    write("[keys.second]\nsecret = \"a secret\"\n");
    until("the second key opens", || opens("second"));
    assert!(!opens("first"));
    write("[keys.second]\nsecret = ");
    // SIGHUP reads the file at once; what is there now cannot be taken.
    // SAFETY: kill takes two integers, and the node is our own child, not reaped yet.
    assert_eq!(unsafe { libc::kill(node.0.id().cast_signed(), libc::SIGHUP) }, 0);
    assert!(opens("second"));
}
