//! What an attack costs honest senders: their latency without and beside it, and the memory.
//!
//! `docs/benchmarks.md` says how it is measured and what came out.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod attack;
mod honest;
mod memory;
#[path = "../intake/traffic.rs"]
mod traffic;
#[path = "../support"]
mod support {
    pub(crate) mod command;
    pub(crate) mod http;
    pub(crate) mod load;
    pub(crate) mod programme;
    pub(crate) mod server;
}

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use attack::Attack;
use clap::Parser;
use honest::Honest;
use memory::{Watch, resident_kib};
use support::{
    command::{apply, scratch},
    load::{Measured, Plan, closed_loop, open_loop},
    programme::PROGRAMME,
    server::{Server, secret, token},
};
use traffic::{Clicks, Postbacks};

/// An offer that takes signed postbacks only, for forged ones.
const SIGNED: &str = r#"
[[offer]]
brand = "acme"
slug = "signed"
destination = "https://acme.example/landing"
require_signature = true
"#;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Seconds of each phase, besides one of warm-up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections of honest senders.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Connections of the attack.
    #[arg(long, default_value_t = 64)]
    hostile_connections: usize,
    /// Honest postbacks a second; 30 % of what the server takes if absent.
    #[arg(long)]
    rate: Option<f64>,
    /// Hostile requests a second; as many as are answered if absent.
    #[arg(long)]
    hostile_rate: Option<f64>,
    /// Clicks that honest postbacks refer to.
    #[arg(long, default_value_t = 100_000)]
    clicks: usize,
    /// Smallest sizes: that it runs, not what it measures.
    #[arg(long)]
    quick: bool,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.seconds = 1;
        options.clicks = 2_000;
    }
    Bench::init(options)?.run()
}

/// The server, and what it is sent.
struct Bench {
    options: Options,
    server: Server,
    honest: Honest,
    token: String,
    signed_secret: String,
    data: tempfile::TempDir,
}

impl Bench {
    fn init(options: Options) -> anyhow::Result<Self> {
        let data = scratch("postbook-bench-hostile-")?;
        let directory = data.path().join("data");
        apply(&directory, &format!("{PROGRAMME}{SIGNED}"))?;
        let token = token(&directory, "bench")?;
        let signed_secret = secret(&directory, "acme/signed")?;
        let server = Server::postbook(&directory)?;
        Ok(Self {
            options,
            server,
            honest: Honest::new(Postbacks::new(&token, None)),
            token,
            signed_secret,
            data,
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let mut postbacks = Postbacks::new(&self.token, None);
        postbacks.click_ids = self.record_clicks()?;
        self.honest = Honest::new(postbacks);
        let rate = match self.options.rate {
            Some(rate) => rate,
            None => self.capacity()? * 0.3,
        };
        println!("honest postbacks: {rate:.0}/s, open loop, from when each was due");
        let process = self.server.child.id();

        let before = resident_kib(process)?;
        let (alone, honest) = open_loop(self.plan(), rate, self.honest.clone())?;
        self.honest = honest;
        let alone = report("alone", &alone)?;

        let between = resident_kib(process)?;
        let watch = Watch::start(&self.server);
        let (beside, attack, attacked) = self.beside_attack(rate)?;
        let beside = report("beside the attack", &beside)?;
        let peak = watch.peak_kib();
        println!(
            "the attack: {} answered, {:.0}/s, by status {:?}",
            attacked.answers, attacked.per_second, attack.statuses
        );
        ensure!(
            attacked.unwanted.is_empty(),
            "the server failed: {:?}, first with {:?}",
            attacked.unwanted,
            attack.first_error
        );
        println!("p99 beside / p99 alone: {:.2} [at most 2]", beside / alone);
        let after = resident_kib(process)?;
        let mib = |kib: u64| kib / 1_024;
        println!(
            "resident memory: {} MiB before, {} between, {} at most under attack, {} after [flat]",
            mib(before),
            mib(between),
            mib(peak),
            mib(after)
        );
        self.server.kill()?;
        self.honest.check_presence(&self.data.path().join("data"))?;
        println!(
            "{} honest postbacks acknowledged, each in the log once",
            self.honest.acknowledged
        );
        Ok(())
    }

    fn plan(&self) -> Plan {
        Plan {
            address: self.server.address,
            connections: self.options.connections,
            warm_up: Duration::from_millis(if self.options.quick { 200 } else { 1_000 }),
            measured: Duration::from_secs(self.options.seconds),
        }
    }

    fn record_clicks(&self) -> anyhow::Result<Vec<[u8; 10]>> {
        let mut clicks = Clicks::keeping(self.options.clicks);
        while clicks.ids.len() < self.options.clicks {
            let plan = Plan {
                warm_up: Duration::ZERO,
                measured: Duration::from_secs(1),
                ..self.plan()
            };
            clicks = closed_loop(plan, clicks)?.1;
        }
        Ok(clicks.ids)
    }

    /// How many honest postbacks a second are answered when nothing else is asked for.
    fn capacity(&mut self) -> anyhow::Result<f64> {
        let (measured, honest) = closed_loop(self.plan(), self.honest.clone())?;
        self.honest = honest;
        println!("closed loop: {:.0}/s", measured.per_second);
        Ok(measured.per_second)
    }

    fn beside_attack(&mut self, rate: f64) -> anyhow::Result<(Measured, Attack, Measured)> {
        let attack = Attack::new(&self.token, &self.signed_secret);
        let plan = Plan {
            connections: self.options.hostile_connections,
            ..self.plan()
        };
        let hostile_rate = self.options.hostile_rate;
        let started = Instant::now();
        let attacking = thread::spawn(move || match hostile_rate {
            Some(rate) => open_loop(plan, rate, attack),
            None => closed_loop(plan, attack),
        });
        let (measured, honest) = open_loop(self.plan(), rate, self.honest.clone())?;
        self.honest = honest;
        let attacked = attacking.join().ok().context("the attack only sends")?;
        let (attacked, attack) = attacked?;
        ensure!(
            started.elapsed() >= self.plan().measured,
            "the attack ended before its time"
        );
        Ok((measured, attack, attacked))
    }
}

/// Prints latencies; returns the p99 in microseconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a request, far below 2^52"
)]
fn report(name: &str, measured: &Measured) -> anyhow::Result<f64> {
    ensure!(
        measured.unwanted.is_empty() && !measured.latency_us.is_empty(),
        "{name}: answers by status {:?}, {} as wanted",
        measured.unwanted,
        measured.latency_us.len()
    );
    let at = |quantile| Duration::from_micros(measured.latency_us.value_at_quantile(quantile));
    println!(
        "{name:<18} {:>7.0}/s answered: p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        measured.per_second,
        at(0.5),
        at(0.99),
        at(0.999),
        Duration::from_micros(measured.latency_us.max())
    );
    Ok(at(0.99).as_micros() as f64)
}
