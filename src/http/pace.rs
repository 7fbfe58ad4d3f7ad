//! Watches whether a client keeps up: over the head of a request, between requests, over an answer.
//!
//! Time is counted in ticks of the connection's own task, so that no request reads a clock or sets
//! a timer: what a request costs here is a few stores to memory that nobody else looks at.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{meters::Cut, service::NetworkLimits};

/// How many ticks the shortest time is divided into, and how long a tick may be.
const TICKS: u32 = 8;
const TICK_MAX: Duration = Duration::from_secs(1);
const TICK_MIN: Duration = Duration::from_millis(1);

/// The client sends the head of a request.
const HEAD: u8 = 0;
/// A request is at work.
const BUSY: u8 = 1;
/// An answer was given, and nothing has come since.
const IDLE: u8 = 2;

/// Times in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    /// How long one is.
    pub(super) every: Duration,
    head: u32,
    idle: u32,
}

impl Ticks {
    pub(super) fn new(limits: &NetworkLimits) -> Self {
        let shortest = limits.head_time.min(limits.idle_time);
        let every = (shortest / TICKS).clamp(TICK_MIN, TICK_MAX);
        let ticks = |time: Duration| {
            let count = time.as_nanos().div_ceil(every.as_nanos());
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        Self {
            every,
            head: ticks(limits.head_time),
            idle: ticks(limits.idle_time),
        }
    }
}

/// What a client is at, and since which tick.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: AtomicU8,
    since: AtomicU32,
    /// Since when an answer cannot be written; zero if it can.
    blocked_since: AtomicU32,
    now: AtomicU32,
}

impl Pace {
    /// A request has its whole head.
    pub(super) fn busy(&self) {
        self.state.store(BUSY, Relaxed);
    }

    /// A request is answered.
    pub(super) fn idle(&self) {
        self.since.store(self.now.load(Relaxed), Relaxed);
        self.state.store(IDLE, Relaxed);
    }

    /// Counts a tick; says if the client has taken too long.
    pub(super) fn tick(&self, ticks: &Ticks) -> Option<Cut> {
        let now = self.now.load(Relaxed).saturating_add(1);
        self.now.store(now, Relaxed);
        let blocked_since = self.blocked_since.load(Relaxed);
        if blocked_since != 0 && now - blocked_since >= ticks.head {
            return Some(Cut::Reading);
        }
        let taken = now - self.since.load(Relaxed);
        match self.state.load(Relaxed) {
            HEAD => (taken >= ticks.head).then_some(Cut::Head),
            IDLE => (taken >= ticks.idle).then_some(Cut::Idle),
            _ => None,
        }
    }

    fn has_read(&self) {
        if self.state.load(Relaxed) == IDLE {
            self.since.store(self.now.load(Relaxed), Relaxed);
            self.state.store(HEAD, Relaxed);
        }
    }

    fn has_written<T>(&self, written: &Poll<T>) {
        match written {
            Poll::Ready(_) => self.blocked_since.store(0, Relaxed),
            Poll::Pending if self.blocked_since.load(Relaxed) == 0 => {
                let now = self.now.load(Relaxed).max(1);
                self.blocked_since.store(now, Relaxed);
            }
            Poll::Pending => {}
        }
    }
}

/// A stream whose pace is watched, and which gives itself back when whoever has it lets go.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: Option<S>,
    pace: Arc<Pace>,
    back: Back<S>,
}

/// Where a stream is put back.
pub(super) type Back<S> = Arc<Mutex<Option<S>>>;

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> (Self, Back<S>) {
        let back = Back::default();
        let paced = Self {
            stream: Some(stream),
            pace,
            back: Arc::clone(&back),
        };
        (paced, back)
    }
}

impl<S: Unpin> Paced<S> {
    fn stream(&mut self) -> Pin<&mut S> {
        let stream = self.stream.as_mut();
        Pin::new(stream.expect("it is there until this is dropped"))
    }
}

impl<S> Drop for Paced<S> {
    fn drop(&mut self) {
        *self.back.lock().expect("no thread panics in it") = self.stream.take();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream().poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.has_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write(context, bytes);
        self.pace.has_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream().poll_flush(context);
        self.pace.has_written(&flushed);
        flushed
    }

    /// Left to whoever gets the stream back, who may have something to say yet.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream().poll_write_vectored(context, slices);
        self.pace.has_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks() -> Ticks {
        Ticks::new(&NetworkLimits {
            head_time: Duration::from_secs(8),
            idle_time: Duration::from_secs(16),
            ..NetworkLimits::default()
        })
    }

    /// After how many ticks the client is cut off, and why.
    fn cut_after(pace: &Pace) -> Option<(u32, Cut)> {
        (1..100).find_map(|tick| Some((tick, pace.tick(&ticks())?)))
    }

    #[test]
    fn a_client_has_its_time_over_each_thing() {
        assert_eq!(ticks().every, Duration::from_secs(1));
        let pace = Pace::default();
        assert_eq!(cut_after(&pace), Some((8, Cut::Head)));
        pace.busy();
        assert_eq!(cut_after(&pace), None);
        pace.idle();
        assert_eq!(cut_after(&pace), Some((16, Cut::Idle)));
        pace.idle();
        assert_eq!(pace.tick(&ticks()), None);
        pace.has_read();
        pace.has_read();
        assert_eq!(cut_after(&pace), Some((8, Cut::Head)));
    }

    #[test]
    fn a_client_that_reads_no_answer_is_cut_off_unless_it_goes_on() {
        let pace = Pace::default();
        pace.busy();
        pace.has_written(&Poll::<()>::Pending);
        for _ in 0..7 {
            assert_eq!(pace.tick(&ticks()), None);
        }
        pace.has_written(&Poll::Ready(()));
        pace.has_written(&Poll::<()>::Pending);
        assert_eq!(cut_after(&pace), Some((8, Cut::Reading)));
    }
}
