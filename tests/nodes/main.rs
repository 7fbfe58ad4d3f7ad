//! Three nodes on one PostgreSQL, log and read models, under load, while nodes and server are killed and
//! connections cut.
//!
//! A command of its own: `cargo test --release --test nodes`. `NODES_SECONDS` says for how long (60),
//! `NODES_SEED` repeats the same moments. It starts a PostgreSQL of its own, as `.ci/postgres` does.
#![expect(clippy::print_stdout, reason = "a command prints how far it has come")]

#[path = "../crash/book.rs"]
mod book;
mod chaos;
mod cluster;
mod load;
mod proxy;
mod watch;
#[path = "../../benches/support"]
mod support {
    pub(crate) mod command;
    pub(crate) mod http;
    pub(crate) mod programme;
    pub(crate) mod server;
}

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::Value;

use book::Book;
use chaos::Chaos;
use cluster::{Cluster, url};
use load::Load;
use support::{
    command::{Node, apply, output, postbook, scratch},
    programme::PROGRAMME,
    server::token,
};
use watch::{Watch, until_settled};

/// How many nodes there are.
const NODES: usize = 3;

/// For how long nobody may project, kills of the server included.
const GAP_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
struct Options {
    /// For how long they are disturbed.
    #[arg(long, env = "NODES_SECONDS", default_value_t = 60)]
    seconds: u64,
    /// What decides the moments; a random one if absent.
    #[arg(long, env = "NODES_SEED")]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    // Arguments are cargo's; settings come in as variables.
    let options = Options::parse_from(["nodes"]);
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("{NODES} nodes for {} s, NODES_SEED={seed}", options.seconds);
    let folder = scratch("postbook-nodes-")?;
    let result = run(folder.path(), &options, seed);
    if result.is_err() {
        println!("NODES_SEED={seed}; kept: {}", folder.keep().display());
    }
    result
}

fn run(folder: &Path, options: &Options, seed: u64) -> anyhow::Result<()> {
    let mut cluster = match Cluster::start(folder) {
        Ok(cluster) => cluster,
        Err(error) => {
            println!("SKIPPED: no PostgreSQL can be started here: {error:#}");
            return Ok(());
        }
    };
    let first = Node {
        data: folder.join("people"),
        log: Some(url(cluster.port)),
        projections: Some(url(cluster.port)),
    };
    apply(first.clone(), PROGRAMME)?;
    let token = token(first.clone(), "nodes")?;
    let mut chaos = Chaos::init(folder, &cluster, StdRng::seed_from_u64(seed))?;
    let mut book = Book::default();
    let watch = Watch::start(chaos.addresses());
    let projecting = watch.projecting();
    let started = Instant::now();
    let mut round = 0;
    while started.elapsed() < Duration::from_secs(options.seconds) {
        round += 1;
        let load = Load::new(chaos.addresses(), &token);
        let until = Duration::from_secs(10).min(Duration::from_secs(options.seconds));
        load.during(&mut book, || {
            chaos.disturb(&mut cluster, &projecting, until)
        })?;
        chaos.calm(&mut cluster)?;
        Load::new(chaos.addresses(), &token).repeat(&mut book)?;
        println!(
            "round {round}: {} acknowledged, {}, {:.0} s",
            book.acknowledged(),
            chaos.told(),
            started.elapsed().as_secs_f64()
        );
    }
    until_settled(&chaos.addresses())?;
    let gaps = watch.end()?;
    println!("{}", gaps.told());
    ensure!(
        gaps.longest() < GAP_MAX,
        "for {:?} nobody projected",
        gaps.longest()
    );
    let nodes = chaos.stop()?;
    let head = check_log(&first, &mut book)?;
    check_nodes(&nodes, head)?;
    println!(
        "passed: {}, {} facts acknowledged, each in the log exactly once, the same on every node",
        chaos.told(),
        book.acknowledged()
    );
    Ok(())
}

/// Everything that was answered is there, once, under the id that was answered.
fn check_log(node: &Node, book: &mut Book) -> anyhow::Result<u64> {
    let events = output(postbook(node.clone()).arg("events"))?;
    book.read(&events)?;
    let head = book.next() - 1;
    book.check(head)?;
    Ok(head)
}

/// Each node's own check finds nothing, and they agree on root and digest.
fn check_nodes(nodes: &[Node], head: u64) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for node in nodes {
        let text = output(postbook(node.clone()).args(["verify", "--json"]))?;
        let answer: Value = serde_json::from_str(&text).context("verify answers JSON")?;
        let items = answer["items"].as_array().context("it lists its checks")?;
        let details = items.iter().map(|item| item["detail"].to_string());
        said.push(details.collect::<Vec<_>>());
    }
    ensure!(
        said.windows(2).all(|pair| pair[0] == pair[1]),
        "nodes disagree about {head} facts: {said:#?}"
    );
    Ok(())
}
