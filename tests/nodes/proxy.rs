//! The way of one node to the server: it can be cut, before or after requests have gone through.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A TCP proxy on threads of its own, which end with the process.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    open: Mutex<Vec<TcpStream>>,
    swallows: AtomicBool,
}

impl Proxy {
    /// A proxy in front of a local port.
    ///
    /// # Errors
    /// There is no free port.
    pub(crate) fn start(server: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    pass(client, server, &of_thread);
                }
            }
        });
        Ok(Self { port, shared })
    }

    /// From now on requests reach the server, and its answers nobody.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.shared.swallows.store(swallows, Ordering::SeqCst);
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        let open = self.shared.open.lock();
        for stream in open.unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Cut from the other side already, perhaps.
            stream.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }
}

fn pass(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap_or_default();
        if let Ok(stream) = stream.try_clone() {
            let open = shared.open.lock();
            open.unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    }
    let of_answers = Arc::clone(shared);
    thread::spawn(move || copy(client, to_server, None));
    thread::spawn(move || copy(server, to_client, Some(&of_answers.swallows)));
}

fn copy(mut from: TcpStream, mut to: TcpStream, swallows: Option<&AtomicBool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if swallows.is_some_and(|swallows| swallows.load(Ordering::SeqCst)) {
            continue;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other direction ends, too.
    from.shutdown(Shutdown::Both).unwrap_or_default();
    to.shutdown(Shutdown::Both).unwrap_or_default();
}
