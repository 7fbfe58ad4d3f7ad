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
use memory::{Growth, Watch, at_rest_kib};
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

        let mut growth = Growth::from(at_rest_kib(&self.server)?);
        let acknowledged = self.honest.acknowledged;
        let (alone, honest) = open_loop(self.plan(), rate, self.honest.clone())?;
        self.honest = honest;
        let alone = report("alone", &alone)?;
        let honest_alone = self.honest.acknowledged - acknowledged;
        growth.after(at_rest_kib(&self.server)?, honest_alone);

        let watch = Watch::start(&self.server);
        let (beside, attack, attacked) = self.beside_attack(rate)?;
        let beside = report("beside the attack", &beside)?;
        let peak = watch.peak_kib();
        attack.report("the attack beside them", &attacked)?;
        println!("p99 beside / p99 alone: {:.2} [at most 2]", beside / alone);
        let honest_beside = self.honest.acknowledged - acknowledged - honest_alone;
        growth.after(at_rest_kib(&self.server)?, honest_beside);
        println!(
            "resident memory: {growth}; {} MiB at most under attack",
            peak >> 10
        );

        let before = at_rest_kib(&self.server)?;
        let watch = Watch::start(&self.server);
        let attack = Attack::new(&self.token, &self.signed_secret);
        let plan = self.hostile_plan();
        let (attacked, attack) = attack_alone(plan, self.options.hostile_rate, attack)?;
        attack.report("the attack alone", &attacked)?;
        let (peak, after) = (watch.peak_kib(), at_rest_kib(&self.server)?);
        println!(
            "resident memory, the attack alone: {} MiB before, {} at most, {} after [flat]",
            before >> 10,
            peak >> 10,
            after >> 10
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

    fn hostile_plan(&self) -> Plan {
        Plan {
            connections: self.options.hostile_connections,
            ..self.plan()
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
        let (plan, hostile_rate) = (self.hostile_plan(), self.options.hostile_rate);
        let started = Instant::now();
        let attacking = thread::spawn(move || attack_alone(plan, hostile_rate, attack));
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

/// Attacks at a rate, or as fast as it is answered.
fn attack_alone(
    plan: Plan,
    rate: Option<f64>,
    attack: Attack,
) -> std::io::Result<(Measured, Attack)> {
    match rate {
        Some(rate) => open_loop(plan, rate, attack),
        None => closed_loop(plan, attack),
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
