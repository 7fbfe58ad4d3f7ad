//! Memory of a server over time.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;

use crate::support::server::Server;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Resident memory in KiB.
///
/// # Errors
/// The process is gone, or the system keeps no such account.
pub(crate) fn resident_kib(process: u32) -> anyhow::Result<u64> {
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
