//! Who is at the other end of a request, as far as trusted proxies can say.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::forwarded;
use crate::{
    intake::request::Peer,
    service::{ForwardedHeader, ServerOptions},
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whoever cannot be told: an address that is on no list.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Connected {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection itself is TLS.
    pub by_tls: bool,
}

impl Connected {
    /// Without TLS.
    pub const fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            by_tls: false,
        }
    }
}

/// Who sent a request. What headers say counts only if the connection is from a trusted proxy.
pub(super) fn peer(connected: Connected, headers: &HeaderMap, options: &ServerOptions) -> Peer {
    let by_tls = connected.by_tls;
    let connected = connected.address.ip().to_canonical();
    let trusted = |address: &IpAddr| {
        options
            .trusted_proxies
            .iter()
            .any(|net| net.contains(address))
    };
    if options.trusted_proxies.is_empty() || !trusted(&connected) {
        return Peer {
            address: connected,
            https: options.tls.is_some() && by_tls,
            by_proxy: false,
        };
    }
    let (address, https) = match options.forwarded_header {
        ForwardedHeader::XForwardedFor => {
            let address = forwarded_for(headers, connected, trusted);
            (address, is_forwarded_https(headers))
        }
        ForwardedHeader::Forwarded => forwarded_by(headers, connected, trusted),
        ForwardedHeader::XRealIp => (real_ip(headers, connected), is_forwarded_https(headers)),
    };
    Peer {
        address,
        https,
        by_proxy: true,
    }
}

fn is_forwarded_https(headers: &HeaderMap) -> bool {
    let last_proto = last(headers, &FORWARDED_PROTO)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next());
    last_proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

fn last<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    headers.get_all(name).iter().next_back()
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
            // Some proxies add the port.
            let Some(address) = forwarded::node(part.trim()) else {
                return nearest;
            };
            nearest = address;
            if !trusted(&nearest) {
                return nearest;
            }
        }
    }
    nearest
}

/// As [`forwarded_for`]. The protocol is that of the hop which names the sender. A header that is
/// broken is believed in no part, and makes nobody the sender rather than the proxy itself, which
/// may be on a list.
fn forwarded_by(
    headers: &HeaderMap,
    connected: IpAddr,
    trusted: impl Fn(&IpAddr) -> bool,
) -> (IpAddr, bool) {
    let Ok(hops) = forwarded::hops(headers) else {
        return (NOBODY, false);
    };
    let mut nearest = (connected, false);
    for hop in hops.iter().rev() {
        let Some(address) = hop.address else {
            return (NOBODY, hop.https);
        };
        nearest = (address, hop.https);
        if !trusted(&address) {
            return nearest;
        }
    }
    nearest
}

/// The proxy writes one address over whatever the sender wrote.
fn real_ip(headers: &HeaderMap, connected: IpAddr) -> IpAddr {
    let Some(value) = last(headers, &REAL_IP) else {
        return connected;
    };
    let address = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    address.map_or(NOBODY, |address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn options(forwarded_header: ForwardedHeader) -> ServerOptions {
        ServerOptions {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            forwarded_header,
            ..ServerOptions::default()
        }
    }

    /// What is made of a request over this connection with these lines of a header, whose others
    /// all claim something else.
    fn seen(connected: &str, header: ForwardedHeader, lines: &[&'static str]) -> String {
        let connected = Connected::plain(format!("{connected}:1").parse().unwrap());
        let mut headers = HeaderMap::new();
        let own = match header {
            ForwardedHeader::XForwardedFor => FORWARDED_FOR,
            ForwardedHeader::Forwarded => header::FORWARDED,
            ForwardedHeader::XRealIp => REAL_IP,
        };
        for (name, claim) in [
            (FORWARDED_FOR, "7.7.7.7"),
            (header::FORWARDED, "for=7.7.7.7;proto=https"),
            (REAL_IP, "7.7.7.7"),
        ] {
            if name != own {
                headers.insert(name, HeaderValue::from_static(claim));
            }
        }
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http, https"));
        for line in lines {
            headers.append(&own, HeaderValue::from_static(line));
        }
        let peer = peer(connected, &headers, &options(header));
        format!("{} {}", peer.address, peer.https)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (connected, lines, expected) in [
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
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1 true"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1 true"),
            (
                "10.0.0.1",
                &["6.6.6.6, 198.51.100.1:5555, 10.0.0.2:443"],
                "198.51.100.1 true",
            ),
            ("10.0.0.1", &["[2001:db8::1]:5555"], "2001:db8::1 true"),
            ("10.0.0.1", &["198.51.100.1:port"], "10.0.0.1 true"),
            ("10.0.0.1", &["nonsense"], "10.0.0.1 true"),
            ("10.0.0.1", &[], "10.0.0.1 true"),
        ] {
            let seen = seen(connected, ForwardedHeader::XForwardedFor, lines);
            assert_eq!(seen, expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_believed_as_far_as_proxies_wrote_it() {
        for (connected, lines, expected) in [
            (
                "203.0.113.9",
                &["for=1.2.3.4;proto=https"][..],
                "203.0.113.9 false",
            ),
            (
                "10.0.0.1",
                &["for=198.51.100.1;proto=https"],
                "198.51.100.1 true",
            ),
            ("10.0.0.1", &["for=198.51.100.1"], "198.51.100.1 false"),
            (
                "10.0.0.1",
                &["for=6.6.6.6;proto=https, for=198.51.100.1;proto=http"],
                "198.51.100.1 false",
            ),
            (
                "10.0.0.1",
                &["for=198.51.100.1;proto=https, for=10.0.0.2;proto=http"],
                "198.51.100.1 true",
            ),
            ("10.0.0.1", &["for=10.0.0.3, for=unknown"], "0.0.0.0 false"),
            (
                "10.0.0.1",
                &["for=\"6.6.6.6, for=198.51.100.1"],
                "0.0.0.0 false",
            ),
            ("10.0.0.1", &[], "10.0.0.1 false"),
        ] {
            let seen = seen(connected, ForwardedHeader::Forwarded, lines);
            assert_eq!(seen, expected, "{lines:?}");
        }
    }

    #[test]
    fn x_real_ip_is_the_one_address_that_the_proxy_wrote() {
        for (connected, lines, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9 false"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1 true"),
            (
                "10.0.0.1",
                &["6.6.6.6", "198.51.100.1"],
                "198.51.100.1 true",
            ),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1"], "0.0.0.0 true"),
            ("10.0.0.1", &[], "10.0.0.1 true"),
        ] {
            let seen = seen(connected, ForwardedHeader::XRealIp, lines);
            assert_eq!(seen, expected, "{lines:?}");
        }
    }
}
