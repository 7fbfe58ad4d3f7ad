//! Bounds the bytes of postbacks that are held between being read and being in the log.
//!
//! Bytes count once they are here: a length that is only declared, or a body that trickles in,
//! takes no room from others.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Request;

/// What a postback costs besides its own bytes: evidence, the fact, its place in the queue.
const OVERHEAD_BYTES: usize = 4 << 10;

/// What its overhead covers of its body, so that most postbacks are counted in one go.
const COVERED_BYTES: usize = 2 << 10;

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
    covered: usize,
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
    pub(super) fn hold<B>(&self, request: &Request<B>) -> Option<Held<'_>> {
        let mut held = Held {
            of: self,
            bytes: 0,
            covered: COVERED_BYTES,
        };
        let query = request.uri().query().map_or(0, str::len);
        held.take(OVERHEAD_BYTES + 2 * query).then_some(held)
    }
}

impl Held<'_> {
    /// Holds more of the request; false if there is no room. Each byte counts twice: the request is
    /// kept as it came until its fact, which has it too, is in the log.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = 2 * bytes;
        let covered = more.min(self.covered);
        self.covered -= covered;
        more == covered || self.take(more - covered)
    }

    fn take(&mut self, bytes: usize) -> bool {
        let before = self.of.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        // One alone always fits, or a small bound would refuse it for ever.
        let others = before + bytes - self.bytes;
        let fits = others == 0 || before + bytes <= self.of.bytes_max;
        if !fits {
            self.of.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.bytes -= bytes;
        }
        fits
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<()> {
        Request::post("/postback").body(()).unwrap()
    }

    #[test]
    fn there_is_room_for_so_many_and_again_once_they_are_let_go() {
        let in_flight = InFlight::new(3 * OVERHEAD_BYTES);
        let mut held: Vec<_> = (0..3).map(|_| in_flight.hold(&request())).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(in_flight.hold(&request()).is_none());
        held.pop();
        assert!(in_flight.hold(&request()).is_some());
        drop(held);
        assert_eq!(in_flight.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_body_is_counted_as_it_arrives() {
        let in_flight = InFlight::new(20_000);
        let mut first = in_flight.hold(&request()).unwrap();
        let mut second = in_flight.hold(&request()).unwrap();
        // What most postbacks have costs nothing more.
        assert!(first.grow(500) && first.grow(500));
        assert_eq!(in_flight.bytes.load(Ordering::Relaxed), 2 * OVERHEAD_BYTES);
        assert!(first.grow(4_000));
        assert!(!second.grow(4_000));
        drop(first);
        assert!(second.grow(100));
        drop(second);
        assert_eq!(in_flight.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_alone_always_fits() {
        let in_flight = InFlight::new(1);
        let mut held = in_flight.hold(&request()).unwrap();
        assert!(held.grow(64_000));
        assert!(in_flight.hold(&request()).is_none());
    }
}
