//! Serves the router over TCP until it is told to stop.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::{PeerAddress, router};
use crate::{
    commands::credential,
    service::{ServerOptions, Service},
};

/// How long a client may take over the head of a request, and stay silent between requests.
const HEAD_TIME_MAX: Duration = Duration::from_mins(1);

/// How long requests under way may take after the word to stop.
const GRACE: Duration = Duration::from_secs(20);

/// How long to wait when no connection can be taken, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often timings are folded into buckets.
const FOLD_EVERY: Duration = Duration::from_secs(5);

/// Serves until `stop` resolves; then takes no more connections, lets requests under way finish,
/// and returns. The log is for the caller to shut down, after this.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    options: ServerOptions,
    stop: impl Future<Output = ()> + Send,
) {
    let router = router(Arc::clone(&service), options);
    let graceful = GracefulShutdown::new();
    let folding = tokio::spawn(fold(Arc::clone(&service)));
    let watching = tokio::spawn(credential::watch(service));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => connection(stream, peer, router.clone(), graceful.watcher()),
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were cut off that did not end in time");
    }
    folding.abort();
    watching.abort();
}

async fn pause_after(error: &io::Error) {
    // A client that hung up is no trouble of ours.
    let of_client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !of_client {
        tracing::error!(%error, "a connection could not be taken");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn fold(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(FOLD_EVERY);
    loop {
        ticks.tick().await;
        service.meters.fold();
    }
}

fn connection(stream: TcpStream, peer: SocketAddr, router: Router, watcher: Watcher) {
    // An answer is one small write: waiting to fill a packet would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let answer = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        let router = router.clone();
        async move {
            let answered = router.oneshot(request.map(Body::new)).await;
            answered.map_err(|never: Infallible| never)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::spawn(async move {
        if let Err(error) = watcher.watch(serving).await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}
