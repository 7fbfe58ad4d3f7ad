//! What it costs to build all projections again from nothing, and what the log costs on disk.
//!
//! The log is filled by one process and rebuilt by another, so that the peak memory is that of the
//! rebuild. `docs/benchmarks.md` says how it is measured and what came out.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod disk;
mod fill;
mod people;
mod rival;
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use postbook::{
    projector::{self, Control, Projector},
    store::{LogStore, sqlite::SqliteStore},
    tables::{Tables, location::Location},
};
use postbook_schemas::ClickIdKey;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Debug, Parser)]
struct Options {
    /// How many facts.
    #[arg(long, default_value_t = 5_000_000)]
    facts: u64,
    /// Which of them are not clicks, of a thousand.
    #[arg(long, default_value_t = 50)]
    others_per_mille: u64,
    /// Smallest size: that it runs, not what it measures.
    #[arg(long)]
    quick: bool,
    /// Keeps the log here instead of in a temporary folder, and uses one that is there.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// A PostgreSQL to compare with.
    #[arg(long, env = "BENCH_POSTGRES_URL")]
    postgres: Option<String>,
    /// Does one step in this process (the benchmark starts itself).
    #[arg(long, hide = true)]
    step: Option<Step>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Step {
    Fill,
    Replay,
    ReplayOnServer,
    Beside,
    Rival,
}

fn main() -> anyhow::Result<()> {
    let mut options = Options::parse();
    if options.quick {
        options.facts = 50_000;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match (options.step, options.keep.clone()) {
        (Some(Step::Fill), Some(folder)) => runtime.block_on(fill_log(&options, &folder)),
        (Some(Step::Replay), Some(folder)) => runtime.block_on(replay(&folder)),
        (Some(Step::ReplayOnServer), Some(folder)) => {
            runtime.block_on(replay_on_server(&options, &folder))
        }
        (Some(Step::Beside), Some(folder)) => runtime.block_on(beside(&folder)),
        (Some(Step::Rival), Some(folder)) => runtime.block_on(rival(&options, &folder)),
        (_, folder) => {
            let temporary = tempfile::tempdir()?;
            let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
            if !folder.join("log.sqlite").exists() {
                step(&options, &folder, "fill")?;
            }
            step(&options, &folder, "replay")?;
            step(&options, &folder, "beside")?;
            if options.postgres.is_none() {
                println!("without PostgreSQL to compare with: BENCH_POSTGRES_URL names none");
                return Ok(());
            }
            step(&options, &folder, "replay-on-server")?;
            step(&options, &folder, "rival")
        }
    }
}

fn step(options: &Options, folder: &Path, name: &str) -> anyhow::Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(["--step", name, "--keep"])
        .arg(folder)
        .args(["--facts", &options.facts.to_string()])
        .args(["--others-per-mille", &options.others_per_mille.to_string()])
        .status()?;
    anyhow::ensure!(status.success(), "the step {name} failed");
    Ok(())
}

/// A key for the benchmark's own clicks; nothing else is done with them.
fn click_ids() -> Arc<ClickIdKey> {
    Arc::new(ClickIdKey::new(&[7; 32]))
}

async fn fill_log(options: &Options, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let store = SqliteStore::open(folder, click_ids()).await?;
    let started = Instant::now();
    let counts = fill::fill(&store, options.facts, options.others_per_mille).await?;
    let written = started.elapsed();
    store.merge().await?;
    println!(
        "{} facts, {} of them clicks, appended in {:.1} s ({:.0} facts/s), merged after {:.1} s",
        counts.facts,
        counts.clicks,
        written.as_secs_f64(),
        rate(counts.facts, written),
        started.elapsed().as_secs_f64()
    );
    store.close().await;
    disk::report(folder, counts).await
}

/// Builds all read models in one fold, as `postbook replay` does.
async fn replay(folder: &Path) -> anyhow::Result<()> {
    let started = Instant::now();
    let store: Arc<dyn LogStore> = Arc::new(SqliteStore::open(folder, click_ids()).await?);
    println!(
        "opened in {:.2} s, {} MiB at its peak",
        started.elapsed().as_secs_f64(),
        peak_mib()?
    );
    let location = Location::Directory(folder.to_owned());
    replay_into(&location, folder, &store).await?;
    store.close().await;
    Ok(())
}

/// The same into read models on PostgreSQL, in a schema that goes afterwards.
async fn replay_on_server(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let url = options.postgres.as_deref().unwrap_or_default();
    let schema = server::Schema::make(url).await?;
    let store: Arc<dyn LogStore> = Arc::new(SqliteStore::open(folder, click_ids()).await?);
    let location = Location::choose(Some(&schema.url()), folder)?;
    println!("into read models on PostgreSQL:");
    let replayed = replay_into(&location, folder, &store).await;
    store.close().await;
    schema.remove().await?;
    replayed
}

async fn replay_into(
    location: &Location,
    folder: &Path,
    store: &Arc<dyn LogStore>,
) -> anyhow::Result<()> {
    let tables = Tables::open_at(location, folder).await?;
    let rebuilt = projector::replay(store, &click_ids(), &tables, &Control::default()).await?;
    println!(
        "rebuilt in {:.2} s ({:.0} facts/s) [goal 1000000], {} MiB at its peak [goal 1024]",
        rebuilt.elapsed.as_secs_f64(),
        rate(rebuilt.position, rebuilt.elapsed),
        peak_mib()?
    );
    let generations = tables.generations().await?;
    let bytes = generations.last().map_or(0, |generation| generation.bytes);
    println!("the tables take {} MiB", bytes >> 20);
    tables.close().await;
    Ok(())
}

/// Folds the same facts as rows of PostgreSQL.
async fn rival(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let url = options.postgres.as_deref().unwrap_or_default();
    let store: Arc<dyn LogStore> = Arc::new(SqliteStore::open(folder, click_ids()).await?);
    let rates = rival::measure(&store, url).await?;
    println!(
        "the same fold fed from PostgreSQL, no rows written: {:.0} facts/s streamed in order, {:.0} facts/s \
         row by row [goal: at most a twentieth]",
        rates.streamed, rates.one_by_one
    );
    store.close().await;
    Ok(())
}

/// Opens them as a server does, and builds them again beside the live ones.
async fn beside(folder: &Path) -> anyhow::Result<()> {
    let store: Arc<dyn LogStore> = Arc::new(SqliteStore::open(folder, click_ids()).await?);
    let facts = store.head();
    let tables = Tables::open(folder).await?;
    let started = Instant::now();
    let projector = Projector::start(Arc::clone(&store), click_ids(), tables);
    let reached = projector.wait_for(facts, Duration::from_hours(1)).await;
    anyhow::ensure!(reached, "the projector stopped: {:?}", projector.failed());
    println!(
        "started from read models that are there in {:.2} s ({:.0} facts/s), {} MiB at its peak",
        started.elapsed().as_secs_f64(),
        rate(facts, started.elapsed()),
        peak_mib()?
    );
    let rebuilt = projector.rebuild(&Control::default()).await?;
    anyhow::ensure!(rebuilt.is_identical(), "live and rebuilt differ");
    println!(
        "rebuilt beside the live ones in {:.2} s ({:.0} facts/s), digests equal, live ones paused for \
         {:.2} ms [goal 10], {} MiB at its peak (two books at once)",
        rebuilt.elapsed.as_secs_f64(),
        rate(facts, rebuilt.elapsed),
        rebuilt.paused.as_secs_f64() * 1e3,
        peak_mib()?
    );
    projector.stop().await;
    store.close().await;
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of facts, far below 2^52"
)]
fn rate(facts: u64, elapsed: Duration) -> f64 {
    facts as f64 / elapsed.as_secs_f64()
}

/// The most memory that this process has had, as the kernel counts it.
fn peak_mib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.unwrap_or_default() / 1024)
}
