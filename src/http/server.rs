//! Serves requests over TCP until it is told to stop.

use std::{future::Future, io, sync::Arc, time::Duration};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

use super::{connection::Connections, door::Door};
use crate::{
    commands::credential,
    service::{ServerOptions, Service},
};

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
    let door = Door::new(Arc::clone(&service), options.clone());
    let connections = Connections::new(door, Arc::clone(&service), &options);
    let graceful = GracefulShutdown::new();
    let folding = tokio::spawn(fold(Arc::clone(&service)));
    let programme = tokio::spawn(Arc::clone(&service).watch_programme());
    let watching = tokio::spawn(credential::watch(service));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => connections.take(stream, peer, graceful.watcher()),
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
    programme.abort();
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
