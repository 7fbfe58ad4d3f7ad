//! What is counted of the network: connections, and requests that never become attempts.

use std::fmt;

use metrics::{Counter, Gauge, Key, Label, Recorder};
use metrics_exporter_prometheus::PrometheusRecorder;

use super::METADATA;

/// Why a connection was ended by this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The head of a request took too long.
    Head,
    /// No request came for too long.
    Idle,
    /// An answer was not read.
    Reading,
}

/// Counters of the network.
pub struct Network {
    connections: Gauge,
    refused: Counter,
    cut: [Counter; 3],
    heads_too_large: Counter,
    handshakes_failed: Counter,
    no_room: Counter,
    beyond_limits: Counter,
}

impl Network {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        let counter = |name: &'static str, help: &'static str| {
            recorder.describe_counter(name.into(), None, help.into());
            recorder.register_counter(&Key::from_static_name(name), &METADATA)
        };
        let name = "postbook_connections";
        recorder.describe_gauge(name.into(), None, "Open connections".into());
        Self {
            connections: recorder.register_gauge(&Key::from_static_name(name), &METADATA),
            refused: counter(
                "postbook_connections_refused_total",
                "Connections that were one too many, in all or from their address",
            ),
            cut: cut(recorder),
            heads_too_large: counter(
                "postbook_heads_too_large_total",
                "Requests whose path and headers were too large to be read: answered 414 or 431",
            ),
            handshakes_failed: counter(
                "postbook_tls_handshakes_failed_total",
                "Connections that did not become TLS",
            ),
            no_room: counter(
                "postbook_in_flight_refused_total",
                "Postbacks answered 503 since too many bytes were held already",
            ),
            beyond_limits: counter(
                "postbook_rate_limited_unkept_total",
                "Postbacks over their rate limit answered 503 since too many such were kept already",
            ),
        }
    }

    /// A connection is there.
    pub fn connected(&self) {
        self.connections.increment(1.0);
    }

    /// A connection is gone.
    pub fn disconnected(&self) {
        self.connections.decrement(1.0);
    }

    /// Counts a connection that was one too many.
    pub fn refused(&self) {
        self.refused.increment(1);
    }

    /// Counts a connection that was ended since its client was slow.
    pub fn cut(&self, why: Cut) {
        if let Some(counter) = self.cut.get(why as usize) {
            counter.increment(1);
        }
    }

    /// Counts a request whose head could not be held.
    pub fn head_too_large(&self) {
        self.heads_too_large.increment(1);
    }

    /// Counts a connection that did not become TLS.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.increment(1);
    }

    /// Counts a postback for which there was no room in memory.
    pub fn no_room(&self) {
        self.no_room.increment(1);
    }

    /// Counts a postback over its limit that was not kept.
    pub fn attempt_beyond_limits(&self) {
        self.beyond_limits.increment(1);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

fn cut(recorder: &PrometheusRecorder) -> [Counter; 3] {
    let name = "postbook_connections_cut_total";
    let help = "Connections that were ended since their client was slow";
    recorder.describe_counter(name.into(), None, help.into());
    ["head", "idle", "reading"].map(|why| {
        let labels = vec![Label::from_static_parts("slow", why)];
        recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
    })
}
