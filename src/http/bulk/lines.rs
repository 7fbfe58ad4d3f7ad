//! Reads a body of NDJSON line by line, without ever holding more of it than a group.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;

use crate::intake::bulk::{GROUP_LINES, LINE_BYTES_MAX, Line};

/// Most lines of one request.
pub(super) const LINES_MAX: u64 = 100_000;

/// Most bytes of one request.
pub(super) const BODY_BYTES_MAX: u64 = 64 << 20;

/// How many bytes of lines make a group, however few they are.
const GROUP_BYTES: usize = 2 << 20;

/// How long a sender may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The lines of a body.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    /// What was read and is no line yet.
    rest: Vec<u8>,
    /// What was read of the body and not looked at yet.
    frame: Bytes,
    /// Whether the beginning of the line was dropped, since it is too long.
    is_too_long: bool,
    number: u64,
    bytes: u64,
    end: Option<End>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its last line.
    Whole,
    /// Before that, for this reason.
    Early(&'static str),
}

impl Lines {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            rest: Vec::new(),
            frame: Bytes::new(),
            is_too_long: false,
            number: 0,
            bytes: 0,
            end: None,
        }
    }

    /// How the body ended, once there are no more groups.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// The number of the first line that was not read.
    pub(super) fn next_number(&self) -> u64 {
        self.number + 1
    }

    /// The next lines; none at the end of the body.
    pub(super) async fn group(&mut self) -> Vec<Line> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < GROUP_LINES && bytes < GROUP_BYTES {
            let Some(line) = self.next().await else {
                break;
            };
            bytes += line.text.as_ref().map_or(0, String::len);
            group.push(line);
        }
        group
    }

    /// The next line that is not empty.
    async fn next(&mut self) -> Option<Line> {
        loop {
            if self.end.is_some() {
                return None;
            }
            if self.frame.is_empty() && !self.read_frame().await {
                // The last line may do without its line feed.
                let is_whole = self.end == Some(End::Whole);
                return if is_whole { self.finish_line() } else { None };
            }
            let found = memchr::memchr(b'\n', &self.frame);
            let part = self.frame.split_to(found.unwrap_or(self.frame.len()));
            if self.rest.len() + part.len() > LINE_BYTES_MAX {
                self.is_too_long = true;
                self.rest.clear();
            } else if !self.is_too_long {
                self.rest.extend_from_slice(&part);
            }
            if found.is_some() {
                drop(self.frame.split_to(1));
                if let Some(line) = self.finish_line() {
                    return Some(line);
                }
            }
        }
    }

    /// The line that has come to its end; `None` if it is empty, or one too many.
    fn finish_line(&mut self) -> Option<Line> {
        let mut bytes = std::mem::take(&mut self.rest);
        while bytes.last().is_some_and(u8::is_ascii_whitespace) {
            bytes.pop();
        }
        if self.number >= LINES_MAX && (!bytes.is_empty() || self.is_too_long) {
            self.end = Some(End::Early("a request takes at most 100000 lines"));
            return None;
        }
        self.number += 1;
        if std::mem::take(&mut self.is_too_long) {
            return Some(Line::too_long(self.number));
        }
        (!bytes.is_empty()).then(|| Line::new(self.number, bytes))
    }

    /// Reads on; false at the end.
    async fn read_frame(&mut self) -> bool {
        loop {
            let frame = match tokio::time::timeout(SILENCE_MAX, self.body.frame()).await {
                Ok(None) => return self.ends(End::Whole),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return self.ends(End::Early("the body broke off")),
                Err(_) => return self.ends(End::Early("the body did not arrive in time")),
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.bytes += data.len() as u64;
            if self.bytes > BODY_BYTES_MAX {
                return self.ends(End::Early("a request takes at most 64 MiB"));
            }
            if !data.is_empty() {
                self.frame = data;
                return true;
            }
        }
    }

    fn ends(&mut self, end: End) -> bool {
        self.end = Some(end);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str) -> (Vec<(u64, bool)>, Option<End>) {
        let mut lines = Lines::new(Body::from(text.to_owned()));
        let mut read = Vec::new();
        loop {
            let group = lines.group().await;
            if group.is_empty() {
                return (read, lines.end());
            }
            read.extend(
                group
                    .into_iter()
                    .map(|line| (line.number, line.text.is_ok())),
            );
        }
    }

    #[tokio::test]
    async fn lines_are_numbered_as_an_editor_does() {
        let (read, end) = read("{}\r\n\n{}\n  \n{}").await;
        assert_eq!(read, [(1, true), (3, true), (5, true)]);
        assert_eq!(end, Some(End::Whole));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_costs_only_itself() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let (read, _) = read(&format!("{{}}\n{long}\n{{}}\n{long}")).await;
        assert_eq!(read, [(1, true), (2, false), (3, true), (4, false)]);
    }

    #[tokio::test]
    async fn more_lines_than_a_request_takes_are_not_read() {
        let (read, end) = read(&"{}\n".repeat(100_001)).await;
        assert_eq!(read.len(), 100_000);
        assert!(matches!(end, Some(End::Early(_))), "{end:?}");
    }
}
