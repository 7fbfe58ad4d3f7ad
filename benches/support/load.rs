//! A load generator that costs little, since it shares the machine with what it measures.
//!
//! Everything runs on the thread that calls it: one current-thread runtime, raw connections, requests
//! that are prebuilt and only patched. The closed loop sends the next request when an answer is
//! there; the open loop sends at a fixed rate whatever the answers do, and measures from when a
//! request was due, so that a stall counts for everybody who would have waited.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{runtime, sync::Semaphore, task::LocalSet};

use super::http::{Answer, Connection};

/// How often the open loop hands out what is due.
const TICK: Duration = Duration::from_micros(200);

/// Where requests come from, and where answers go.
pub(crate) trait Traffic {
    /// Writes the next request into `request`, which holds the last one of this connection.
    fn next(&mut self, request: &mut Vec<u8>);

    /// Looks at an answer; `false` if it is not the one that was wanted.
    fn check(&mut self, answer: &Answer<'_>) -> bool;
}

/// How to load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) address: SocketAddr,
    /// How many connections.
    pub(crate) connections: usize,
    /// How long is not counted.
    pub(crate) warm_up: Duration,
    /// How long is counted.
    pub(crate) measured: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Wanted answers per second.
    pub(crate) per_second: f64,
    /// Latencies in microseconds.
    pub(crate) latency_us: Histogram<u64>,
    /// Answers that were not wanted, by status.
    pub(crate) unwanted: BTreeMap<u16, u64>,
    /// All answers, those of the warm-up too.
    pub(crate) answers: u32,
}

struct Shared<T> {
    traffic: RefCell<T>,
    latency_us: RefCell<Histogram<u64>>,
    unwanted: RefCell<BTreeMap<u16, u64>>,
    answers: Cell<u32>,
    started: Instant,
    counted_from: Instant,
    until: Instant,
}

impl<T: Traffic> Shared<T> {
    fn new(traffic: T, plan: &Plan, started: Instant) -> Self {
        let counted_from = started + plan.warm_up;
        Self {
            traffic: RefCell::new(traffic),
            latency_us: RefCell::new(
                Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order"),
            ),
            unwanted: RefCell::default(),
            answers: Cell::new(0),
            started,
            counted_from,
            until: counted_from + plan.measured,
        }
    }

    #[expect(
        clippy::future_not_send,
        reason = "everything runs on one thread, which is what makes it cheap"
    )]
    /// One request and its answer, counted if it ends in the time that counts.
    async fn exchange(
        &self,
        connection: &mut Connection,
        request: &mut Vec<u8>,
        due: Instant,
    ) -> io::Result<()> {
        self.traffic.borrow_mut().next(request);
        let answer = connection.ask(request).await?;
        self.answers.set(self.answers.get() + 1);
        let wanted = self.traffic.borrow_mut().check(&answer);
        let now = Instant::now();
        if now < self.counted_from || now > self.until {
            return Ok(());
        }
        if wanted {
            let micros = u64::try_from(now.duration_since(due).as_micros()).unwrap_or(u64::MAX);
            self.latency_us
                .borrow_mut()
                .saturating_record(micros.max(1));
        } else {
            *self.unwanted.borrow_mut().entry(answer.status).or_default() += 1;
        }
        Ok(())
    }
}

/// Each connection sends its next request when the answer to the last is there.
pub(crate) fn closed_loop<T: Traffic + 'static>(
    plan: Plan,
    traffic: T,
) -> io::Result<(Measured, T)> {
    run(
        plan,
        Instant::now(),
        traffic,
        |shared, mut connection| async move {
            let mut request = Vec::new();
            while Instant::now() < shared.until {
                let due = Instant::now();
                shared.exchange(&mut connection, &mut request, due).await?;
            }
            Ok(())
        },
    )
}

/// Requests are due at a fixed rate; whichever connection is free sends the next one.
pub(crate) fn open_loop<T: Traffic + 'static>(
    plan: Plan,
    per_second: f64,
    traffic: T,
) -> io::Result<(Measured, T)> {
    // Far enough ahead that the connections are there by then.
    let started = Instant::now() + Duration::from_millis(200);
    let due_count = Arc::new(Semaphore::new(0));
    let stopped = Arc::new(AtomicBool::new(false));
    let ticker = std::thread::spawn({
        let (due_count, stopped) = (Arc::clone(&due_count), Arc::clone(&stopped));
        move || {
            let mut handed_out = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = count_at(
                    Instant::now().saturating_duration_since(started),
                    per_second,
                );
                due_count.add_permits(due - handed_out);
                handed_out = due;
                std::thread::sleep(TICK);
            }
        }
    });
    let sent = Rc::new(Cell::new(0_u32));
    let result = run(plan, started, traffic, |shared, mut connection| {
        let (due_count, sent) = (Arc::clone(&due_count), Rc::clone(&sent));
        async move {
            let mut request = Vec::new();
            while let Ok(permit) = due_count.acquire().await {
                permit.forget();
                let number = sent.replace(sent.get() + 1);
                let due = shared.started + Duration::from_secs_f64(f64::from(number) / per_second);
                if due > shared.until {
                    due_count.close();
                    break;
                }
                shared.exchange(&mut connection, &mut request, due).await?;
            }
            Ok(())
        }
    });
    stopped.store(true, Ordering::Relaxed);
    ticker.join().expect("the ticker only counts");
    result
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of requests: positive, and far below what the numbers hold"
)]
fn count_at(elapsed: Duration, per_second: f64) -> usize {
    (elapsed.as_secs_f64() * per_second) as usize
}

fn run<T, F, W>(plan: Plan, started: Instant, traffic: T, work: F) -> io::Result<(Measured, T)>
where
    T: Traffic + 'static,
    F: Fn(Rc<Shared<T>>, Connection) -> W,
    W: Future<Output = io::Result<()>> + 'static,
{
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    let shared = local.block_on(&runtime, async {
        let mut connections = Vec::with_capacity(plan.connections);
        for _ in 0..plan.connections {
            connections.push(Connection::init(plan.address).await?);
        }
        let shared = Rc::new(Shared::new(traffic, &plan, started));
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::task::spawn_local(work(Rc::clone(&shared), connection)))
            .collect();
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok::<_, io::Error>(shared)
    })?;
    drop(local);
    let Ok(shared) = Rc::try_unwrap(shared) else {
        return Err(io::Error::other("a connection is still at work"));
    };
    let latency_us = shared.latency_us.into_inner();
    let measured = Measured {
        per_second: count(&latency_us) / plan.measured.as_secs_f64(),
        latency_us,
        unwanted: shared.unwanted.into_inner(),
        answers: shared.answers.get(),
    };
    Ok((measured, shared.traffic.into_inner()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of requests, far below 2^52"
)]
fn count(latencies: &Histogram<u64>) -> f64 {
    latencies.len() as f64
}
