//! One node's surface on a loopback port, before scripted rooms; and a client for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use origo_auth::token::mint;
use origo_auth::{Claims, Keys, NodeId, Secret, VideoGrant};
use origo_cascade::View;
use origo_cascade_core::metric::LinkMetric;
use origo_cascade_core::route::{Map, Residency, ResidencyRule};
use origo_cascade_core::{Node, NodeAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{Config, LiveKeys, Routing};
use crate::geo::Geo;
use crate::http::{Surface, serve, unix_now};
use crate::log::{LogConfig, LogFormat};
use crate::metrics::Dropped;
use crate::overload::Shown;
use crate::paths::{Paths, ViewSource};
use crate::rooms::scripted::{self, Heard};
use crate::state::AppState;
use crate::worker::{Entrance, WorkerHandle};

const SECRET: &str = "a secret of thirty-two characters";

/// A served surface.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) nodes: Arc<Mutex<Vec<Node>>>,
    pub(crate) heard: UnboundedReceiver<Heard>,
    pub(crate) shown: Shown,
    dropped: Dropped,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// An HTTP answer; status 0 when the server closed without one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

/// Claims that open a room for the next minute.
pub(crate) fn grant(identity: &str, room: &str) -> Claims {
    Claims {
        iss: "devkey".into(),
        sub: identity.into(),
        exp: unix_now() + 60,
        video: VideoGrant { room_join: true, room: room.into(), ..VideoGrant::default() },
        ..Claims::default()
    }
}

impl World {
    /// A demo node in Tokyo; a second node is in Frankfurt.
    pub(crate) async fn start() -> Self {
        Self::with(config(true)).await
    }

    /// No demo; its proxy is on the same machine.
    pub(crate) async fn behind_proxy() -> Self {
        Self::with(Config { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..config(false) }).await
    }

    /// Rooms of such a name stay in Japan.
    pub(crate) async fn in_japan(rooms: &str) -> Self {
        let rule = ResidencyRule { rooms: rooms.into(), countries: vec!["JP".into()] };
        let routing = Routing { residency: Residency(vec![rule]), ..Routing::default() };
        Self::with(Config { routing, ..config(false) }).await
    }

    /// Clients without UDP are let in, to these workers.
    pub(crate) async fn before(workers: &[WorkerHandle]) -> Self {
        Self::at(config(true), Entrance::to(workers)).await
    }

    async fn with(config: Config) -> Self {
        Self::at(config, Entrance::default()).await
    }

    async fn at(config: Config, entrance: Entrance) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (rooms, heard) = scripted::start();
        let nodes = Arc::new(Mutex::new(vec![node(1, "tokyo", 35.7, 139.7), node(2, "frankfurt", 50.1, 8.7)]));
        let (dropped, shown) = (Dropped::default(), Shown::default());
        let view: ViewSource = Arc::new({
            let nodes = nodes.clone();
            move || {
                let mut map = Map::default();
                map.set_nodes(&nodes.lock().unwrap());
                let lossy = LinkMetric {
                    rtt: Duration::from_millis(230),
                    jitter: Duration::from_micros(1_500),
                    loss: 0.02,
                    free_bps: u64::MAX,
                    ..LinkMetric::default()
                };
                map.set_metrics(NodeId([1; 16]), &[(NodeId([2; 16]), lossy)]);
                Box::pin(async move { View { map, branches: Vec::new() } })
            }
        });
        let app = AppState {
            paths: Paths::new(NodeId([1; 16]), rooms.clone(), view),
            keys: LiveKeys::new(config.keys.clone()),
            config: Arc::new(config),
            node: NodeId([1; 16]),
            rooms,
            webhooks: None,
            entrance,
            nodes: Arc::new({
                let nodes = nodes.clone();
                move || nodes.lock().unwrap().clone()
            }),
            dropped: dropped.clone(),
            overload: shown.clone(),
        };
        let surface = Surface::new(app, Geo::open(None).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, surface, async { drop(stopped.await) }));
        Self { address, nodes, heard, shown, dropped, stop: Some(stop), served }
    }

    /// Ends the surface.
    pub(crate) async fn stop(&mut self) {
        self.stop = None;
        (&mut self.served).await.unwrap();
    }

    pub(crate) fn token(&self, claims: &Claims) -> String {
        mint(claims, &Secret::new(SECRET))
    }

    pub(crate) fn dropped(&self, what: &str, reason: &str) -> u64 {
        let counts = self.dropped.counts();
        counts.into_iter().find(|count| (count.0, count.1) == (what, reason)).map_or(0, |count| count.2)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), "").await
    }

    pub(crate) async fn get_owned(&self, path: String) -> Answer {
        self.get(&path).await
    }

    /// Sends the first lines of a request, and a body, and reads the answer.
    pub(crate) async fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!("{head}host: node\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        // A server that has refused already may close before it has read all.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::read(&String::from_utf8_lossy(&answer))
    }

    /// What the rooms heard next.
    pub(crate) async fn next_heard(&mut self) -> Heard {
        self.heard.recv().await.expect("the rooms live")
    }
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

fn node(byte: u8, region: &str, latitude: f64, longitude: f64) -> Node {
    Node {
        id: NodeId([byte; 16]),
        region: region.into(),
        country: if region == "tokyo" { "JP" } else { "DE" }.into(),
        continent: String::new(),
        latitude,
        longitude,
        url: format!("ws://{region}.example"),
        address: NodeAddress { quic: ([127, 0, 0, 1], 1).into() },
        load: 0.0,
        draining: false,
        overload: Default::default(),
    }
}

fn config(demo: bool) -> Config {
    let anywhere: SocketAddr = ([127, 0, 0, 1], 0).into();
    Config {
        region: "tokyo".into(),
        latitude: 35.7,
        longitude: 139.7,
        country: "JP".into(),
        continent: "AS".into(),
        routing: Routing::default(),
        http: anywhere,
        url: "ws://tokyo.example".into(),
        quic: anywhere,
        metrics: anywhere,
        media: vec![anywhere],
        media_advertise: vec![[127, 0, 0, 1].into()],
        media_spread_at: 1000,
        advertise: vec![[127, 0, 0, 1].into()],
        seeds: vec![],
        link_rates_bps: Default::default(),
        limits: Default::default(),
        drain_deadline: Duration::ZERO,
        mesh_secret: Secret::new("mesh"),
        data_dir: std::env::temp_dir(),
        keys: Keys::only("devkey", SECRET, "default"),
        webhooks: None,
        geoip: None,
        trusted_proxies: vec![],
        demo,
        bwe: true,
        egress: Default::default(),
        audio_loudest: 10,
        audio_sections: 50,
        video_sections: 50,
        sockets_per_address: 1_024,
        ice_tcp: true,
        log: LogConfig::new(LogFormat::Text, "info"),
    }
}
