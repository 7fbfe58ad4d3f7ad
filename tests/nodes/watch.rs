//! Who writes the read models, and for how long nobody does.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::timeout;

use crate::{
    chaos::Addresses,
    support::http::{Connection, get},
};

/// Between two looks at all nodes.
const EVERY: Duration = Duration::from_millis(20);

/// How long a node may take to say what it is.
const ANSWER_MAX: Duration = Duration::from_millis(300);

/// How long the read models may take to show all of the log, once all is calm.
const SETTLED_MAX: Duration = Duration::from_mins(1);

/// The node that projected when it was looked last.
pub(crate) type Projecting = Arc<Mutex<Option<usize>>>;

/// Looks at the nodes until it is ended.
pub(crate) struct Watch {
    projecting: Projecting,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Gaps>>,
}

/// The times in which no node projected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps(Vec<Duration>);

impl Gaps {
    /// In words.
    pub(crate) fn told(&self) -> String {
        let mut gaps = self.0.clone();
        gaps.sort_unstable();
        let at = |share: usize| gaps.get(gaps.len() * share / 100).copied();
        let seconds = |gap: Option<Duration>| gap.unwrap_or_default().as_secs_f64();
        format!(
            "{} times nobody projected: half of them below {:.1} s, nine tenths below {:.1} s, \
             the longest {:.1} s",
            gaps.len(),
            seconds(at(50)),
            seconds(at(90)),
            seconds(gaps.last().copied())
        )
    }

    /// The longest.
    pub(crate) fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }
}

impl Watch {
    /// Begins to look.
    pub(crate) fn start(addresses: Addresses) -> Self {
        let (projecting, is_over) = (Projecting::default(), Arc::new(AtomicBool::new(false)));
        let watcher = (Arc::clone(&projecting), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            Ok(runtime.block_on(watch(&addresses, &watcher.0, &watcher.1)))
        });
        Self {
            projecting,
            is_over,
            thread,
        }
    }

    /// Who projects, kept up to date.
    pub(crate) fn projecting(&self) -> Projecting {
        Arc::clone(&self.projecting)
    }

    /// Ends it.
    ///
    /// # Errors
    /// It could not look.
    pub(crate) fn end(self) -> anyhow::Result<Gaps> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().expect("the watcher does not panic")
    }
}

async fn watch(addresses: &Addresses, projecting: &Projecting, is_over: &AtomicBool) -> Gaps {
    let (mut gaps, mut nobody_since) = (Gaps::default(), None);
    while !is_over.load(Ordering::SeqCst) {
        let now = addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut found = None;
        for (number, address) in now.into_iter().enumerate() {
            if let Some(address) = address
                && let Ok(Some(true)) = timeout(ANSWER_MAX, projects(address)).await
            {
                found = Some(number);
            }
        }
        *projecting.lock().unwrap_or_else(PoisonError::into_inner) = found;
        match (found, nobody_since) {
            (None, None) => nobody_since = Some(Instant::now()),
            (Some(_), Some(since)) => {
                gaps.0.push(Instant::now().duration_since(since));
                nobody_since = None;
            }
            _ => {}
        }
        tokio::time::sleep(EVERY).await;
    }
    gaps
}

/// Whether a node says that it projects; nothing if it says nothing.
async fn projects(address: SocketAddr) -> Option<bool> {
    let mut connection = Connection::init(address).await.ok()?;
    let answer = connection.ask(&get("/healthz", "")).await.ok()?;
    let health: Value = serde_json::from_slice(answer.body).ok()?;
    Some(health["role"] == "projecting")
}

/// Waits until all nodes say that the read models show all of the log.
///
/// # Errors
/// They do not come to that.
pub(crate) fn until_settled(addresses: &Addresses) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let deadline = Instant::now() + SETTLED_MAX;
    let all = addresses
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    runtime.block_on(async {
        for address in all.into_iter().flatten() {
            while timeout(ANSWER_MAX, lag(address)).await.ok().flatten() != Some(0) {
                anyhow::ensure!(Instant::now() < deadline, "a node does not catch up");
                tokio::time::sleep(EVERY).await;
            }
        }
        Ok(())
    })
}

async fn lag(address: SocketAddr) -> Option<u64> {
    let mut connection = Connection::init(address).await.ok()?;
    let answer = connection.ask(&get("/readyz", "")).await.ok()?;
    let ready: Value = serde_json::from_slice(answer.body).ok()?;
    ready["lag"].as_u64()
}
