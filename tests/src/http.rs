//! Plain HTTP/1.1 requests without a library, so that bad ones can be sent too.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for a response.
const RESPONSE_WAIT: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug)]
pub struct Response {
    /// Status code; 0 when the answer has none.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as text, chunk sizes included when it came chunked.
    pub body: String,
}

impl Response {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// `GET` of a path at `host:port`.
pub fn get(authority: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    send(authority, &format!("GET {path}"), headers, &[])
}

/// A request with a body: a method and a path at `host:port`.
pub fn send(authority: &str, request: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
    let mut request = format!("{request} HTTP/1.1\r\nHost: {authority}\r\n");
    if !request.starts_with("GET") {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        request.push_str("Connection: close\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(RESPONSE_WAIT))?;
    stream.write_all(request.as_bytes())?;
    // Who has refused already may close before it has read all; its answer is there.
    let _ = stream.write_all(body);
    read_response(&mut stream)
}

/// Reads until the body that `Content-Length` promises is there, or to the end.
fn read_response(stream: &mut TcpStream) -> io::Result<Response> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        let response = parse(&String::from_utf8_lossy(&bytes));
        let whole = response.as_ref().is_some_and(|response| {
            let length = response.header("content-length").and_then(|length| length.parse::<usize>().ok());
            length.is_some_and(|length| response.body.len() >= length)
        });
        if whole || count == 0 {
            return response.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        }
    }
}

fn parse(text: &str) -> Option<Response> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap_or(0);
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some(Response { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
}

/// The `host:port` of a `ws://`, `http://` or bare address, without a path.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
