//! What the program tells its operator: help, tokens, and a sentence and an exit code for a mistake.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use origo_tests::http;
use origo_tests::node::Node;
use origo_tests::process::origo;

fn run(arguments: &[&str]) -> Output {
    // What the tests are told by variables is none of the node's settings.
    let mut command = Command::new("timeout");
    command.arg("20").arg(origo().unwrap()).args(arguments).env_remove("ORIGO_BIN").stdin(Stdio::null());
    command.output().expect("origo can be started")
}

/// What it says when it refuses to run.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it should have failed");
    assert_ne!(output.status.code(), Some(124), "it runs instead of refusing to");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// Starts a node that cannot run, and gives its complaint.
fn refused(port: u16, data: &Path, flags: &[&str]) -> String {
    let port = port.to_string();
    let given = ["node", "--workers", "1", "--port", &port, "--data-dir", data.to_str().expect("UTF-8")];
    complaint(&run(&[&given[..], flags].concat()))
}

/// A port that is free, and the ports after it too.
fn free_port() -> u16 {
    let free = |port: u16| {
        (port..port + 5).all(|port| {
            let address = (Ipv4Addr::LOCALHOST, port);
            TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
        })
    };
    std::iter::repeat_with(|| rand::random_range(9_000..11_000)).find(|&port| free(port)).expect("an endless iterator")
}

#[test]
fn help_teaches_every_command() {
    let output = run(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for word in ["node", "token", "demo", "origo node --region"] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[test]
fn a_token_that_the_program_mints_opens_the_room() {
    let flags = ["--api-key", "key", "--api-secret", "a secret of the operator"];
    let node = Node::start(&origo().unwrap(), &flags).unwrap();
    let minted = run(&[&["token", "--room", "lobby", "--identity", "ana"], &flags[..]].concat());
    assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
    let token = String::from_utf8_lossy(&minted.stdout).trim().to_owned();
    let answer = http::get(&node.authority(), &format!("/rtc/validate?access_token={token}"), &[]).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "success"));
}

#[test]
fn all_faults_of_a_configuration_are_reported_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("origo.toml");
    std::fs::write(&file, "regoin = \"frankfurt\"\nlatitude = 91\nbind = \"0.0.0.0\"\ndemo = true\n").unwrap();
    let output = run(&["node", "--config", file.to_str().unwrap(), "--port", "many"]);
    let text = complaint(&output);
    assert_eq!(output.status.code(), Some(64));
    for word in ["regoin", "latitude", "91", "longitude", "advertise", "mesh_secret", "api_key", "demo", "many"] {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    {
        let _http = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let text = refused(port, folder.path(), &[]);
        assert!(text.contains(&port.to_string()), "{text}");
    }
    for offset in [1, 3] {
        let _udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + offset)).unwrap();
        let text = refused(port, folder.path(), &[]);
        assert!(text.contains(&(port + offset).to_string()), "{text}");
    }
}

#[test]
fn a_location_database_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = refused(free_port(), folder.path(), &["--geoip", "/nowhere/city.mmdb"]);
    assert!(text.contains("/nowhere/city.mmdb"), "{text}");
    let rubbish = folder.path().join("rubbish.mmdb");
    std::fs::write(&rubbish, "this is no database").unwrap();
    let text = refused(free_port(), folder.path(), &["--geoip", rubbish.to_str().unwrap()]);
    assert!(text.contains("rubbish.mmdb"), "{text}");
}

#[test]
fn a_key_of_the_node_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("node.key"), "rubbish").unwrap();
    let text = refused(free_port(), folder.path(), &[]);
    assert!(text.contains("node.key"), "{text}");
}
