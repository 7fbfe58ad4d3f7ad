//! Memory of a server over time, and what of it one kind of traffic leaves.

use std::{
    fmt, fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::support::{http::Connection, http::get, server::Server};

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Memory at rest is what is resident so long after everything is in the read models: by then the
/// allocator has given back what is not used.
const AT_REST: Duration = Duration::from_secs(2);

/// How long the read models may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_mins(10);

/// Resident memory in KiB once the read models have caught up and the server rests.
///
/// # Errors
/// The server does not answer, or does not catch up.
pub(crate) fn at_rest_kib(server: &Server) -> anyhow::Result<u64> {
    let deadline = Instant::now() + CATCH_UP_MAX;
    while !has_caught_up(server)? {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the read models did not catch up"
        );
        thread::sleep(EVERY);
    }
    thread::sleep(AT_REST);
    resident_kib(server.child.id())
}

fn has_caught_up(server: &Server) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = Connection::init(server.address).await?;
        let answer = connection.ask(&get("/readyz", "")).await?;
        let ready: serde_json::Value = serde_json::from_slice(answer.body)?;
        Ok(ready["lag"] == 0)
    })
}

/// Resident memory in KiB.
///
/// # Errors
/// The process is gone, or the system keeps no such account.
fn resident_kib(process: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.context("a process has resident memory")?
        .trim()
        .parse()
        .context("a number of KiB")
}

/// Watches the peak of a server's memory.
#[derive(Debug)]
pub(crate) struct Watch {
    stopped: Arc<AtomicBool>,
    watching: JoinHandle<u64>,
}

impl Watch {
    /// From now on.
    pub(crate) fn start(server: &Server) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let process = server.child.id();
        let watching = thread::spawn({
            let stopped = Arc::clone(&stopped);
            move || {
                let mut peak = 0;
                while !stopped.load(Ordering::Relaxed) {
                    peak = resident_kib(process).unwrap_or(0).max(peak);
                    thread::sleep(EVERY);
                }
                peak
            }
        });
        Self { stopped, watching }
    }

    /// The peak since, in KiB.
    pub(crate) fn peak_kib(self) -> u64 {
        self.stopped.store(true, Ordering::Relaxed);
        self.watching.join().unwrap_or(0)
    }
}

/// How memory at rest grows with honest traffic, and beside an attack.
///
/// Honest conversions are kept in the book, which is in memory; what they take alone is known from the
/// first phase, so what the second phase took beyond that is the attack's.
#[derive(Debug)]
pub(crate) struct Growth {
    first: u64,
    /// Memory and honest postbacks of the two phases.
    phases: Vec<(u64, usize)>,
}

impl Growth {
    /// From this memory on.
    pub(crate) fn from(kib: u64) -> Self {
        Self {
            first: kib,
            phases: Vec::new(),
        }
    }

    /// The memory at rest after a phase, with so many honest postbacks in it.
    pub(crate) fn after(&mut self, kib: u64, honest: usize) {
        self.phases.push((kib, honest));
    }
}

impl fmt::Display for Growth {
    #[expect(clippy::cast_precision_loss, reason = "KiB and counts, far below 2^52")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(alone, honest_alone), (both, honest_beside)] = self.phases[..] else {
            return f.write_str("two phases are needed");
        };
        let each = (alone as f64 - self.first as f64) / honest_alone as f64;
        let rest = both as f64 - alone as f64 - each * honest_beside as f64;
        write!(
            f,
            "{} MiB at rest before, {} after {honest_alone} honest postbacks ({:.0} bytes each), {} \
             after {honest_beside} more beside the attack: {:+.0} MiB beyond those [flat]",
            self.first >> 10,
            alone >> 10,
            each * 1_024.0,
            both >> 10,
            rest / 1_024.0
        )
    }
}
