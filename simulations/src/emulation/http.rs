//! As much of HTTP as it takes to ask a node how it is.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::namespace::Namespace;

/// A node that answers later is too busy to be of use.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The body at a path, asked for within the node's namespace.
pub fn get(namespace: &Namespace, address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = namespace.within(|| TcpStream::connect_timeout(&address, TIMEOUT))??;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::other("an answer without a body"))
}
