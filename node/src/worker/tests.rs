//! The driver on real sockets: ports, commands and events, datagrams of strangers, the end.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use origo_node_core::SessionId;
use origo_node_core::media::{Command, Event, OpenSession};
use tokio::sync::mpsc;

use super::{Arrival, Config, Entrance, StartError, Unwanted, WorkerHandle, start};

const TCP: ([u8; 4], u16) = ([127, 0, 0, 1], 7_880);

fn config(bind: SocketAddr) -> Config {
    let (advertise, tcp) = (vec![Ipv4Addr::LOCALHOST.into()], vec![TCP.into()]);
    let (loudest, sections) = (0, Default::default());
    Config { index: 0, count: 1, bind, advertise, tcp, bwe: true, egress: Default::default(), loudest, sections }
}

/// A worker on a free port, the port, and what it says.
fn worker() -> (WorkerHandle, SocketAddr, mpsc::UnboundedReceiver<Event>) {
    let (events, said) = mpsc::unbounded_channel();
    let handle = start(config("127.0.0.1:0".parse().unwrap()), events).unwrap();
    let address = handle.address;
    (handle, address, said)
}

async fn next(said: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    tokio::time::timeout(Duration::from_secs(10), said.recv()).await.expect("an event in time").expect("it runs")
}

#[test]
fn a_port_in_use_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let Err(error) = start(config(address), mpsc::unbounded_channel().0) else { panic!("the port is taken") };
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(matches!(error, StartError::Bind { .. }));
}

#[test]
fn a_worker_without_an_address_to_advertise_does_not_start() {
    let config = Config { advertise: vec![], ..config("127.0.0.1:0".parse().unwrap()) };
    assert!(matches!(start(config, mpsc::unbounded_channel().0), Err(StartError::NoAddress { index: 0 })));
}

#[tokio::test]
async fn a_session_is_offered_a_connection_at_the_bound_port() {
    let (handle, address, mut said) = worker();
    let open = OpenSession {
        session: SessionId(1),
        single_connection: false,
        ice_lite: true,
        fixed_sections: false,
        tcp_only: false,
        may_pause: false,
    };
    handle.command(Command::Open(open));
    let Event::Offer { session, id, sdp, .. } = next(&mut said).await else { panic!("an offer comes first") };
    assert_eq!((session, id), (SessionId(1), 1));
    assert!(sdp.contains(&format!(" 127.0.0.1 {} typ host", address.port())), "{sdp}");
    assert!(sdp.contains("a=ice-lite"), "{sdp}");
    handle.stop();
}

#[tokio::test]
async fn datagrams_of_strangers_are_counted_and_the_thread_ends_when_told() {
    let (handle, address, mut said) = worker();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..200 {
        stranger.send_to(&vec![0xff; length], address).unwrap();
    }
    // Counters are published by a thread that wakes for whatever comes: its own rhythm is a quarter of a second.
    let counted = async {
        while handle.stats().dropped_count("datagram", "garbage") < 190 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.expect("counted in time");
    assert!(handle.load() < 1.0);
    handle.stop();
    assert!(said.recv().await.is_none(), "nothing was said, and nobody is left to say anything");
}

/// A client's connection whose first frame is a check for this ufrag; and the client's end.
fn arrival(ufrag: &str) -> (Arrival, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, source) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let username = format!("{ufrag}:them");
    let mut check = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6];
    check.extend((username.len() as u16).to_be_bytes());
    check.extend(username.as_bytes());
    let mut first = (check.len() as u16).to_be_bytes().to_vec();
    first.extend(check);
    (Arrival { stream, source, first, ufrag: ufrag.to_owned(), counted: Box::new(()) }, client)
}

#[tokio::test]
async fn a_tcp_connection_goes_to_the_worker_that_knows_its_ufrag() {
    use std::io::{Read, Write};
    let (stranger, _, _silent) = worker();
    let (handle, _, mut said) = worker();
    let (session, may_pause) = (SessionId(1), false);
    handle.command(Command::Open(OpenSession {
        session,
        single_connection: false,
        ice_lite: true,
        fixed_sections: false,
        tcp_only: false,
        may_pause,
    }));
    let Event::Offer { sdp, .. } = next(&mut said).await else { panic!("an offer comes first") };
    assert!(sdp.contains("tcp") && sdp.contains("127.0.0.1 7880 typ host tcptype passive"), "{sdp}");
    let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap();

    let workers = [stranger, handle];
    let entrance = Entrance::to(&workers);
    assert_eq!(entrance.bring(arrival("nobody").0).await, Err(Unwanted::UnknownUfrag));
    let (known, mut client) = arrival(ufrag);
    assert_eq!(entrance.bring(known).await, Ok(()));
    // A frame beyond the bound ends the connection, which shows that this worker reads it.
    client.write_all(&[0xff, 0xff, 0]).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0, "closed, and nothing was said to who proved nothing");
    workers.into_iter().for_each(WorkerHandle::stop);
}
