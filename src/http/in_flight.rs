//! Bounds the bytes of postbacks that are held between being read and being in the log.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    body::HttpBody,
    http::{Request, header},
};

use crate::intake::request::BODY_BYTES_MAX;

/// What a postback costs besides its own bytes: evidence, the fact, its place in the queue.
const OVERHEAD_BYTES: usize = 4 << 10;

/// How many bytes are held, and may be.
#[derive(Debug)]
pub(super) struct InFlight {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub(super) struct Held<'f> {
    of: &'f InFlight,
    bytes: usize,
}

impl InFlight {
    /// Room for so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// Holds a request before its body is read; `None` if there is no room.
    pub(super) fn hold<B: HttpBody>(&self, request: &Request<B>) -> Option<Held<'_>> {
        let bytes = weight(request);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { of: self, bytes };
        // One alone always fits, or a small bound would refuse it for ever.
        (before == 0 || before + bytes <= self.bytes_max).then_some(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Twice what it brings: the request is kept as it came until its fact, which has it too, is in
/// the log. A body of unknown length counts as the longest that is taken.
fn weight<B: HttpBody>(request: &Request<B>) -> usize {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let body = match declared {
        Some(length) => BODY_BYTES_MAX.min(length),
        None if request.body().is_end_stream() => 0,
        None => BODY_BYTES_MAX,
    };
    let query = request.uri().query().map_or(0, str::len);
    OVERHEAD_BYTES + 2 * (body + query)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(length: usize) -> Request<Body> {
        let request = Request::post("/postback").header(header::CONTENT_LENGTH, length);
        request.body(Body::from(vec![b'x'; length])).unwrap()
    }

    #[test]
    fn there_is_room_for_so_many_bytes_and_again_once_they_are_let_go() {
        let in_flight = InFlight::new(3 * (OVERHEAD_BYTES + 2_000));
        let mut held: Vec<_> = (0..3).map(|_| in_flight.hold(&request(1_000))).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(in_flight.hold(&request(1_000)).is_none());
        held.pop();
        assert!(in_flight.hold(&request(1_000)).is_some());
        drop(held);
        assert_eq!(in_flight.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_alone_always_fits() {
        let in_flight = InFlight::new(1);
        let held = in_flight.hold(&request(BODY_BYTES_MAX));
        assert!(held.is_some());
        assert!(in_flight.hold(&request(0)).is_none());
    }

    #[test]
    fn a_length_that_lies_counts_no_more_than_is_kept() {
        let request = |length: &str| {
            let request = Request::post("/").header(header::CONTENT_LENGTH, length);
            request.body(Body::empty()).unwrap()
        };
        assert_eq!(
            weight(&request("99999999999")),
            OVERHEAD_BYTES + 2 * BODY_BYTES_MAX
        );
        assert_eq!(weight(&request("-1")), OVERHEAD_BYTES);
    }
}
