//! `postbook serve`: takes clicks and postbacks in and answers questions, until told to stop.

use std::{future::Future, io, sync::Arc};

use axum::http::HeaderName;
use clap::Args;
use ipnet::IpNet;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own,
};
use crate::{
    http::server,
    service::{ServerOptions, Service},
};

/// Serves clicks, postbacks and /v1.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Whose forwarding headers are believed; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trusted_proxy: Vec<IpNet>,
    /// The header in which a trusted proxy says the visitor's country
    #[arg(long, value_name = "NAME")]
    country_header: Option<HeaderName>,
}

impl Serve {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        log_to_stderr();
        let service = own::open(global).await?;
        let options = ServerOptions {
            trusted_proxies: self.trusted_proxy,
            country_header: self.country_header,
        };
        let listener = match listen(&self.listen).await {
            Ok(listener) => listener,
            Err(error) => {
                service.shut_down().await;
                return Err(error);
            }
        };
        let address = listener.local_addr().map_err(CliError::failed)?;
        output::line(&format!("listening on http://{address}"))?;
        server::serve(listener, Arc::clone(&service), options, told_to_stop()?).await;
        service.shut_down().await;
        Ok(())
    }
}

/// Takes an address to listen on.
pub(super) async fn listen(address: &str) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).await.map_err(|error| {
        let exit = match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Exit::Unavailable,
            _ => Exit::Failed,
        };
        CliError::new(exit, format!("{address} cannot be listened on: {error}"))
    })
}

/// Resolves on SIGTERM or SIGINT.
pub(super) fn told_to_stop() -> Result<impl Future<Output = ()> + Send, CliError> {
    let mut terminated = signal(SignalKind::terminate()).map_err(CliError::failed)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(CliError::failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

/// Logs to standard error, as `RUST_LOG` says; warnings if it does not.
pub(super) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    // Set already only where tests run several verbs in one process: the first one's holds.
    drop(logging.try_init());
}

/// The whole service behind a listener, in the background: for the demo.
pub(super) fn serve_in_background(
    listener: TcpListener,
    service: &Arc<Service>,
    options: ServerOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(server::serve(listener, Arc::clone(service), options, stop))
}
