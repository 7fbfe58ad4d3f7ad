//! A fake of a KurrentDB server: streams in memory, spoken to by the client's own protocol, with the
//! failures of a server and a network on demand.
//!
//! It holds our reading of the server, not the server's behaviour: what passes against it has passed
//! against a fake.
#![cfg(feature = "serve")]

mod kept;
mod service;

/// The messages and services of `proto/`.
mod wire {
    pub(crate) mod streams {
        tonic::include_proto!("event_store.client.streams");
    }
    pub(crate) mod features {
        tonic::include_proto!("event_store.client.server_features");
    }
}

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};

pub use kept::Event;
use kept::Kept;
use wire::{
    features::server_features_server::ServerFeaturesServer, streams::streams_server::StreamsServer,
};

/// What goes wrong with one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFault {
    /// It is done, and answered.
    None,
    /// It is not done; the server says that it is not available.
    Lost,
    /// It is done; the server says that it is not available.
    AnswerLost,
    /// It is done, although the server says that its own time was over.
    DoneAborted,
    /// It is not done, and the server says that its own time was over.
    LostAborted,
    /// It is done after the answer that the server is not available was given.
    DoneLater,
    /// It is done, and answered with nothing in the answer.
    EmptyAnswer,
    /// It is not done, since another server is the leader now.
    NotLeader,
    /// It is not done, and never answered.
    NoAnswer,
}

/// What goes wrong with one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// Nothing.
    None,
    /// It ends in order after so many events, although there are more.
    EndsEarly(usize),
    /// It breaks off after so many events.
    BreaksOff(usize),
    /// It is answered with nothing in the answer.
    EmptyAnswer,
}

/// A fake server, which keeps its events when it is stopped or killed and started again.
#[derive(Debug)]
pub struct FakeKurrentdb {
    address: SocketAddr,
    state: Arc<State>,
    serving: Mutex<Option<Serving>>,
}

#[derive(Debug)]
struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// Of its own, so that whatever it does can be ended at once.
    runtime: Runtime,
}

#[derive(Debug)]
struct State {
    address: SocketAddr,
    kept: Mutex<Kept>,
    faults: Mutex<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    appends: VecDeque<AppendFault>,
    reads: VecDeque<ReadFault>,
    /// From when on anything may happen.
    random: Option<StdRng>,
}

impl FakeKurrentdb {
    /// A fake server on a free port of the loopback interface.
    ///
    /// # Panics
    /// There is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let fake = Self {
            address,
            state: Arc::new(State {
                address,
                kept: Mutex::default(),
                faults: Mutex::default(),
            }),
            serving: Mutex::new(None),
        };
        fake.serve(listener);
        fake
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a stream on it.
    pub fn url(&self, stream: &str) -> String {
        format!("kurrentdb://{}?tls=false&stream={stream}", self.address)
    }

    /// Stops listening and ends connections in order, as a server that is shut down does.
    pub async fn stop(&self) {
        let serving = lock(&self.serving).take();
        if let Some(Serving {
            stop,
            mut task,
            runtime,
        }) = serving
        {
            let _ = stop.send(());
            let limit = Duration::from_secs(2);
            // What is left then breaks off.
            drop(tokio::time::timeout(limit, &mut task).await);
            end(runtime, task).await;
        }
    }

    /// Ends whatever it does at once, as SIGKILL does: calls under way are done or not, connections break
    /// without a word.
    pub async fn kill(&self) {
        let serving = lock(&self.serving).take();
        if let Some(Serving { task, runtime, .. }) = serving {
            end(runtime, task).await;
        }
    }

    /// Listens again, with all events that were there.
    ///
    /// # Panics
    /// The port was taken by somebody else.
    pub async fn start_again(&self) {
        let listener = TcpListener::bind(self.address).await;
        self.serve(listener.expect("the port is still free"));
    }

    /// The next appends meet these faults, in order.
    pub fn fail_appends(&self, faults: impl IntoIterator<Item = AppendFault>) {
        lock(&self.state.faults).appends.extend(faults);
    }

    /// The next reads meet these faults, in order.
    pub fn fail_reads(&self, faults: impl IntoIterator<Item = ReadFault>) {
        lock(&self.state.faults).reads.extend(faults);
    }

    /// From now on anything may happen; nothing does without a seed.
    pub fn disturb(&self, seed: Option<u64>) {
        lock(&self.state.faults).random = seed.map(StdRng::seed_from_u64);
    }

    /// How many faults of those that were asked for have not been met yet.
    pub fn faults_left(&self) -> usize {
        let faults = lock(&self.state.faults);
        faults.appends.len() + faults.reads.len()
    }

    /// The events of a stream.
    pub fn events(&self, stream: &str) -> Vec<Event> {
        lock(&self.state.kept).stream(stream).to_vec()
    }

    /// Changes the events of a stream behind the server's back.
    pub fn tamper(&self, stream: &str, change: impl FnOnce(&mut Vec<Event>)) {
        change(lock(&self.state.kept).stream_mut(stream));
    }

    fn serve(&self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fake-kurrentdb")
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let listener = {
            let _entered = runtime.enter();
            let listener = listener.into_std();
            listener.and_then(TcpListener::from_std)
        };
        let listener = listener.expect("the listener can go to another runtime");
        let service = service::Service::new(Arc::clone(&self.state));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = Server::builder()
            .add_service(StreamsServer::new(service.clone()).max_decoding_message_size(32 << 20))
            .add_service(ServerFeaturesServer::new(service))
            .serve_with_incoming_shutdown(incoming, async move {
                let _ = stopped.await;
            });
        let task = runtime.spawn(async move {
            serving.await.expect("a fake server serves");
        });
        *lock(&self.serving) = Some(Serving {
            stop,
            task,
            runtime,
        });
    }
}

impl Drop for FakeKurrentdb {
    fn drop(&mut self) {
        if let Some(serving) = lock(&self.serving).take() {
            serving.runtime.shutdown_background();
        }
    }
}

/// Drops everything that a server does; it does not listen any more afterwards.
async fn end(runtime: Runtime, task: JoinHandle<()>) {
    runtime.shutdown_background();
    if !task.is_finished() {
        drop(task.await);
    }
}

impl State {
    fn append_fault(&self) -> AppendFault {
        let mut faults = lock(&self.faults);
        if let Some(fault) = faults.appends.pop_front() {
            return fault;
        }
        let drawn = faults
            .random
            .as_mut()
            .map(|random| random.random_range(0..16_u32));
        match drawn {
            Some(0) => AppendFault::Lost,
            Some(1) => AppendFault::AnswerLost,
            Some(2) => AppendFault::DoneAborted,
            Some(3) => AppendFault::LostAborted,
            Some(4) => AppendFault::DoneLater,
            Some(5) => AppendFault::EmptyAnswer,
            Some(6) => AppendFault::NotLeader,
            _ => AppendFault::None,
        }
    }

    fn read_fault(&self) -> ReadFault {
        let mut faults = lock(&self.faults);
        if let Some(fault) = faults.reads.pop_front() {
            return fault;
        }
        let Some(random) = faults.random.as_mut() else {
            return ReadFault::None;
        };
        let events = random.random_range(0..4);
        match random.random_range(0..16_u32) {
            0 | 1 => ReadFault::EndsEarly(events),
            2 => ReadFault::BreaksOff(events),
            3 => ReadFault::EmptyAnswer,
            _ => ReadFault::None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
