//! A connection that sends prebuilt HTTP/1.1 requests and reads just enough of the answers.

use std::{io, net::SocketAddr, ops::Range};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One keep-alive connection, one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, in the connection's buffer until the next request.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The head as sent.
    pub(crate) head: &'a [u8],
    /// The body.
    pub(crate) body: &'a [u8],
}

impl Answer<'_> {
    /// The value of a header by its name in lower case (which is how hyper writes it).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let range = header(self.head, name.as_bytes())?;
        std::str::from_utf8(&self.head[range]).ok()
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn init(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (head_end, body_bytes) = loop {
            self.fill().await?;
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = &self.buffer[..at];
                break (at + 4, body_bytes(head)?);
            }
        };
        while self.buffer.len() < head_end + body_bytes {
            self.fill().await?;
        }
        let (head, body) = self.buffer.split_at(head_end);
        let status = head
            .get(9..12)
            .and_then(number)
            .and_then(|status| u16::try_from(status).ok())
            .ok_or_else(|| broken("no status line"))?;
        Ok(Answer { status, head, body })
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// How long the body is. Servers under test always say so; only answers that never have a body leave
/// it out.
fn body_bytes(head: &[u8]) -> io::Result<usize> {
    match header(head, b"content-length") {
        Some(range) => number(&head[range]).ok_or_else(|| broken("content-length is no number")),
        None if memmem::find(head, b"transfer-encoding").is_some() => {
            Err(broken("chunked answers are not read"))
        }
        None => Ok(0),
    }
}

fn header(head: &[u8], name: &[u8]) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(at) = memmem::find(&head[from..], b"\r\n") {
        let start = from + at + 2;
        let rest = &head[start..];
        if rest.len() > name.len()
            && rest[..name.len()].eq_ignore_ascii_case(name)
            && rest[name.len()] == b':'
        {
            let value = start + name.len() + 1;
            let length = memmem::find(&head[value..], b"\r\n").unwrap_or(head.len() - value);
            let spaces = head[value..value + length]
                .iter()
                .take_while(|&&b| b == b' ')
                .count();
            return Some(value + spaces..value + length);
        }
        from = start;
    }
    None
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A prebuilt `POST` of JSON with these header lines.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A prebuilt `GET` with these header lines.
pub(crate) fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}
