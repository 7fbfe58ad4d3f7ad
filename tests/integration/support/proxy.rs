//! A way to a server that can be cut, blocked in one direction, and opened again.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// A TCP proxy in front of one server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    control: Arc<Control>,
    accepting: JoinHandle<()>,
}

struct Control {
    server: String,
    /// Raised to end every connection there is.
    cuts: watch::Sender<u64>,
    /// What the server answers goes nowhere.
    swallows_answers: AtomicBool,
    /// Nobody is let in.
    refuses: AtomicBool,
}

impl Proxy {
    /// A proxy in front of `HOST:PORT`.
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let control = Arc::new(Control {
            server,
            cuts: watch::Sender::new(0),
            swallows_answers: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&control)));
        Self {
            address,
            control,
            accepting,
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.control.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Swallows answers for up to 3 ms, so that what is asked is under way or done, and cuts then.
    pub(crate) async fn swallow_and_cut(&self, random: &mut StdRng) {
        self.swallow_answers(true);
        tokio::time::sleep(Duration::from_micros(random.random_range(0..3_000))).await;
        self.cut();
        self.swallow_answers(false);
    }

    /// From now on requests reach the server, and its answers nobody.
    pub(crate) fn swallow_answers(&self, swallows: bool) {
        self.control
            .swallows_answers
            .store(swallows, Ordering::SeqCst);
    }

    /// From now on no new connection is let in.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.control.refuses.store(refuses, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, control: Arc<Control>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        if control.refuses.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(pass(client, Arc::clone(&control)));
    }
}

async fn pass(client: TcpStream, control: Arc<Control>) {
    let mut cuts = control.cuts.subscribe();
    let Ok(server) = TcpStream::connect(&control.server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = cuts.changed() => {}
        () = copy(from_client, to_server, None) => {}
        () = copy(from_server, to_client, Some(&control.swallows_answers)) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: Option<&AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if swallows.is_some_and(|swallows| swallows.load(Ordering::SeqCst)) {
            continue;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
