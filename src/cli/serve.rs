//! `postbook serve`: takes clicks and postbacks in and answers questions, until told to stop.

use std::{future::Future, io, path::PathBuf, sync::Arc, time::Duration};

use axum::http::HeaderName;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tracing_subscriber::EnvFilter;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, own, values,
};
use crate::{
    commands::{period, record::Author},
    http::server,
    intake::rate::Rate,
    service::{ForwardedHeader, NetworkLimits, ServerOptions, Service},
    tls::Tls,
};

/// Serves clicks, postbacks and /v1.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:8080")]
    listen: String,
    /// Serve HTTPS with this certificate (PEM, its chain after it); read again on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Whose forwarding headers are believed; may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trusted_proxy: Vec<IpNet>,
    /// The header in which a trusted proxy says whom it was called by
    #[arg(
        long,
        value_name = "NAME",
        value_enum,
        default_value = "x-forwarded-for"
    )]
    forwarded_header: HeaderChoice,
    /// The header in which a trusted proxy says the visitor's country
    #[arg(long, value_name = "NAME")]
    country_header: Option<HeaderName>,
    /// Requests a second from one address, and at once: clicks and postbacks; any number if absent
    #[arg(long, value_name = "N[/BURST]", value_parser = rate)]
    rate_limit_per_address: Option<Rate>,
    /// How long the head of a request may take, a TLS handshake, or an answer that is not read
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    head_timeout: Duration,
    /// How long the body of a postback may take
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "15s")]
    body_timeout: Duration,
    /// How long a connection may stay silent between requests
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "60s")]
    idle_timeout: Duration,
    /// How many connections there may be
    #[arg(long, value_name = "N", value_parser = count, default_value_t = 10_000)]
    max_connections: usize,
    /// How many connections from one address that is no trusted proxy
    #[arg(long, value_name = "N", value_parser = count, default_value_t = 2_000)]
    max_connections_per_address: usize,
    /// How much memory postbacks may hold until they are in the log, in MiB
    #[arg(long, value_name = "MIB", value_parser = count, default_value_t = 256)]
    max_in_flight_mib: usize,
}

/// How a proxy's header is named on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HeaderChoice {
    /// X-Forwarded-For and X-Forwarded-Proto
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
    /// X-Real-IP and X-Forwarded-Proto
    XRealIp,
}

impl From<HeaderChoice> for ForwardedHeader {
    fn from(choice: HeaderChoice) -> Self {
        match choice {
            HeaderChoice::XForwardedFor => Self::XForwardedFor,
            HeaderChoice::Forwarded => Self::Forwarded,
            HeaderChoice::XRealIp => Self::XRealIp,
        }
    }
}

impl Serve {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        log_to_stderr();
        let (listen_on, options) = (self.listen.clone(), self.options()?);
        let service = own::open(global).await?;
        let listener = match listen(&listen_on).await {
            Ok(listener) => listener,
            Err(error) => {
                service.shut_down().await;
                return Err(error);
            }
        };
        let address = listener.local_addr().map_err(CliError::failed)?;
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let reloading = options.tls.clone().map(reload_when_told).transpose()?;
        output::line(&format!("listening on {scheme}://{address}"))?;
        let completing = complete_statements(Arc::clone(&service));
        server::serve(listener, Arc::clone(&service), options, told_to_stop()?).await;
        completing.abort();
        if let Some(reloading) = reloading {
            reloading.abort();
        }
        service.shut_down().await;
        Ok(())
    }

    fn options(self) -> Result<ServerOptions, CliError> {
        let tls = self.tls_cert.zip(self.tls_key);
        let tls = tls.map(|(certificate, key)| Tls::load(&certificate, &key));
        Ok(ServerOptions {
            trusted_proxies: self.trusted_proxy,
            forwarded_header: self.forwarded_header.into(),
            country_header: self.country_header,
            tls: tls.transpose().map_err(CliError::failed)?.map(Arc::new),
            rate_limit_per_address: self.rate_limit_per_address,
            network: NetworkLimits {
                head_time: self.head_timeout,
                body_time: self.body_timeout,
                idle_time: self.idle_timeout,
                connections: self.max_connections,
                connections_per_address: self.max_connections_per_address,
                in_flight_bytes: self.max_in_flight_mib << 20,
            },
        })
    }
}

/// An address to listen on; whether there is such a host is found out when it is listened on.
pub(super) fn address(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    match port.parse::<u16>() {
        Ok(_) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("`{text}` is not ADDRESS:PORT, as 127.0.0.1:8080")),
    }
}

/// How many there may be: none at all would serve nobody.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("none would serve nobody".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

/// A span that something may take.
fn time(text: &str) -> Result<Duration, String> {
    let micros = u64::try_from(values::span(text)?.micros).unwrap_or(0);
    if micros == 0 {
        return Err(format!("`{text}` is no time at all"));
    }
    Ok(Duration::from_micros(micros))
}

/// `PER_SECOND` or `PER_SECOND/BURST`.
fn rate(text: &str) -> Result<Rate, String> {
    let number = |text: &str| match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err(format!("`{text}` is not a number from 1 to 1000000")),
    };
    let (per_second, burst) = text.split_once('/').unwrap_or((text, text));
    Ok(Rate::new(number(per_second)?, number(burst)?))
}

/// Reads the certificate and key again on each SIGHUP.
fn reload_when_told(tls: Arc<Tls>) -> Result<JoinHandle<()>, CliError> {
    let mut told = signal(SignalKind::hangup()).map_err(CliError::failed)?;
    Ok(tokio::spawn(async move {
        while told.recv().await.is_some() {
            match tls.reload() {
                Ok(()) => tracing::info!("the TLS certificate was read again"),
                Err(error) => {
                    tracing::error!(%error, "the TLS certificate stays as it was");
                }
            }
        }
    }))
}

/// Issues statements that are missing since the service ended while it closed a month.
fn complete_statements(service: Arc<Service>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let author = Author {
            actor: own::ACTOR.into(),
            endpoint: "postbook serve",
            idempotency_key: None,
        };
        let completed = async {
            own::caught_up(&service).await?;
            Ok::<_, CliError>(period::complete(&service, &author).await?)
        };
        match completed.await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(count, "statements were missing and have been issued"),
            Err(error) => {
                let error = error.message;
                tracing::error!(%error, "missing statements cannot be looked for");
            }
        }
    })
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
) -> JoinHandle<()> {
    tokio::spawn(server::serve(listener, Arc::clone(service), options, stop))
}
