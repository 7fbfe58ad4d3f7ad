//! A postback request as it came in, before anything is known about it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use bytes::Bytes;

use postbook_schemas::FileRow;

use super::{fields::Fault, mapping::Rules, signature::parse::Sent};
use crate::secrets::Caller;

/// Most bytes of a body, and of a query, that are looked at.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The two endpoints that take postbacks; each has its way to authenticate and to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/postback`: a bearer token.
    Postback,
    /// `/api/postback/{brand}/{offer}`: the offer's secret. Holds `brand/offer` as in the path.
    Offer(String),
}

/// How a postback was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Everything is in the query.
    Get,
    /// A body, and perhaps a query.
    Post,
}

impl Method {
    /// The word of the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A text that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(hidden)")
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The sender's address: of the connection, or as a trusted proxy says.
    pub address: IpAddr,
    /// Whether the sender used HTTPS: our own, or as a trusted proxy says.
    pub https: bool,
    /// Whether the connection comes from a trusted proxy.
    pub by_proxy: bool,
}

/// A postback request as it came in.
#[derive(Clone)]
pub struct Request {
    /// Where it came in.
    pub endpoint: Endpoint,
    /// How.
    pub method: Method,
    /// The path as sent.
    pub path: String,
    /// The query as sent.
    pub query: Option<String>,
    /// The content type as sent.
    pub content_type: Option<String>,
    /// The credentials of `Authorization: Bearer`; empty for another scheme.
    pub bearer: Option<Sealed>,
    /// `X-Postback-Secret`.
    pub secret: Option<Sealed>,
    /// The signatures that came along in headers; most requests have none.
    pub signature: Option<Box<Sent>>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The body, or its beginning if it is over [`BODY_BYTES_MAX`].
    pub body: Bytes,
    /// How long the body was, as far as it is known.
    pub body_bytes: u64,
    /// What went wrong while the body was read, if anything did.
    pub body_fault: Option<Fault>,
    /// Who sent it.
    pub peer: Peer,
    /// Of a row of a file: what lets it in, in the place of what a sender shows.
    pub imported: Option<Arc<Imported>>,
}

/// A row of a file that somebody imports who was let in already.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Who imports it; absent where it is read again.
    pub caller: Option<Arc<Caller>>,
    /// The file and the row.
    pub row: FileRow,
    /// The mapping of the file, in the place of the offer's.
    pub rules: Option<Arc<Rules>>,
}

impl Imported {
    /// How its fact names where it came in.
    pub fn source(&self) -> String {
        let FileRow { file, sha256, row } = &self.row;
        format!("{} row {row}", file_source(file, sha256))
    }

    /// What makes it unique if nothing else does.
    pub fn row_key(&self) -> String {
        format!("import:{}:{}", self.row.sha256, self.row.row)
    }
}

/// How facts name a file as their source.
pub(super) fn file_source(name: &str, sha256: &str) -> String {
    let beginning = sha256.get(..16).unwrap_or_default();
    format!("import {name} sha256:{beginning}")
}

impl Request {
    /// A request with nothing in it, from this machine.
    pub fn bare(endpoint: Endpoint, method: Method, path: String) -> Self {
        Self {
            endpoint,
            method,
            path,
            query: None,
            content_type: None,
            bearer: None,
            secret: None,
            signature: None,
            idempotency_key: None,
            body: Bytes::new(),
            body_bytes: 0,
            body_fault: None,
            peer: Peer {
                address: Ipv4Addr::LOCALHOST.into(),
                https: true,
                by_proxy: false,
            },
            imported: None,
        }
    }

    /// The mapping that it brings along, as rows of a file may.
    pub fn own_rules(&self) -> Option<&Arc<Rules>> {
        self.imported.as_ref()?.rules.as_ref()
    }

    /// Whether it is larger than what is looked at.
    pub fn is_too_large(&self) -> bool {
        self.body_bytes > BODY_BYTES_MAX as u64
            || self.body.len() > BODY_BYTES_MAX
            || self
                .query
                .as_ref()
                .is_some_and(|q| q.len() > BODY_BYTES_MAX)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Query and body may hold secrets.
        f.debug_struct("Request")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("body_bytes", &self.body_bytes)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// What of an address tells no single person apart.
fn truncated(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).into(),
    }
}

/// An address as it is kept: without the last octet (IPv4) or the last 80 bits (IPv6).
pub fn kept_address(address: IpAddr) -> String {
    match truncated(address) {
        // Most are of this kind, and formatting machinery takes twenty times as long for it.
        IpAddr::V4(v4) => {
            let mut text = String::with_capacity("255.255.255.0".len());
            for (octet, end) in v4.octets().into_iter().zip([".", ".", ".", ""]) {
                for (place, is_needed) in [(100, octet > 99), (10, octet > 9), (1, true)] {
                    if is_needed {
                        text.push(char::from(b'0' + octet / place % 10));
                    }
                }
                text.push_str(end);
            }
            text
        }
        v6 @ IpAddr::V6(_) => v6.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_without_what_names_one_person() {
        for (whole, kept) in [
            ("203.0.113.77", "203.0.113.0"),
            ("10.9.99.100", "10.9.99.0"),
            ("::ffff:203.0.113.77", "203.0.113.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ] {
            assert_eq!(kept_address(whole.parse().unwrap()), kept);
        }
    }
}
