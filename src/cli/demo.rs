//! `postbook demo`: an example programme, a month of traffic through the real endpoints, and what
//! came of it.

mod clock;
mod keys;
mod month;
mod player;
mod report;
mod story;
mod traffic;

use std::{fs, path::Path, sync::Arc};

use clap::Args;
use postbook_schemas::instant::DAY_US;
use tokio::sync::oneshot;

use self::{
    clock::DemoClock,
    keys::Keys,
    player::{COUNTRY_HEADER, Played, Player},
    traffic::DAYS,
};
use super::{
    client::Client,
    exit::{CliError, Exit},
    global::Global,
    output, own, serve,
};
use crate::{
    clock::{Clock, SystemClock},
    commands::{
        programme::{
            ProgrammeFile,
            apply::{Applying, apply},
        },
        record::{Author, PATIENCE},
    },
    service::{ServerOptions, Service},
};

/// The programme that is played.
const PROGRAMME: &str = include_str!("../../examples/programme.toml");

/// The month is the same every time.
const SEED: u64 = 20_260_101;

/// Plays a month of example traffic on an empty data directory, and keeps serving.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = serve::address, default_value = "127.0.0.1:8080")]
    listen: String,
    /// End after printing instead of serving on
    #[arg(long)]
    once: bool,
}

impl Demo {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        serve::log_to_stderr();
        let is_played = is_played(&global.data)?;
        let listener = serve::listen(&self.listen).await?;
        let address = listener.local_addr().map_err(CliError::failed)?;
        let clock = Arc::new(DemoClock::default());
        if !is_played {
            clock.start_at(SystemClock.now().plus_micros(-i64::from(DAYS) * DAY_US));
        }
        let as_clock: Arc<dyn Clock> = Arc::<DemoClock>::clone(&clock);
        let service = own::open_at(global, as_clock).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let server = serve::serve_in_background(listener, &service, options()?, async {
            // Dropped or sent: either way it is time to stop.
            drop(stopped.await);
        });
        let client = Client::try_new(&format!("http://{address}"))?;
        let shown = show(&service, &clock, &client, global, is_played).await;
        if shown.is_ok() && !self.once {
            serve::told_to_stop()?.await;
        }
        drop(stop);
        server.await.map_err(CliError::failed)?;
        service.shut_down().await;
        shown
    }
}

/// Whether a demo was played here before. A directory that holds anything else is not touched.
fn is_played(data: &Path) -> Result<bool, CliError> {
    let is_empty = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(CliError::failed(format!("{}: {error}", data.display()))),
    };
    if is_empty || keys::are_there(data) {
        return Ok(!is_empty);
    }
    let message = format!(
        "{} is neither empty nor a demo: --data names another directory",
        data.display()
    );
    Err(CliError::new(Exit::Refused, message))
}

/// The demo's visitors come through a proxy on this machine.
fn options() -> Result<ServerOptions, CliError> {
    let this_machine = ["127.0.0.0/8", "::1/128"].map(str::parse);
    let trusted = this_machine.into_iter().collect::<Result<_, _>>();
    Ok(ServerOptions {
        trusted_proxies: trusted.map_err(CliError::failed)?,
        country_header: Some(COUNTRY_HEADER.parse().map_err(CliError::failed)?),
        ..ServerOptions::default()
    })
}

async fn show(
    service: &Arc<Service>,
    clock: &DemoClock,
    client: &Client,
    global: &Global,
    is_played: bool,
) -> Result<(), CliError> {
    if is_played {
        own::caught_up(service).await?;
        let keys = Keys::read(&global.data)?;
        return report::again(service, client, &keys, global).await;
    }
    let (keys, played) = play(service, clock, client).await?;
    own::caught_up(service).await?;
    keys.write(&global.data)?;
    report::first(service, client, &keys, &played, global).await?;
    if played.surprises.is_empty() {
        return Ok(());
    }
    let surprises = played.surprises.join("\n");
    Err(CliError::new(
        Exit::Unsound,
        format!("not as planned:\n{surprises}"),
    ))
}

/// Applies the programme, makes keys, and plays the month.
async fn play(
    service: &Arc<Service>,
    clock: &DemoClock,
    client: &Client,
) -> Result<(Keys, Played), CliError> {
    let start = clock.now();
    let applying = Applying {
        author: Author {
            actor: own::ACTOR.into(),
            endpoint: "postbook demo",
            idempotency_key: None,
        },
        reason: None,
        anyway: false,
        is_dry_run: false,
        patience: PATIENCE,
    };
    let file = ProgrammeFile::try_new("programme.toml", PROGRAMME).map_err(CliError::failed)?;
    apply(service, vec![file], applying).await?;
    let keys = Keys::make(service).await?;
    let steps = traffic::plan(SEED);
    let progress = output::progress("a month of traffic", steps.len() as u64);
    let player = Player {
        client,
        clock,
        keys: &keys,
        start,
    };
    let played = player.play(&steps, &progress).await?;
    clock.catch_up();
    Ok((keys, played))
}
