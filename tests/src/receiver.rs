//! An application that is told what happens in rooms: takes each webhook and remembers it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// Longer requests are not taken.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A receiver of webhooks on loopback, as long as the test runs.
pub struct Receiver {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    /// Listens from now on.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let receiver = Self { address: listener.local_addr()?, taken: Arc::default() };
        let taken = receiver.taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taken = taken.clone();
                thread::spawn(move || take(stream, &taken));
            }
        });
        Ok(receiver)
    }

    /// What a node is told as its `webhook_urls`.
    pub fn url(&self) -> String {
        format!("http://{}/livekit", self.address)
    }

    /// All events so far, in order.
    pub fn events(&self) -> Vec<Value> {
        self.taken.lock().map(|taken| taken.clone()).unwrap_or_default()
    }

    /// The sessions of which events of a name have told, in order, each event once.
    pub fn sids(&self, name: &str) -> Vec<String> {
        let mut told: Vec<Value> = Vec::new();
        for event in self.events().into_iter().filter(|event| event["event"] == name) {
            if !told.iter().any(|known| known["id"] == event["id"]) {
                told.push(event);
            }
        }
        told.iter().map(|event| event["participant"]["sid"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// One request; whoever sends rubbish gets no answer.
fn take(mut stream: TcpStream, taken: &Mutex<Vec<Value>>) {
    let Some(event) = read(&mut stream).ok().flatten() else { return };
    if let Ok(mut taken) = taken.lock() {
        taken.push(event);
    }
    // A node that does not hear it sends the event again.
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

fn read(stream: &mut TcpStream) -> io::Result<Option<Value>> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
    while bytes.len() < REQUEST_BYTES_MAX {
        let count = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lengths = head.lines().filter_map(|line| line.split_once(':'));
            let length = lengths.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.filter_map(|(_, value)| value.trim().parse::<usize>().ok()).next().unwrap_or(0);
            if body.len() >= length {
                return Ok(serde_json::from_str(body).ok());
            }
        }
        if count == 0 {
            break;
        }
    }
    Ok(None)
}
