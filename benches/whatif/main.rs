//! What a what-if and an explanation cost on a large log: one offer and one month of ten million facts.
//!
//! The log is that of the benchmark of rebuilds; `--keep` uses one that it has left.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../rebuild/fill.rs"]
mod fill;
#[path = "../rebuild/people.rs"]
mod people;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use postbook::{
    clock::SystemClock,
    commands::{explain, programme::ProgrammeFile, record::Author, whatif},
    secrets::Secrets,
    service::Service,
    store::{LogStore, sqlite::SqliteStore},
    tables::{
        Tables,
        query::{Slice, conversions::ConversionFilter},
    },
};
use postbook_schemas::ClickIdKey;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// How many facts.
    #[arg(long, default_value_t = 10_000_000)]
    facts: u64,
    /// Which of them are not clicks, of a thousand.
    #[arg(long, default_value_t = 50)]
    others_per_mille: u64,
    /// How many conversions are explained.
    #[arg(long, default_value_t = 500)]
    explained: u32,
    /// Smallest size: that it runs, not what it measures.
    #[arg(long)]
    quick: bool,
    /// Keeps the log here instead of in a temporary folder, and uses one that is there.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One offer from the second of the two months on: more for sales and first deposits.
const DRAFT: &str = "[[terms]]\noffer = \"acme/casino\"\neffective_from = 2026-02-01T00:00:00Z\n\
    [[terms.rule]]\nid = \"lead\"\non = \"registration\"\ncpa = \"2.00\"\n\
    [[terms.rule]]\nid = \"first\"\non = \"ftd\"\ncpa = \"110.00\"\nhold_days = 14\n\
    when = { amount_at_least = \"20.00\" }\n\
    [[terms.rule]]\nid = \"share\"\non = \"revenue\"\nrevshare = \"36%\"\n\
    [[terms.rule]]\nid = \"sale\"\non = \"sale\"\nrevshare = \"11%\"\nhold_days = 30\n";

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.facts = 50_000;
        options.explained = 50;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let temporary = tempfile::tempdir()?;
    let folder = options.keep.clone();
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    runtime.block_on(measure(&options, &folder))
}

/// The key of the log's own clicks, as the benchmark of rebuilds has it.
fn click_ids() -> Arc<ClickIdKey> {
    Arc::new(ClickIdKey::new(&[7; 32]))
}

async fn measure(options: &Options, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let is_new = !folder.join("log.sqlite").exists();
    let store = SqliteStore::open(folder, click_ids()).await?;
    if is_new {
        fill::fill(&store, options.facts, options.others_per_mille).await?;
        store.merge().await?;
    }
    let store: Arc<dyn LogStore> = Arc::new(store);
    let head = store.head();
    let secrets = Secrets::open(folder).await?;
    let tables = Tables::open(folder).await?;
    let clock = Arc::new(SystemClock);
    let service = Service::assemble(clock, store, click_ids(), secrets, tables).await?;
    let started = Instant::now();
    let reached = service
        .projector
        .wait_for(head, Duration::from_hours(1))
        .await;
    anyhow::ensure!(
        reached,
        "the projector stopped: {:?}",
        service.projector.failed()
    );
    println!(
        "{head} facts, read models up to date in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    whatifs(&service).await?;
    explanations(&service, options.explained).await?;
    println!("{} MiB at its peak", peak_mib()?);
    service.shut_down().await;
    Ok(())
}

/// The same drafts again and again: the hash must stay, and so must the log.
async fn whatifs(service: &Service) -> anyhow::Result<()> {
    let author = Author {
        actor: "bench".into(),
        endpoint: "bench",
        idempotency_key: None,
    };
    let mut hashes = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let draft = ProgrammeFile::try_new("draft.toml", DRAFT);
        let draft = draft.map_err(|problem| anyhow::anyhow!("{problem}"))?;
        let drafts = whatif::Drafts {
            files: vec![draft],
            ..whatif::Drafts::default()
        };
        let started = Instant::now();
        let made = whatif::whatif(service, &author, drafts).await?;
        println!(
            "what-if of one offer and one month: {:.2} s [goal 2], {} lines of {} conversions, {} KiB kept",
            started.elapsed().as_secs_f64(),
            made.report.rows.len(),
            made.totals().conversions,
            kept_kib(service, &made.hash)?
        );
        hashes.insert(made.hash);
    }
    anyhow::ensure!(hashes.len() == 1, "the same drafts have several hashes");
    Ok(())
}

fn kept_kib(service: &Service, hash: &str) -> anyhow::Result<u64> {
    let folder = service
        .tables
        .directory()
        .join(postbook::whatif::kept::FOLDER);
    Ok(std::fs::metadata(folder.join(format!("{hash}.json.zst")))?.len() / 1024)
}

async fn explanations(service: &Service, count: u32) -> anyhow::Result<()> {
    let slice = Slice {
        after: 0,
        limit: count,
    };
    let rows = service
        .tables
        .conversions(&ConversionFilter::default(), slice)
        .await?;
    let mut times = Vec::new();
    for row in rows {
        let started = Instant::now();
        let explained = explain::conversion(service.into(), row, None).await?;
        times.push(started.elapsed());
        anyhow::ensure!(!explained.steps.is_empty(), "an explanation has steps");
    }
    times.sort();
    let at = |part: usize| {
        times
            .get(times.len() * part / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "explain: {:.2} ms median, {:.2} ms in 99 of 100 [goal 5], over {} conversions",
        at(50).as_secs_f64() * 1e3,
        at(99).as_secs_f64() * 1e3,
        times.len()
    );
    Ok(())
}

/// The most memory that this process has had, as the kernel counts it.
fn peak_mib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.unwrap_or_default() / 1024)
}
