//! One connection from its first byte to its last: let in, perhaps by TLS, served, cut off if slow.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::{self, MissedTickBehavior},
};

use super::{
    Connected,
    door::Door,
    gate::Gate,
    pace::{Pace, Paced, Ticks},
};
use crate::{
    intake::answer::{self, ProblemBody},
    service::{ServerOptions, Service},
    tls::{self, Tls},
};

/// Most bytes of a path and headers. A path alone can be as long as what is looked at of a query.
const HEAD_BYTES_MAX: usize = 96 << 10;

/// How long, and with how many clients at a time, one waits until they have read why they are sent
/// away. A connection that is closed at once may take the answer with it.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELLS_MAX: usize = 64;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Connections {
    door: Door,
    service: Arc<Service>,
    tls: Option<Arc<Tls>>,
    head_time: Duration,
    ticks: Ticks,
    gate: Arc<Gate>,
    farewells: Arc<Semaphore>,
}

impl Connections {
    pub(super) fn new(door: Door, service: Arc<Service>, options: &ServerOptions) -> Arc<Self> {
        Arc::new(Self {
            door,
            service,
            tls: options.tls.clone(),
            head_time: options.network.head_time,
            ticks: Ticks::new(&options.network),
            gate: Arc::new(Gate::new(options)),
            farewells: Arc::new(Semaphore::new(FAREWELLS_MAX)),
        })
    }

    /// Serves a connection in a task of its own, or sends it away.
    pub(super) fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        let Some(place) = self.gate.enter(peer.ip()) else {
            self.service.meters.network.refused();
            // A client of TLS would not understand; it sees the connection closed.
            if self.tls.is_none() {
                self.send_away(stream, &FULL);
            }
            return;
        };
        // An answer is one small write: waiting to fill a packet would only delay it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        let own = Arc::clone(self);
        own.service.meters.network.connected();
        tokio::spawn(async move {
            match own.tls.clone() {
                None => own.serve(stream, peer, false, watcher).await,
                Some(tls) => own.serve_tls(&tls, stream, peer, watcher).await,
            }
            own.service.meters.network.disconnected();
            drop(place);
        });
    }

    async fn serve_tls(
        self: &Arc<Self>,
        tls: &Tls,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
    ) {
        let handshake = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if first[0] != tls::HANDSHAKE {
                self.send_away(stream, &NO_TLS);
                return Err(io::Error::other("it does not speak TLS"));
            }
            tls.acceptor().accept(stream).await
        };
        match time::timeout(self.head_time, handshake).await {
            Ok(Ok(stream)) => self.serve(stream, peer, true, watcher).await,
            Ok(Err(error)) => {
                self.service.meters.network.handshake_failed();
                tracing::debug!(%error, "a connection did not become TLS");
            }
            Err(_) => self.service.meters.network.handshake_failed(),
        }
    }

    async fn serve<S>(&self, stream: S, peer: SocketAddr, by_tls: bool, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let pace = Arc::new(Pace::default());
        let connected = Connected {
            address: peer,
            by_tls,
        };
        let answer = hyper::service::service_fn(|request: Request<Incoming>| {
            pace.busy();
            let (door, pace) = (&self.door, &pace);
            async move {
                let answer = door.answer(request, connected).await;
                pace.idle();
                Ok::<_, Infallible>(answer)
            }
        });
        let (paced, back) = Paced::new(stream, Arc::clone(&pace));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            // The pace is watched below, without a timer for each request.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES_MAX)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(paced), answer);
        let mut serving = Box::pin(watcher.watch(serving));
        let mut ticks =
            time::interval_at(time::Instant::now() + self.ticks.every, self.ticks.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                ended = &mut serving => {
                    drop(serving);
                    let stream = back.lock().expect("no thread panics in it").take();
                    if let Some(stream) = stream {
                        self.part(stream, ended).await;
                    }
                    return;
                }
                _ = ticks.tick() => {
                    if let Some(cut) = pace.tick(&self.ticks) {
                        self.service.meters.network.cut(cut);
                        return;
                    }
                }
            }
        }
    }

    /// The end of a connection. What could not be read as a request is answered here: the library
    /// gathers answers until everything that came is read, which then never happens.
    async fn part<S>(&self, mut stream: S, ended: Result<(), hyper::Error>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Err(error) = ended else {
            // By TLS, this is how an end is told from a cut.
            drop(time::timeout(FAREWELL, stream.shutdown()).await);
            return;
        };
        tracing::debug!(%error, "a connection ended early");
        if error.is_parse_too_large() {
            self.service.meters.network.head_too_large();
            let is_path = error.to_string() == "URI too long";
            self.send_away(stream, if is_path { &LONG_PATH } else { &LARGE_HEAD });
        } else if error.is_parse() {
            self.send_away(stream, &NO_HTTP);
        }
    }

    /// Says why and closes, waiting a moment until it was read; for a crowd, only closes.
    fn send_away<S>(&self, mut stream: S, answer: &'static [u8])
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.farewells).try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let farewell = async {
                stream.write_all(answer).await?;
                stream.shutdown().await?;
                let mut ignored = [0; 1024];
                while stream.read(&mut ignored).await? > 0 {}
                Ok::<_, io::Error>(())
            };
            // However it ends, it has ended.
            drop(time::timeout(FAREWELL, farewell).await);
            drop(permit);
        });
    }
}

static FULL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "too many connections are open";
    let body = ProblemBody::new(503, "unavailable", "Try again", detail);
    whole("503 Service Unavailable", "retry-after: 1\r\n", &body)
});

static NO_TLS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "this port speaks HTTPS";
    let body = ProblemBody::new(400, "https_required", "HTTPS required", detail);
    whole("400 Bad Request", "", &body)
});

static LONG_PATH: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "at most 65534 bytes of path and query are read";
    let body = ProblemBody::new(414, "uri_too_long", "URI too long", detail);
    whole("414 URI Too Long", "", &body)
});

static LARGE_HEAD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "at most 98304 bytes and 100 headers are read";
    let body = ProblemBody::new(431, "headers_too_large", "Headers too large", detail);
    whole("431 Request Header Fields Too Large", "", &body)
});

static NO_HTTP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "this is no HTTP/1.1 request";
    let body = ProblemBody::new(400, "bad_request", "Bad request", detail);
    whole("400 Bad Request", "", &body)
});

/// A whole answer for a connection on which no request is read.
fn whole(status: &str, headers: &str, body: &ProblemBody<'_>) -> Vec<u8> {
    let body = answer::json(body);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{headers}\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}
