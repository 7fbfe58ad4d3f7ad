//! What a durable postback costs, beside an empty handler and a row-per-request PostgreSQL handler.
//!
//! `docs/benchmarks.md` says how it is measured and what came out.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod elsewhere;
mod known;
mod processor;
mod rivals;
mod traffic;
#[path = "../support"]
mod support {
    pub(crate) mod command;
    pub(crate) mod http;
    pub(crate) mod load;
    pub(crate) mod programme;
    pub(crate) mod report;
    pub(crate) mod server;
}

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use elsewhere::Elsewhere;
use rivals::Rival;
use support::{
    command::{apply, scratch},
    load::{Measured, Plan, Traffic, closed_loop, open_loop},
    programme::PROGRAMME,
    report::{Spread, flush_us},
    server::{Server, secret, token},
};
use traffic::{Clicks, Postbacks};

#[derive(Clone, Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command")]
struct Options {
    /// Interleaved rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement, besides one of warm-up.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Clicks that postbacks refer to.
    #[arg(long, default_value_t = 200_000)]
    clicks: usize,
    /// Postbacks that are signed, to an offer that asks for it.
    #[arg(long)]
    signed: bool,
    /// Keys that the log knows before anything is measured.
    #[arg(long, default_value_t = 0)]
    known_keys: u64,
    /// Smallest sizes: that it runs, not what it measures.
    #[arg(long)]
    quick: bool,
    /// The PostgreSQL to compare with; without one, a temporary cluster is started.
    #[arg(long, env = "BENCH_POSTGRES_URL")]
    postgres: Option<String>,
    /// Leaves out what needs a PostgreSQL: B and E. F needs the feature `kurrentdb`.
    #[arg(long)]
    without_postgres: bool,
    /// Serves as one of the rivals instead (the benchmark starts itself).
    #[arg(long, hide = true)]
    rival: Option<Rival>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if let Some(rival) = options.rival {
        return rivals::serve(rival, options.postgres.as_deref());
    }
    if options.quick {
        options.rounds = 2;
        options.seconds = 1;
        options.clicks = 2_000;
        options.known_keys = 20_000;
        options.signed = true;
    }
    Bench::init(options)?.run()
}

/// The servers and their traffic.
struct Bench {
    options: Options,
    empty: Server,
    postgres: Option<Server>,
    postbook: Server,
    elsewhere: Vec<Elsewhere>,
    postbacks: Postbacks,
    _cluster: Option<rivals::Cluster>,
    data: tempfile::TempDir,
}

/// What was measured of each subject, by round.
#[derive(Debug, Default)]
struct Rounds {
    per_second: BTreeMap<&'static str, Vec<f64>>,
    cpu_us: BTreeMap<&'static str, Vec<f64>>,
}

impl Bench {
    fn init(options: Options) -> anyhow::Result<Self> {
        let data = scratch("postbook-bench-intake-")?;
        println!(
            "{} connections, {} rounds of {} s",
            options.connections, options.rounds, options.seconds
        );
        let (cluster, url) = if options.without_postgres {
            (None, None)
        } else {
            rivals::postgres(options.postgres.clone(), data.path())
        };
        let empty = start_rival(Rival::Empty, None)?;
        let postgres = match &url {
            Some(url) => Some(start_rival(Rival::Postgres, Some(url))?),
            None => None,
        };
        let directory = data.path().join("data");
        apply(&directory, &programme(options.signed))?;
        let ingest = token(&directory, "bench")?;
        let secret = secret(&directory, "acme/casino")?;
        let postbacks = Postbacks::new(&ingest, options.signed.then_some(&*secret));
        if options.known_keys > 0 {
            println!(
                "{} keys known before, signed: {}",
                options.known_keys, options.signed
            );
            known::put_in(&directory, options.known_keys)?;
        }
        let postbook = Server::postbook(&directory)?;
        let mut elsewhere = Vec::new();
        if let Some(url) = &url {
            let log = rivals::new_database(url)?;
            let started = Elsewhere::start("E on PostgreSQL", log, None, data.path(), &options)?;
            elsewhere.push(started);
        }
        #[cfg(feature = "kurrentdb")]
        elsewhere.push(Elsewhere::on_a_fake_kurrentdb(data.path(), &options)?);
        Ok(Self {
            options,
            empty,
            postgres,
            postbook,
            elsewhere,
            postbacks,
            _cluster: cluster,
            data,
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        self.record_clicks()?;
        let mut rounds = Rounds::default();
        for round in 1..=self.options.rounds {
            self.round(round, &mut rounds)?;
        }
        rounds.report();
        self.latencies(&rounds)
    }

    fn plan(&self, address: SocketAddr) -> Plan {
        let second = if self.options.quick { 200 } else { 1_000 };
        Plan {
            address,
            connections: self.options.connections,
            warm_up: Duration::from_millis(second),
            measured: Duration::from_secs(self.options.seconds),
        }
    }

    /// Clicks for the postbacks to come.
    fn record_clicks(&mut self) -> anyhow::Result<()> {
        self.postbacks.click_ids = self.clicks_of(&self.postbook)?;
        for number in 0..self.elsewhere.len() {
            let click_ids = self.clicks_of(&self.elsewhere[number].server)?;
            self.elsewhere[number].postbacks.click_ids = click_ids;
        }
        Ok(())
    }

    fn clicks_of(&self, server: &Server) -> anyhow::Result<Vec<[u8; 10]>> {
        let mut clicks = Clicks::keeping(self.options.clicks);
        while clicks.ids.len() < self.options.clicks {
            let plan = Plan {
                warm_up: Duration::ZERO,
                measured: Duration::from_secs(1),
                ..self.plan(server.address)
            };
            let (measured, back) = closed_loop(plan, clicks)?;
            only_wanted("clicks", &measured)?;
            clicks = back;
        }
        wait_until_quiet(server)?;
        Ok(clicks.ids)
    }

    fn round(&mut self, round: usize, rounds: &mut Rounds) -> anyhow::Result<()> {
        let postbacks = self.postbacks.clone();
        let postbacks = self.measure("A empty", &self.empty, postbacks, rounds)?;
        let postbacks = match &self.postgres {
            Some(postgres) => self.measure("B postgres", postgres, postbacks, rounds)?,
            None => postbacks,
        };
        let flush = flush_us(self.data.path())?;
        self.postbacks = self.measure("C postbacks", &self.postbook, postbacks, rounds)?;
        self.wait_until_quiet()?;
        self.measure("D clicks", &self.postbook, Clicks::keeping(0), rounds)?;
        self.wait_until_quiet()?;
        for number in 0..self.elsewhere.len() {
            let subject = &self.elsewhere[number];
            let postbacks = subject.postbacks.clone();
            let back = self.measure(subject.name, &subject.server, postbacks, rounds)?;
            wait_until_quiet(&subject.server)?;
            self.elsewhere[number].postbacks = back;
        }
        print!("round {round}:");
        for (name, values) in &rounds.per_second {
            print!(
                "  {name} {:.0}/s",
                values.last().copied().unwrap_or_default()
            );
        }
        println!("  a flush takes {flush} µs");
        Ok(())
    }

    fn measure<T: Traffic + 'static>(
        &self,
        name: &'static str,
        server: &Server,
        traffic: T,
        rounds: &mut Rounds,
    ) -> anyhow::Result<T> {
        let before = processor::time(server)?;
        let (measured, back) = closed_loop(self.plan(server.address), traffic)?;
        only_wanted(name, &measured)?;
        let cpu_us = processor::time(server)?
            .saturating_sub(before)
            .as_secs_f64()
            * 1e6
            / f64::from(measured.answers);
        rounds.cpu_us.entry(name).or_default().push(cpu_us);
        let per_second = rounds.per_second.entry(name).or_default();
        per_second.push(measured.per_second);
        Ok(back)
    }

    fn wait_until_quiet(&self) -> anyhow::Result<()> {
        wait_until_quiet(&self.postbook)
    }

    fn latencies(&mut self, rounds: &Rounds) -> anyhow::Result<()> {
        println!("\nopen loop at 70 % of the median rate, from when a request was due");
        let postbacks = self.postbacks.clone();
        self.latency("C postbacks", rounds, postbacks)?;
        self.wait_until_quiet()?;
        self.latency("D clicks", rounds, Clicks::keeping(0))
    }

    fn latency(
        &self,
        name: &str,
        rounds: &Rounds,
        traffic: impl Traffic + 'static,
    ) -> anyhow::Result<()> {
        let values = rounds.per_second.get(name).cloned().unwrap_or_default();
        let rate = Spread::new(values).median * 0.7;
        let (measured, _) = open_loop(self.plan(self.postbook.address), rate, traffic)?;
        only_wanted(name, &measured)?;
        let at = |quantile| Duration::from_micros(measured.latency_us.value_at_quantile(quantile));
        println!(
            "{name:<12} {rate:>7.0}/s asked, {:>7.0}/s answered: p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
            measured.per_second,
            at(0.5),
            at(0.99),
            at(0.999),
            Duration::from_micros(measured.latency_us.max())
        );
        Ok(())
    }
}

/// Waits until the read models have caught up, so that the next measurement has the machine for
/// itself. What they cost while postbacks come in is part of what is measured.
fn wait_until_quiet(server: &Server) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(10);
    while Instant::now() < deadline {
        if rivals::has_caught_up(server.address)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("the read models did not catch up within ten minutes")
}

fn programme(signed: bool) -> String {
    let destination = "destination = \"https://acme.example/landing\"\n";
    let required = format!("{destination}require_signature = true\n");
    if signed {
        PROGRAMME.replace(destination, &required)
    } else {
        PROGRAMME.to_owned()
    }
}

fn start_rival(rival: Rival, postgres: Option<&str>) -> anyhow::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--rival", rival.name()]);
    if let Some(url) = postgres {
        command.args(["--postgres", url]);
    }
    Server::init(command).with_context(|| format!("the rival {}", rival.name()))
}

/// A measurement with refusals in it measures something else.
fn only_wanted(name: &str, measured: &Measured) -> anyhow::Result<()> {
    anyhow::ensure!(
        measured.unwanted.is_empty() && !measured.latency_us.is_empty(),
        "{name}: answers by status {:?}, {} as wanted",
        measured.unwanted,
        measured.latency_us.len()
    );
    Ok(())
}

impl Rounds {
    fn report(&self) {
        println!("\nmedian (range over the rounds)");
        for (name, per_second) in &self.per_second {
            let cpu_us = self.cpu_us.get(name).cloned().unwrap_or_default();
            println!(
                "{name:<12} {}/s, {} µs of the server's processor time each",
                Spread::new(per_second.clone()),
                Spread::new(cpu_us)
            );
        }
        println!("\nratios within a round, median (range)");
        let pairs = [
            ("C postbacks", "A empty", "at least 0.6"),
            ("C postbacks", "B postgres", "at least 4"),
            ("D clicks", "A empty", "no goal"),
            ("D clicks", "B postgres", "no goal"),
            ("E on PostgreSQL", "C postbacks", "at least 0.6"),
            ("E on PostgreSQL", "B postgres", "no goal"),
            ("F on a fake KurrentDB", "C postbacks", "no goal"),
        ];
        for (one, other, goal) in pairs {
            let values = (self.per_second.get(one), self.per_second.get(other));
            if let (Some(ones), Some(others)) = values {
                let ratios = ones.iter().zip(others).map(|(a, b)| a / b).collect();
                println!("{one} / {other}: {} [{goal}]", Spread::new(ratios));
            }
        }
    }
}
