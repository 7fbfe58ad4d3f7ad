//! Who is at the other end of a request, as far as trusted proxies can say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{Extensions, HeaderMap, HeaderName};

use crate::{intake::request::Peer, service::ServerOptions};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address at the other end of the connection; the server puts it into every request.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// Who sent a request. What headers say counts only if the connection is from a trusted proxy.
pub(super) fn peer(extensions: &Extensions, headers: &HeaderMap, options: &ServerOptions) -> Peer {
    let connected = extensions
        .get::<PeerAddress>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
        .to_canonical();
    let trusted = |address: &IpAddr| {
        options
            .trusted_proxies
            .iter()
            .any(|net| net.contains(address))
    };
    if options.trusted_proxies.is_empty() || !trusted(&connected) {
        return Peer {
            address: connected,
            https: false,
            by_proxy: false,
        };
    }
    let last_proto = headers
        .get_all(FORWARDED_PROTO)
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next());
    Peer {
        address: forwarded_for(headers, connected, trusted),
        https: last_proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https")),
        by_proxy: true,
    }
}

/// Each proxy adds whom it was called by: from the right, the first that is no trusted proxy is
/// the sender. What stands left of it is only what the sender claims.
fn forwarded_for(
    headers: &HeaderMap,
    connected: IpAddr,
    trusted: impl Fn(&IpAddr) -> bool,
) -> IpAddr {
    let mut nearest = connected;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        for part in value.to_str().unwrap_or("").rsplit(',') {
            let Ok(address) = part.trim().parse::<IpAddr>() else {
                return nearest;
            };
            nearest = address.to_canonical();
            if !trusted(&nearest) {
                return nearest;
            }
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn seen(connected: &str, forwarded: &[&'static str]) -> String {
        let options = ServerOptions {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            country_header: None,
        };
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddress(format!("{connected}:1").parse().unwrap()));
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        let peer = peer(&extensions, &headers, &options);
        format!("{} {}", peer.address, peer.https)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (connected, forwarded, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9 false"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1 true"),
            (
                "10.0.0.1",
                &["6.6.6.6, 198.51.100.1, 10.0.0.2"],
                "198.51.100.1 true",
            ),
            (
                "10.0.0.1",
                &["6.6.6.6", "198.51.100.1"],
                "198.51.100.1 true",
            ),
            ("10.0.0.1", &["nonsense"], "10.0.0.1 true"),
            ("10.0.0.1", &[], "10.0.0.1 true"),
        ] {
            assert_eq!(seen(connected, forwarded), expected, "{forwarded:?}");
        }
    }
}
