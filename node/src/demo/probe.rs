//! Asks a node on loopback how it is. HTTP/1.0 by hand: one request of one line needs no client library.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a node's `/health` says, as far as the demo needs it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// The node's id.
    pub id: String,
    /// Living nodes that it sees, itself among them.
    pub nodes: usize,
}

/// How the node on that port is; none while it does not serve: `/health` answers 200 only when it takes sessions.
pub async fn health(port: u16) -> Option<Health> {
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, get(port, "/health")).await.ok()?.ok()?;
    parse(&answer)
}

async fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}

fn parse(answer: &str) -> Option<Health> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|&status| status == "200")?;
    serde_json::from_str(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_anything_else_is_none() {
        let body = r#"{"status":"ok","id":"ND_1","region":"frankfurt","nodes":3}"#;
        let health = parse(&format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{body}"));
        assert_eq!(health, Some(Health { id: "ND_1".into(), nodes: 3 }));
        assert_eq!(parse(&format!("HTTP/1.1 503 Service Unavailable\r\n\r\n{body}")), None);
        assert!(
            ["", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n\r\n[]", "\r\n\r\n"].iter().all(|text| parse(text).is_none())
        );
    }
}
