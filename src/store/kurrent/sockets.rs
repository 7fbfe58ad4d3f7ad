//! Switches Nagle's algorithm off on the client's connections.
//!
//! The client leaves it on, writes each call in two pieces, and hands out neither its sockets nor what
//! makes them; so the second piece waits for the server's kernel to acknowledge the first, which takes
//! its time (40 ms on Linux). The kernel gives a process another handle of a socket that it has already,
//! by number. Where it does not, calls are slow and nothing else.

/// Switches it off on all connections of this process that have it on.
#[cfg(target_os = "linux")]
pub(super) async fn make_prompt() {
    let changed = tokio::task::spawn_blocking(linux::make_all_prompt).await;
    match changed {
        Ok(Ok(sockets)) => tracing::debug!(sockets, "Nagle's algorithm is off"),
        Ok(Err(error)) => tracing::debug!(%error, "calls to the log's server take 40 ms longer"),
        Err(_) => {}
    }
}

/// Nothing is known of other systems.
#[cfg(not(target_os = "linux"))]
pub(super) async fn make_prompt() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, io, net::TcpStream, os::fd::OwnedFd};

    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    /// How many were changed.
    pub(super) fn make_all_prompt() -> io::Result<u32> {
        let process = pidfd_open(getpid(), PidfdFlags::empty())?;
        let mut changed = 0;
        for entry in fs::read_dir("/proc/self/fd")? {
            let entry = entry?;
            let Some(number) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // Files may be closed meanwhile, and their numbers given to others.
            let is_socket = |path: std::path::PathBuf| {
                path.to_str()
                    .is_some_and(|name| name.starts_with("socket:"))
            };
            if !fs::read_link(entry.path()).is_ok_and(is_socket) {
                continue;
            }
            let handle = match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
                Ok(handle) => handle,
                Err(rustix::io::Errno::BADF) => continue,
                Err(error) => return Err(error.into()),
            };
            changed += u32::from(make_one_prompt(handle));
        }
        Ok(changed)
    }

    /// Whether it was changed.
    fn make_one_prompt(handle: OwnedFd) -> bool {
        let socket = TcpStream::from(handle);
        // Sockets of other kinds have no such peer or no such setting, nor have those that listen.
        if socket.peer_addr().is_err() || socket.nodelay().unwrap_or(true) {
            return false;
        }
        // One whose other end is gone is of no use in any case.
        socket.set_nodelay(true).is_ok()
    }

    #[cfg(test)]
    mod tests {
        use std::net::TcpListener;

        use super::*;

        #[test]
        fn connections_become_prompt_and_other_sockets_stay() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
            let connection = TcpStream::connect(address).unwrap();
            assert!(!connection.nodelay().unwrap());
            assert!(make_all_prompt().unwrap() > 0);
            assert!(connection.nodelay().unwrap());
            drop((one, other));
        }
    }
}
