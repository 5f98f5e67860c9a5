//! What is answered when the system has no file handle left for a connection: a spare one is given up, the connection is
//! taken, told why, and closed.

use std::fs::File;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::overload::RETRY_AFTER_S;

/// How long a client may take to say what it wants: who is closed before it has been read does not read either.
const HEARD_WITHIN: Duration = Duration::from_millis(20);
/// How long the answer may take to get out.
const TOLD_WITHIN: Duration = Duration::from_millis(20);
const SENTENCE: &str = "the node is full, it is short of file handles: try again in a moment";

/// Whether a failed accept means that there is no file handle.
pub fn is_want_of_handles(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// A file handle that is kept for this.
pub struct Spare(Option<File>);

impl Spare {
    /// Takes one, if there is one.
    pub fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Takes the next connection with it and refuses it. Says whether it did: there may be no spare one at the moment.
    pub async fn refuse_next(&mut self, listener: &TcpListener) -> bool {
        if self.0.take().is_none() {
            *self = Self::new();
            return false;
        }
        // Another thread may have been faster.
        let accepted = timeout(TOLD_WITHIN, listener.accept()).await;
        let is_taken = matches!(accepted, Ok(Ok(_)));
        if let Ok(Ok((stream, _))) = accepted {
            refuse(stream).await;
        }
        *self = Self::new();
        is_taken
    }
}

async fn refuse(mut stream: TcpStream) {
    let length = SENTENCE.len();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: {RETRY_AFTER_S}\r\nconnection: close\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{SENTENCE}"
    );
    // Whatever it is that the client wants, and whether it reads.
    if timeout(HEARD_WITHIN, stream.readable()).await.is_ok() {
        let _ = stream.try_read(&mut [0; 16 * 1024]);
    }
    let _ = timeout(TOLD_WITHIN, stream.write_all(answer.as_bytes())).await;
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn who_is_taken_with_the_spare_handle_is_told_to_come_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut spare = Spare::new();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET /rtc HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(spare.refuse_next(&listener).await);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 10\r\n"), "{answer}");
        assert!(answer.ends_with(SENTENCE), "{answer}");
        assert!(!spare.refuse_next(&listener).await, "nobody else came");
        assert!(spare.0.is_some());
    }
}
