//! An application's server: remembers what it is shown, and answers as it is told to, or not at all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use livekit_protocol::WebhookEvent;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a receiver does with what it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// 200.
    Takes,
    /// 503.
    Refuses,
    /// Accepts the connection and says nothing.
    Hangs,
}

/// One delivery.
#[derive(Clone, Debug)]
pub struct Shown {
    pub event: WebhookEvent,
    /// The token that proves who sends it.
    pub proof: String,
    pub taken: bool,
}

/// A running server; it ends with the test's runtime.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Receiver {
    pub async fn start(mood: Mood) -> Self {
        Self::serve(mood, None).await
    }

    /// One behind TLS, and the authority that vouches for it.
    pub async fn behind_tls() -> (Self, CertificateDer<'static>) {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], key).unwrap();
        (Self::serve(Mood::Takes, Some(TlsAcceptor::from(Arc::new(config)))).await, authority.der().clone())
    }

    pub fn is_now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap().clone()
    }

    /// (event, participant) of what it took from one room, in order.
    pub fn taken(&self, room: &str) -> Vec<(String, String)> {
        let of_room = |shown: &Shown| shown.taken && shown.event.room.as_ref().unwrap().name == room;
        let who =
            |event: &WebhookEvent| event.participant.as_ref().map_or_else(String::new, |one| one.identity.clone());
        self.shown()
            .iter()
            .filter(|shown| of_room(shown))
            .map(|shown| (shown.event.event.clone(), who(&shown.event)))
            .collect()
    }

    async fn serve(mood: Mood, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mood, shown) = (Arc::new(Mutex::new(mood)), Arc::default());
        let receiver = Self { address: listener.local_addr().unwrap(), mood, shown };
        let own = receiver.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (own, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        // A client that does not trust us goes away.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                own.answer(stream).await;
                            }
                        }
                        None => own.answer(stream).await,
                    }
                });
            }
        });
        receiver
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut bytes = Vec::new();
        let request = loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await.unwrap_or(0);
            bytes.extend_from_slice(&chunk[..count]);
            match whole(&bytes) {
                Some(request) => break request,
                None if count == 0 => return,
                None => {}
            }
        };
        let mood = *self.mood.lock().unwrap();
        self.shown.lock().unwrap().push(Shown { taken: mood == Mood::Takes, ..request });
        let status = match mood {
            Mood::Takes => "200 OK",
            Mood::Refuses => "503 Later",
            Mood::Hangs => return std::future::pending().await,
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        // A sender that gave up has closed its end.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// A whole request as it would be shown.
fn whole(bytes: &[u8]) -> Option<Shown> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let header = |name: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let length: usize = header("content-length")?.parse().ok()?;
    assert_eq!(header("content-type"), Some("application/webhook+json"));
    let proof = header("authorization")?.to_owned();
    (body.len() == length).then(|| Shown { event: serde_json::from_str(body).unwrap(), proof, taken: false })
}
