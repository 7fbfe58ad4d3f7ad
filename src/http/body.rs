//! Reads request bodies up to a limit, and within a time.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use axum::{
    body::{Bytes, HttpBody},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use tokio::time::{error::Elapsed, timeout};

use super::in_flight::Held;
use crate::intake::{fields::Fault, request::BODY_BYTES_MAX};

/// Bytes of a body that is too large which are read all the same and dropped, since many clients
/// read no answer before they have sent everything.
const DRAINED_BYTES_MAX: usize = 1 << 20;

/// Bytes that are handed on of a body that is too large: no field of it is read, and of this much a
/// part is kept. To look through all of it would cost more than the sender's effort.
const HANDED_ON_BYTES: usize = 8 << 10;

/// A body as far as it was read.
pub(super) struct Read {
    /// The whole, or the beginning if it is too large.
    pub(super) bytes: Bytes,
    /// The whole length, as far as it is known.
    pub(super) length: u64,
    /// Why it ended early.
    pub(super) fault: Option<Fault>,
}

/// Reads a body within a time: the whole of it, so that a byte now and then is no way to stay.
/// `None` if there is no room for it.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    time_max: Duration,
    held: &mut Held<'_>,
) -> Option<Read>
where
    B: HttpBody<Data = Bytes> + Send + Unpin,
{
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_none() && body.is_end_stream() {
        return Some(Read {
            bytes: Bytes::new(),
            length: 0,
            fault: None,
        });
    }
    let mut read = Gathered::default();
    let fault = match within(time_max, read.gather(body, held)).await {
        Ok(Ok(())) => None,
        Ok(Err(())) => Some(Fault::new("the body broke off")),
        Err(_) => Some(Fault::new("the body did not arrive in time")),
    };
    (!read.has_no_room).then(|| Read {
        length: declared.unwrap_or(0).max(read.length as u64),
        bytes: read.finish(),
        fault,
    })
}

/// As a timeout, but the timer is set only where a second look finds nothing either: most bodies come
/// along with their head, and the connection hands them over once it is asked.
async fn within<F: Future + Send>(time_max: Duration, work: F) -> Result<F::Output, Elapsed> {
    let mut work = pin!(work);
    let mut looked_before = false;
    let soon = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if looked_before => Poll::Ready(None),
        Poll::Pending => {
            looked_before = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match soon.await {
        Some(output) => Ok(output),
        None => timeout(time_max, work).await,
    }
}

/// Reads a body and keeps nothing of it, since many clients read no answer before they have sent
/// everything.
pub(super) async fn discard<B>(mut body: B, time_max: Duration)
where
    B: HttpBody<Data = Bytes> + Send + Unpin,
{
    let discarding = async {
        let mut length = 0;
        while let Some(Ok(frame)) = body.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
            if length > DRAINED_BYTES_MAX {
                return;
            }
        }
    };
    // However far it got: the answer says that nothing was taken.
    drop(timeout(time_max, discarding).await);
}

#[derive(Default)]
struct Gathered {
    first: Bytes,
    more: Vec<u8>,
    length: usize,
    has_no_room: bool,
}

impl Gathered {
    async fn gather<B>(&mut self, mut body: B, held: &mut Held<'_>) -> Result<(), ()>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin,
    {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(drop)?.into_data() else {
                continue;
            };
            if !self.has_no_room && self.length <= BODY_BYTES_MAX {
                self.has_no_room = !held.grow(data.len());
            }
            if self.has_no_room {
                self.first.clear();
                self.more = Vec::new();
            } else if self.length == 0 {
                // Most bodies come in one piece and are not copied.
                self.first = data.clone();
            } else if self.length <= BODY_BYTES_MAX {
                self.more.extend_from_slice(&data);
            }
            self.length += data.len();
            if self.length > DRAINED_BYTES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Bytes {
        if self.length > BODY_BYTES_MAX {
            self.first.truncate(HANDED_ON_BYTES);
            self.more.truncate(HANDED_ON_BYTES - self.first.len());
        }
        if self.more.is_empty() {
            return self.first;
        }
        let mut whole = self.first.to_vec();
        whole.extend(self.more);
        whole.into()
    }
}
