//! `origo-load` as a person meets it: help, faults and exit codes.

use std::net::TcpListener;
use std::process::{Command, Output};

fn origo_load(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_origo-load")).args(flags).output().expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_teaches_by_examples_and_names_what_can_be_asserted() {
    let output = origo_load(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    for part in ["Examples:", "--assert 'delivered>=99.5'", "delay_p99_ms ", "freeze_max_ms ", "Exit codes: 0 done"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn all_bad_flags_are_said_at_once_and_nothing_is_done() {
    let output =
        origo_load(&["--url", "ws://127.0.0.1:1", "--room", "x", "--fps", "0", "--viewers", "3", "--assert", "x"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.starts_with("origo-load: 3 things are wrong with the flags:\n"), "{text}");
    for part in
        ["--viewers is no flag; accepted are --url", "--fps \"0\": accepted are whole numbers from 1", "--assert x:"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_value_that_is_missing_is_a_bad_flag() {
    let output = origo_load(&["--url"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--url"), "{}", stderr(&output));
}

#[test]
fn a_server_that_is_not_there_is_no_run() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let output = origo_load(&["--url", &format!("ws://127.0.0.1:{port}"), "--duration", "0.1", "--quiet"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("origo-load: nobody could join: "), "{}", stderr(&output));
}
