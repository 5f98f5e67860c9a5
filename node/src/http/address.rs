//! Whose request it is: the peer's address, or what a trusted proxy says about it.
//!
//! A client can write anything into `X-Forwarded-For`; only what the operator's own proxies appended counts.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::Surface;
use crate::config::Cidr;

/// Proxies in a row that are looked through. Longer chains are nobody's deployment.
const HOPS_MAX: usize = 16;

/// The address of the client that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// Where the request comes from.
    pub client: IpAddr,
    /// No proxy stands between.
    pub direct: bool,
}

impl FromRequestParts<Arc<Surface>> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, surface: &Arc<Surface>) -> Result<Self, Infallible> {
        let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>().expect("serve() sets it");
        Ok(client_address(peer.ip(), &parts.headers, &surface.app.config.trusted_proxies))
    }
}

/// The rightmost hop that is no trusted proxy. What a hop left of an unreadable one says is not believed.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> ClientAddress {
    let is_trusted = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
    let headers = headers.get_all("x-forwarded-for").iter();
    let forwarded = headers.rev().flat_map(|header| header.to_str().unwrap_or("").rsplit(','));
    let mut client = peer.to_canonical();
    let mut direct = true;
    for hop in forwarded.take(HOPS_MAX) {
        direct = false;
        if !is_trusted(client) {
            break;
        }
        let Some(address) = hop_address(hop.trim()) else { break };
        client = address;
    }
    ClientAddress { client, direct }
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

/// What one household or office holds: an IPv4 address, or the /64 that an IPv6 host picks its addresses from.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).client.to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_it_is() {
        assert_eq!(client("203.0.113.7", &["1.2.3.4"]), "203.0.113.7");
        assert_eq!(client("127.0.0.1", &["1.2.3.4"]), "127.0.0.1");
    }

    #[test]
    fn behind_trusted_proxies_the_rightmost_untrusted_hop_counts() {
        assert_eq!(client("10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"]), "1.2.3.4");
        assert_eq!(client("::ffff:10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.9.9.9"]), "1.2.3.4");
        assert_eq!(client("fd00::1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(client("10.0.0.1", &["1.2.3.4:4711"]), "1.2.3.4");
    }

    #[test]
    fn what_stands_left_of_an_unreadable_hop_is_not_believed() {
        assert_eq!(client("10.0.0.1", &["1.2.3.4, unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_request_with_forwarded_hops_is_never_direct() {
        let mut headers = HeaderMap::new();
        assert!(client_address([127, 0, 0, 1].into(), &headers, &[]).direct);
        headers.append("x-forwarded-for", "127.0.0.1".parse().unwrap());
        assert!(!client_address([127, 0, 0, 1].into(), &headers, &[]).direct);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "[ -~]{0,200}") {
            client("10.0.0.1", &[&value]);
        }
    }
}
