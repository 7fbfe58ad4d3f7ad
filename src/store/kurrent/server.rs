//! Which server and which stream.

use std::{fmt, sync::Arc};

use eventstore::ClientSettings;

use super::connection::Connection;
use crate::store::StoreError;

/// Parameters of a URL that the client knows; others are refused, since one that is misspelt would be
/// ignored in silence.
const PARAMETERS: &[&str] = &[
    "connectionname",
    "defaultdeadline",
    "discoveryinterval",
    "gossiptimeout",
    "keepaliveinterval",
    "keepalivetimeout",
    "maxdiscoverattempts",
    "nodepreference",
    "tls",
    "tlscafile",
    "tlsverifycert",
    "usercertfile",
    "userkeyfile",
];

/// The stream where none is named.
const STREAM: &str = "postbook-log";

/// Ends the name of the stream that says how the log is kept.
const SETTINGS: &str = "-settings";

/// A KurrentDB server or cluster, and the stream of a log there. Its URL may hold a password and is not
/// shown.
#[derive(Clone)]
pub struct Server {
    settings: Arc<ClientSettings>,
    stream: Arc<str>,
    /// Hosts and stream, for people.
    name: String,
}

impl Server {
    /// The server of a URL, `kurrentdb://[USER:PASSWORD@]HOST[:PORT][,HOST…][?stream=NAME&…]`. Connections
    /// are encrypted unless the URL says `tls=false`.
    ///
    /// # Errors
    /// The URL cannot be understood.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut stream = STREAM.to_owned();
        let mut left = Vec::new();
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(parameter.as_bytes()).next() else {
                continue;
            };
            let known = name.to_lowercase();
            if known == "stream" {
                stream = value.into_owned();
            } else if PARAMETERS.contains(&known.as_str()) {
                left.push(parameter);
            } else {
                let what = format!("its URL has a parameter `{name}`, which is not known");
                return Err(StoreError::Url(what));
            }
        }
        require_fit(&stream)?;
        let (scheme, place) = address.split_once("://").unwrap_or(("", address));
        // The client wants its own schemes; its errors repeat the URL, and are not told.
        let settings = format!("{scheme}://{place}?{}", left.join("&")).parse::<ClientSettings>();
        let settings = settings.map_err(|_| {
            let what =
                "its URL is not of the form kurrentdb://[USER:PASSWORD@]HOST[:PORT][?tls=false]";
            StoreError::Url(what.to_owned())
        })?;
        let hosts = place.rsplit_once('@').map_or(place, |(_, hosts)| hosts);
        Ok(Self {
            settings: Arc::new(settings),
            name: format!("{}/{stream}", hosts.trim_end_matches('/')),
            stream: stream.into(),
        })
    }

    /// A way to ask the server.
    pub(super) fn connection(&self) -> Connection {
        Connection::new(Arc::clone(&self.settings))
    }

    /// The stream of the facts.
    pub(super) fn stream(&self) -> String {
        self.stream.to_string()
    }

    /// The stream that says how the log is kept.
    pub(super) fn settings_stream(&self) -> String {
        format!("{}{SETTINGS}", self.stream)
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.settings.is_secure_mode_enabled()
    }
}

/// Refuses names that a server keeps for itself, or that cannot be told apart from ours.
fn require_fit(stream: &str) -> Result<(), StoreError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_fit = !stream.is_empty() && stream.len() <= 200 && stream.chars().all(is_plain);
    if is_fit && !stream.ends_with(SETTINGS) {
        return Ok(());
    }
    let what = format!(
        "a stream's name has letters, digits, `-`, `_` and `.`, and does not end with `{SETTINGS}`"
    );
    Err(StoreError::Url(what))
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Server {}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_hosts_and_a_stream() {
        let name = |url| Server::parse(url).unwrap().to_string();
        assert_eq!(
            name("kurrentdb://db.example:2113"),
            "db.example:2113/postbook-log"
        );
        let cluster = "esdb://me:hush@a:2113,b:2113,c:2113?stream=books-2026&tls=false";
        assert_eq!(name(cluster), "a:2113,b:2113,c:2113/books-2026");
        assert!(!Server::parse(cluster).unwrap().is_encrypted());
        assert!(Server::parse("esdb://db.example").unwrap().is_encrypted());
        assert!(Server::parse("kurrentdb+discover://db.example").is_ok());
    }

    #[test]
    fn neither_names_nor_errors_show_a_password() {
        let server = Server::parse("kurrentdb://me:hush@db.example:2113?tls=false").unwrap();
        assert!(!format!("{server:?}{server}").contains("hush"));
        for url in [
            "kurrentdb://me:hush@db.example:port",
            "kurrentdb://me:hush@db.example?tsl=false",
            "kurrentdb://me:hush@db.example/path",
            "kurrentdb://me:hush@db.example?stream=$all",
            "kurrentdb://me:hush@db.example?stream=a-settings",
        ] {
            let error = Server::parse(url).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
