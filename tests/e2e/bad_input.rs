//! What strangers may send: bad tokens, garbage on every port, nodes of another mesh. Nothing of it may do harm.

mod hostile;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use origo_auth::{Secret, mint};
use origo_client::signal::Socket;
use origo_client::{Event, Fleet, Join, Options, VideoOptions};
use origo_tests::metrics::Metrics;
use origo_tests::node::Node;
use origo_tests::process::{origo, resident_bytes, until};
use origo_tests::{http, token};
use rand::{Rng, RngCore, SeedableRng};

/// Longest wait for anything.
const WAIT: Duration = Duration::from_secs(10);
/// Datagrams of each kind of garbage.
const DATAGRAMS: usize = 4000;
/// How much the memory of a node may grow under garbage, bytes: what allocators keep, not what garbage adds up to.
const GROWTH_MAX: u64 = 32 << 20;

/// Headers of a WebSocket upgrade.
const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn a_wrong_or_expired_token_gets_401_with_a_sentence() {
    let node = Node::start(&origo().unwrap(), &[]).unwrap();
    let good = token::claims("devkey", "lobby", "ana");
    let expired = origo_auth::Claims { exp: token::now_unix() - 3600, ..good.clone() };
    let no_room = origo_auth::Claims { video: Default::default(), ..good.clone() };
    let unknown = origo_auth::Claims { iss: "nobody".to_owned(), ..good.clone() };
    let secret = Secret::new("secret");
    let cases = [
        ("missing", String::new()),
        ("no token", "not.a.token".to_owned()),
        ("wrong secret", mint(&good, &Secret::new("another secret"))),
        ("unknown key", mint(&unknown, &secret)),
        ("expired", mint(&expired, &secret)),
        ("no roomJoin", mint(&no_room, &secret)),
    ];
    for (case, token) in cases {
        for path in ["/rtc", "/rtc/v1"] {
            let options = Options { single_connection: path == "/rtc/v1", ..Options::default() };
            let join = Join { url: &node.url(), token: &token, options: &options, offer: None, resume: None };
            let url = join.signal_url();
            let query = url.split_once('?').expect("a query").1;
            let refused = http::get(&node.authority(), &format!("{path}?{query}"), &UPGRADE).unwrap();
            assert_eq!(refused.status, 401, "{case} on {path}: {refused:?}");
            assert!(refused.body.contains(' '), "{case} on {path} is told no sentence: {refused:?}");

            let checked = http::get(&node.authority(), &format!("{path}/validate?{query}"), &[]).unwrap();
            assert_eq!(checked.status, 401, "{case} on {path}/validate: {checked:?}");
            assert!(checked.body.contains(' '), "{case} on {path}/validate is told no sentence: {checked:?}");
            assert_eq!(checked.header("access-control-allow-origin"), Some("*"), "{case} on {path}/validate");
        }
    }
}

#[test]
fn a_good_token_is_valid() {
    let node = Node::start(&origo().unwrap(), &[]).unwrap();
    for path in ["/rtc", "/rtc/v1"] {
        let options = Options { single_connection: path == "/rtc/v1", ..Options::default() };
        let token = node.token("lobby", "ana");
        let join = Join { url: &node.url(), token: &token, options: &options, offer: None, resume: None };
        let url = join.signal_url();
        let query = url.split_once('?').expect("a query").1;
        let checked = http::get(&node.authority(), &format!("{path}/validate?{query}"), &[]).unwrap();
        assert_eq!((checked.status, checked.body.as_str()), (200, "success"), "{path}");
    }
}

#[tokio::test]
async fn garbage_datagrams_do_no_harm() {
    let mut node = Node::start(&origo().unwrap(), &["--workers", "1"]).unwrap();
    let fleet = Fleet::start().unwrap();
    let publisher = fleet.connect(&node.url(), &node.token("lobby", "publisher"), Options::v1()).await.unwrap();
    publisher.publish_video("camera", VideoOptions::single(30, 4, 1000));
    let mut viewer = fleet.connect(&node.url(), &node.token("lobby", "viewer"), Options::v0()).await.unwrap();
    let first = |event: &Event| matches!(event, Event::FirstPacket { .. }).then_some(());
    viewer.wait_for(WAIT, first).await.expect("media flows before the garbage");

    let before = resident_bytes(node.process.pid()).unwrap();
    let dropped = |node: &Node| Metrics::read(&node.metrics()).map_or(0.0, |page| page.sum("origo_dropped_total", &[]));
    let dropped_before = dropped(&node);
    let ports = [node.port + 1, node.port + 3];
    tokio::task::spawn_blocking(move || ports.into_iter().for_each(send_garbage)).await.unwrap();
    garbage_on_signaling(&node).await;

    assert!(node.process.is_running(), "the node ended:\n{}", node.process.stderr());
    let counted = until(WAIT, || (dropped(&node) > dropped_before).then_some(()));
    assert!(counted.is_some(), "no counter of origo_dropped_total rose");
    let growth = resident_bytes(node.process.pid()).unwrap().saturating_sub(before);
    assert!(growth < GROWTH_MAX, "memory grew by {growth} bytes");
    assert!(!node.process.stderr().contains("panicked"), "a thread panicked:\n{}", node.process.stderr());

    let mut late = fleet.connect(&node.url(), &node.token("lobby", "late"), Options::v1()).await.unwrap();
    late.wait_for(WAIT, first).await.expect("media flows after the garbage");
    let report = viewer.report().await;
    assert_eq!(report.tracks[0].layers[0].duplicates, 0, "garbage became media");
}

/// Random, truncated, STUN for nobody, and packets that look like DTLS, RTP, RTCP and QUIC.
fn send_garbage(port: u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut rng = rand::rngs::StdRng::seed_from_u64(u64::from(port));
    let mut datagram = vec![0; 1500];
    for number in 0..DATAGRAMS {
        let len = rng.random_range(0..=1400);
        rng.fill_bytes(&mut datagram[..len]);
        // The first byte decides whom a multiplexed port gives it to: STUN, DTLS, RTP and RTCP, QUIC long and short.
        if len > 1 {
            datagram[0] = [0, 22, 0x80, 0xc0, 0x40, rng.random()][number % 6];
        }
        send(&socket, &datagram[..len], to);
        let stun = binding_request(&mut rng);
        send(&socket, &stun, to);
        // Sent again as it is, and cut.
        send(&socket, &stun, to);
        send(&socket, &stun[..rng.random_range(0..stun.len())], to);
        if number % 50 == 0 {
            std::thread::yield_now();
        }
    }
}

fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) {
    // A port that answers with ICMP makes the next call fail: also fine.
    let _ = socket.send_to(datagram, to);
}

/// A STUN binding request (RFC 8489) for a ufrag that nobody has.
fn binding_request(rng: &mut impl Rng) -> Vec<u8> {
    let name: String = (0..9).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
    let username = format!("{}:{}", &name[..4], &name[4..8]);
    let padded = username.len().div_ceil(4) * 4;
    let mut stun = vec![0, 1, 0, (4 + padded) as u8, 0x21, 0x12, 0xa4, 0x42];
    stun.extend((0..12).map(|_| rng.random::<u8>()));
    stun.extend([0, 6, 0, username.len() as u8]);
    stun.extend(username.as_bytes());
    stun.resize(20 + 4 + padded, 0);
    stun
}

/// Binary and text messages that are no requests, and requests for the wrong session.
async fn garbage_on_signaling(node: &Node) {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    for number in 0..10 {
        let (token, options) = (node.token("garbage", &format!("stranger-{number}")), Options::v0());
        let url = Join { url: &node.url(), token: &token, options: &options, offer: None, resume: None }.signal_url();
        let mut socket = Socket::connect(&url).await.expect("a good token gets a socket");
        for _ in 0..20 {
            let mut bytes = vec![0; rng.random_range(0..2000)];
            rng.fill_bytes(&mut bytes);
            let text = if number % 2 == 0 { "{\"offer\":{\"sdp\":".to_owned() } else { "null".to_owned() };
            if socket.send_bytes(bytes).await.is_err() || socket.send_text(text).await.is_err() {
                break;
            }
        }
        // Larger than any request may be: the node may close at any point of it.
        let _ = socket.send_bytes(vec![0xff; 4 << 20]).await;
        drop(socket);
    }
    for line in
        ["GET /rtc HTTP/1.1\r\n\r\n", "\0\0\0\0\r\n\r\n", "GET /rtc?access_token=%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n"]
    {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(node.authority()).unwrap();
        // The node may have closed already.
        let _ = stream.write_all(line.as_bytes());
    }
}

#[tokio::test]
async fn replayed_cut_and_damaged_datagrams_of_a_real_session_do_no_harm() {
    let mut node = Node::start(&origo().unwrap(), &["--workers", "1"]).unwrap();
    let fleet = Fleet::start().unwrap();
    let mut viewer = fleet.connect(&node.url(), &node.token("lobby", "viewer"), Options::v0()).await.unwrap();
    hostile::publish(&node, "lobby", Duration::from_secs(3)).await.unwrap();
    let first = |event: &Event| matches!(event, Event::FirstPacket { .. }).then_some(());
    viewer.wait_for(Duration::ZERO, first).await.expect("media flows");
    let layer = viewer.report().await.tracks[0].layers[0];
    assert_eq!((layer.duplicates, layer.lost), (0, 0), "{layer:?}");
    assert!(layer.unique > 100, "{layer:?}");
    assert!(node.process.is_running() && !node.process.stderr().contains("panicked"), "{}", node.process.stderr());
}

#[test]
fn a_node_with_the_wrong_mesh_secret_stays_outside() {
    let origo = origo().unwrap();
    let inside = Node::start(&origo, &["--mesh-secret", "the secret of this mesh, long enough"]).unwrap();
    let seed = format!("127.0.0.1:{}", inside.port + 1);
    let flags = ["--mesh-secret", "another secret, just as long as it is", "--seeds", &seed];
    let outside = Node::start(&origo, &flags).unwrap();
    let begun = Instant::now();
    let said = |node: &Node| {
        let text = node.process.stderr().to_lowercase();
        ["mesh secret", "certificate", "unknown issuer", "unknownissuer", "bad signature"]
            .iter()
            .any(|word| text.contains(word))
    };
    let why = until(WAIT, || (said(&inside) && said(&outside)).then_some(()));
    assert!(
        why.is_some(),
        "after {:?} one side does not say why.\ninside:\n{}\noutside:\n{}",
        begun.elapsed(),
        inside.process.stderr(),
        outside.process.stderr()
    );
    for node in [&inside, &outside] {
        let route = http::get(&node.authority(), "/v1/route?room=lobby", &[]).unwrap();
        assert_eq!(route.body.matches("\"id\"").count(), 1, "a stranger is in the mesh: {}", route.body);
    }
}
