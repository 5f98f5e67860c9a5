//! `origo node drain` and `undrain`: tells the node that runs on this machine, and says what it answers.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};

use anyhow::{Context, bail};

use super::admin::ANSWER_TIMEOUT;
use super::state::{Ask, State};
use crate::cli::{Orders, RunningArgs};
use crate::config::Sources;

/// The largest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Gives the order; prints how the node stands.
pub fn tell(order: Orders) -> anyhow::Result<()> {
    match order {
        Orders::Drain(args) => {
            let body = serde_json::to_string(&Ask { deadline_s: args.deadline.as_secs() })?;
            println!("{}", drained(&ask(&args.node, "POST", &body)?));
        }
        Orders::Undrain(node) => println!("{}", undrained(&ask(&node, "DELETE", "")?)),
    }
    Ok(())
}

fn drained(state: &State) -> String {
    let seconds = state.deadline_s.unwrap_or_default();
    match (state.was_draining, seconds) {
        (_, 0) => format!("the node ends now; {} are on it", state.left),
        (false, _) => format!("the node drains and ends in {seconds} s at the latest; {} are on it", state.left),
        (true, _) => format!("the node drains already and ends in {seconds} s at the latest; {} are left", state.left),
    }
}

fn undrained(state: &State) -> String {
    match state.was_draining {
        true => format!("the node stays and takes people again; {} are on it", state.left),
        false => format!("the node did not drain; {} are on it", state.left),
    }
}

fn ask(node: &RunningArgs, method: &str, body: &str) -> anyhow::Result<State> {
    let address = address(node)?;
    let mut stream = match TcpStream::connect_timeout(&address, ANSWER_TIMEOUT) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            bail!(
                "no node runs here: nothing listens on {address}, where its metrics would be; --config FILE or --metrics HOST:PORT names another"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("reaching the node's metrics listener on {address}")),
    };
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let head = format!("{method} /v1/drain HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = Vec::new();
    let talked =
        stream.write_all(request.as_bytes()).and_then(|()| stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
    talked.with_context(|| format!("talking to the node on {address}"))?;
    read(&String::from_utf8_lossy(&answer))
        .with_context(|| format!("what listens on {address} is no node that can be drained"))
}

fn read(answer: &str) -> anyhow::Result<State> {
    let (head, body) = answer.split_once("\r\n\r\n").context("it does not answer in HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        let sentence: String = body.chars().take(200).collect();
        bail!("it answers {status} {sentence}");
    }
    serde_json::from_str(body).context("its answer cannot be read")
}

/// A listener on all addresses is reached over loopback, which is the only way that is let in.
fn address(node: &RunningArgs) -> anyhow::Result<SocketAddr> {
    if let Some(told) = &node.metrics {
        let mut found =
            told.to_socket_addrs().with_context(|| format!("--metrics {told} is no address such as 127.0.0.1:7882"))?;
        return found.next().with_context(|| format!("--metrics {told} has no address"));
    }
    let mut address = Sources { file: node.config.clone(), flags: Vec::new() }.metrics_address()?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::super::state::Left;
    use super::*;

    #[test]
    fn the_command_says_how_things_stand() {
        let left = Left { people: 3, rooms: 1, ..Left::default() };
        let state =
            |was_draining, deadline_s| State { draining: true, was_draining, deadline_s: Some(deadline_s), left };
        assert_eq!(
            drained(&state(false, 120)),
            "the node drains and ends in 120 s at the latest; 3 people, 1 room and 0 webhooks are on it"
        );
        assert!(drained(&state(true, 5)).starts_with("the node drains already and ends in 5 s"));
        assert!(drained(&state(false, 0)).starts_with("the node ends now"));
        assert!(undrained(&State { left, ..State::default() }).starts_with("the node did not drain"));
    }

    #[test]
    fn what_is_no_node_is_told_from_one() {
        let body =
            r#"{"draining":false,"was_draining":true,"deadline_s":null,"left":{"people":0,"rooms":0,"webhooks":0}}"#;
        assert!(read(&format!("HTTP/1.1 200 OK\r\n\r\n{body}")).unwrap().was_draining);
        assert!(read("HTTP/1.1 404 Not Found\r\n\r\nno").unwrap_err().to_string().contains("404"));
        assert!(["", "SSH-2.0", "HTTP/1.1 200 OK\r\n\r\n{}"].iter().all(|answer| read(answer).is_err()));
    }
}
