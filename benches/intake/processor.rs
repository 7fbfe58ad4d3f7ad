//! Processor time of a server: what a request costs, whoever else uses the machine.

use std::{fs, time::Duration};

use anyhow::Context as _;

use crate::support::server::Server;

/// Linux counts in ticks of this many milliseconds.
const TICK_MS: u64 = 10;

/// The processor time that a server has used.
///
/// # Errors
/// The process is gone, or the system keeps no such account.
pub(crate) fn time(server: &Server) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.child.id()))?;
    // The name, in brackets, may hold spaces: fields are counted behind it.
    let (_, fields) = stat.rsplit_once(") ").context("a process has a name")?;
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * TICK_MS))
}
