//! What a rebuild of the read models costs those who send and those who read meanwhile.
//!
//! `docs/benchmarks.md` says how it is measured and what came out.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod reads;
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
use clap::Parser;
use reads::Reads;
use serde_json::Value;
use support::{
    command::{apply, output, postbook, scratch},
    http::{Connection, get, post},
    load::{Measured, Plan, closed_loop, open_loop},
    programme::PROGRAMME,
    server::{Server, secret, token},
};
use traffic::{Clicks, Postbacks};

/// How long a rebuild, or the catching up before it, may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often is looked whether something is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Parser)]
struct Options {
    /// Facts that are in the log before anything is measured, one in twenty a postback.
    #[arg(long, default_value_t = 5_000_000)]
    facts: u32,
    /// Seconds of each measurement, besides one of warm-up.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections of senders.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Reads a second, open loop.
    #[arg(long, default_value_t = 200.0)]
    reads: f64,
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
        options.facts = 20_000;
        options.seconds = 1;
    }
    Bench::init(options)?.run()
}

/// The server, and who sends and reads.
struct Bench {
    options: Options,
    server: Server,
    postbacks: Postbacks,
    reads: Reads,
    admin: String,
    _data: tempfile::TempDir,
}

/// What senders and readers saw at the same time.
struct Seen {
    sent_per_second: f64,
    read_p99_us: u64,
    reads: u64,
}

impl Bench {
    fn init(options: Options) -> anyhow::Result<Self> {
        let data = scratch("postbook-bench-beside-")?;
        let directory = data.path().join("data");
        apply(&directory, PROGRAMME)?;
        // Nobody uses it: with a secret the offer is no legacy one.
        secret(&directory, "acme/casino")?;
        let sender = token(&directory, "bench")?;
        let of_role = |role: &str| -> anyhow::Result<String> {
            let mut command = postbook(&directory);
            command.args(["token", "create", "--role", role, "--name", role]);
            Ok(output(&mut command)?.trim().to_owned())
        };
        let (viewer, admin) = (of_role("viewer")?, of_role("admin")?);
        Ok(Self {
            server: Server::postbook(&directory)?,
            postbacks: Postbacks::new(&sender, None),
            reads: Reads::new(&viewer),
            admin,
            options,
            _data: data,
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        self.fill()?;
        let idle = self.measure("idle")?;
        self.wait_until_quiet()?;
        self.begin_rebuild()?;
        let started = Instant::now();
        let beside = self.measure("beside a rebuild")?;
        let last = self.last_rebuild()?;
        let was_long_enough = last["state"] == "running";
        let (rebuilt, through) = self.read_until_rebuilt()?;
        ensure!(
            rebuilt["state"] == "identical",
            "the rebuild ended otherwise: {rebuilt}"
        );
        println!(
            "rebuilt {} facts in {:.1} s beside this, digests equal; {} reads until after the switch, none failed, p99 {:?}",
            rebuilt["head"],
            started.elapsed().as_secs_f64(),
            through.reads,
            Duration::from_micros(through.read_p99_us)
        );
        let paused_us = rebuilt["paused_us"]
            .as_u64()
            .context("how long it paused")?;
        println!(
            "switched in {:?} [less than 10 ms]",
            Duration::from_micros(paused_us)
        );
        println!(
            "intake beside / idle: {:.2} [at least 0.8]; p99 of reads beside / idle: {:.2} [at most 2]",
            beside.sent_per_second / idle.sent_per_second,
            ratio(beside.read_p99_us, idle.read_p99_us)
        );
        if !was_long_enough {
            println!(
                "the rebuild ended before the measurement: the ratios are better than they are"
            );
        }
        Ok(())
    }

    /// Clicks, and as many postbacks as there are conversions among real traffic.
    fn fill(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let wanted = self.options.facts / 20;
        let (mut clicks, mut postbacks) = (0, 0);
        let mut ids = Vec::new();
        while clicks + postbacks < self.options.facts {
            let traffic = Clicks::keeping(100_000 - ids.len().min(100_000));
            let (measured, traffic) = closed_loop(self.plan(1), traffic)?;
            ids.extend(traffic.ids);
            clicks += measured.answers;
            self.postbacks.click_ids.clone_from(&ids);
            while postbacks < wanted && postbacks < clicks / 19 {
                let plan = self.plan(0);
                let (measured, traffic) = closed_loop(plan, self.postbacks.clone())?;
                self.postbacks = traffic;
                postbacks += measured.answers;
            }
        }
        self.wait_until_quiet()?;
        println!(
            "{clicks} clicks and {postbacks} postbacks are in the log and in the read models after {:.0} s",
            started.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn plan(&self, seconds: u64) -> Plan {
        Plan {
            address: self.server.address,
            connections: self.options.connections,
            warm_up: Duration::ZERO,
            measured: Duration::from_secs(seconds).max(Duration::from_millis(200)),
        }
    }

    /// Senders as fast as they are answered, and readers at their rate.
    fn measure(&mut self, name: &str) -> anyhow::Result<Seen> {
        let plan = Plan {
            warm_up: Duration::from_millis(if self.options.quick { 200 } else { 1_000 }),
            ..self.plan(self.options.seconds)
        };
        let (reads, rate) = (self.reads.clone(), self.options.reads);
        let of_reads = Plan {
            connections: 4,
            ..plan
        };
        let reading = thread::spawn(move || open_loop(of_reads, rate, reads));
        let (sent, postbacks) = closed_loop(plan, self.postbacks.clone())?;
        self.postbacks = postbacks;
        let (read, reads) = reading.join().ok().context("readers only read")??;
        self.reads = reads;
        let seen = Seen::of(&sent, &read)?;
        println!(
            "{name:<16} {:>7.0} postbacks/s; reads: p50 {:?}, p99 {:?}",
            seen.sent_per_second,
            Duration::from_micros(read.latency_us.value_at_quantile(0.5)),
            Duration::from_micros(seen.read_p99_us)
        );
        Ok(seen)
    }

    /// Reads on until the rebuild has ended, and a little longer.
    fn read_until_rebuilt(&mut self) -> anyhow::Result<(Value, Seen)> {
        let deadline = Instant::now() + PATIENCE;
        let mut all: Option<Measured> = None;
        loop {
            let last = self.last_rebuild()?;
            let plan = Plan {
                connections: 4,
                ..self.plan(1)
            };
            let (read, reads) = open_loop(plan, self.options.reads, self.reads.clone())?;
            self.reads = reads;
            ensure!(
                read.unwanted.is_empty(),
                "reads failed: {:?}",
                read.unwanted
            );
            match &mut all {
                Some(all) => all.latency_us.add(&read.latency_us)?,
                None => all = Some(read),
            }
            if last["state"] != "running" {
                let all = all.context("there was at least one round")?;
                return Ok((last, Seen::of(&all, &all)?));
            }
            ensure!(
                Instant::now() < deadline,
                "the rebuild does not end: {last}"
            );
        }
    }

    fn begin_rebuild(&self) -> anyhow::Result<()> {
        let headers = format!("Authorization: Bearer {}\r\n", self.admin);
        let (status, body) = self.ask(&post("/v1/rebuilds", &headers, "{}"))?;
        ensure!(
            (200..300).contains(&status),
            "no rebuild was begun: {status} {body}"
        );
        Ok(())
    }

    fn last_rebuild(&self) -> anyhow::Result<Value> {
        let headers = format!("Authorization: Bearer {}\r\n", self.admin);
        let (status, body) = self.ask(&get("/v1/rebuilds/last", &headers))?;
        ensure!(status == 200, "{status} {body}");
        Ok(body)
    }

    fn wait_until_quiet(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, ready) = self.ask(&get("/readyz", ""))?;
            if ready["lag"] == 0 {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the read models do not catch up: {ready}"
            );
            thread::sleep(LOOK_EVERY);
        }
    }

    fn ask(&self, request: &[u8]) -> anyhow::Result<(u16, Value)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut connection = Connection::init(self.server.address).await?;
            let answer = connection.ask(request).await?;
            Ok((answer.status, serde_json::from_slice(answer.body)?))
        })
    }
}

impl Seen {
    fn of(sent: &Measured, read: &Measured) -> anyhow::Result<Self> {
        for (who, measured) in [("senders", sent), ("readers", read)] {
            ensure!(
                measured.unwanted.is_empty() && !measured.latency_us.is_empty(),
                "{who} were answered otherwise: {:?}",
                measured.unwanted
            );
        }
        Ok(Self {
            sent_per_second: sent.per_second,
            read_p99_us: read.latency_us.value_at_quantile(0.99),
            reads: read.latency_us.len(),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a request, far below 2^52"
)]
fn ratio(beside_us: u64, alone_us: u64) -> f64 {
    beside_us as f64 / alone_us as f64
}
