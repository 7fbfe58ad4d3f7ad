//! Servers under test: processes that say where they listen, and tokens for them.

use std::{
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use anyhow::Context as _;

use super::command::{Node, output, postbook};

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_mins(1);

/// A server process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// The process.
    pub(crate) child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it says `http://ADDRESS` on stdout or stderr.
    ///
    /// # Errors
    /// It does not start, or does not say where it listens.
    pub(crate) fn init(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (found, addresses) = mpsc::channel();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        read_on(out.context("stdout is piped")?, found.clone());
        read_on(err.context("stderr is piped")?, found);
        match wait_for_address(&addresses) {
            Ok(address) => Ok(Self { child, address }),
            Err(said) => {
                child.kill()?;
                child.wait()?;
                anyhow::bail!("{command:?} did not say where it listens:\n{said}")
            }
        }
    }

    /// `postbook serve` on a data directory, at a free port.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub(crate) fn postbook(node: impl Into<Node>) -> anyhow::Result<Self> {
        let mut command = postbook(node);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        Self::init(command)
    }

    /// Kills it as the kernel does when memory runs out: SIGKILL, no last words.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended before, which is all that is wanted.
        self.kill().unwrap_or_default();
    }
}

/// Either an address or another line.
type Said = Result<SocketAddr, String>;

fn wait_for_address(said: &mpsc::Receiver<Said>) -> Result<SocketAddr, String> {
    let mut text = String::new();
    loop {
        match said.recv_timeout(START_MAX) {
            Ok(Ok(address)) => return Ok(address),
            Ok(Err(line)) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(_) => return Err(text),
        }
    }
}

/// Reads a pipe to its end, so that the process never waits for a reader.
fn read_on(pipe: impl Read + Send + 'static, found: mpsc::Sender<Said>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let said = line
                .split_once("http://")
                .and_then(|(_, rest)| {
                    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
                    rest[..end.unwrap_or(rest.len())].parse().ok()
                })
                .ok_or(line);
            // Nobody listens once the address is known.
            found.send(said).unwrap_or_default();
        }
    });
}

/// Makes a token that may report for the offer `acme/casino`, and returns it.
///
/// # Errors
/// It cannot be made.
pub(crate) fn token(node: impl Into<Node>, name: &str) -> anyhow::Result<String> {
    let mut command = postbook(node);
    command.args(["token", "create", "--role", "ingest", "--name", name]);
    command.args(["--offer", "acme/casino"]);
    Ok(output(&mut command)?.trim().to_owned())
}

/// Makes a secret of an offer, and returns it.
///
/// # Errors
/// It cannot be made.
pub(crate) fn secret(node: impl Into<Node>, offer: &str) -> anyhow::Result<String> {
    let mut command = postbook(node);
    command.args(["secret", "rotate", offer]);
    Ok(output(&mut command)?.trim().to_owned())
}
