//! The service under load, killed at random moments: what was answered is there, once, for ever.
//!
//! A command of its own: `cargo test --release --test crash`. `CRASH_KILLS` says how often (200),
//! `CRASH_SEED` repeats a run, `CRASH_CONNECTIONS` says from how many connections (48). One data
//! directory is kept over all kills, so that it grows as a real one does.
#![expect(clippy::print_stdout, reason = "a command prints how far it has come")]

mod book;
mod load;
#[path = "../../benches/support"]
mod support {
    pub(crate) mod command;
    pub(crate) mod http;
    pub(crate) mod programme;
    pub(crate) mod server;
}

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Parser;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use book::Book;
use load::Load;
use support::{
    command::{apply, output, postbook, scratch},
    programme::PROGRAMME,
    server::{Server, token},
};

#[derive(Debug, Parser)]
struct Options {
    /// How often it is killed.
    #[arg(long, env = "CRASH_KILLS", default_value_t = 200)]
    kills: u32,
    /// What decides the moments; a random one if absent.
    #[arg(long, env = "CRASH_SEED")]
    seed: Option<u64>,
    /// From how many connections it is driven.
    #[arg(long, env = "CRASH_CONNECTIONS", default_value_t = 48)]
    connections: usize,
}

fn main() -> anyhow::Result<()> {
    // Arguments are cargo's; settings come in as variables.
    let options = Options::parse_from(["crash"]);
    let seed = options.seed.unwrap_or_else(rand::random);
    println!(
        "{} kills from {} connections, CRASH_SEED={seed}",
        options.kills, options.connections
    );
    let folder = scratch("postbook-crash-")?;
    let result =
        Run::init(folder.path(), &options, seed).and_then(|mut run| run.all(options.kills));
    if result.is_err() {
        println!(
            "CRASH_SEED={seed}; the data directory is kept: {}",
            folder.keep().display()
        );
    }
    result
}

/// One run over one data directory.
struct Run {
    data: PathBuf,
    random: StdRng,
    connections: usize,
    token: String,
    book: Book,
    started: Instant,
}

impl Run {
    fn init(folder: &Path, options: &Options, seed: u64) -> anyhow::Result<Self> {
        let data = folder.join("data");
        apply(&data, PROGRAMME)?;
        Ok(Self {
            token: token(&data, "crash")?,
            data,
            random: StdRng::seed_from_u64(seed),
            connections: options.connections,
            book: Book::default(),
            started: Instant::now(),
        })
    }

    fn all(&mut self, kills: u32) -> anyhow::Result<()> {
        for kill in 1..=kills {
            if self.random.random_range(0..8_u32) == 0 {
                self.kill_while_starting()?;
            } else {
                self.kill_under_load()?;
            }
            if kill % 10 == 0 || kill == kills {
                self.check(kill)?;
            }
        }
        println!(
            "passed: {kills} kills, {} facts acknowledged, each in the log exactly once",
            self.book.acknowledged()
        );
        Ok(())
    }

    /// Most kills: in the middle of work. What was under way is sent again afterwards.
    fn kill_under_load(&mut self) -> anyhow::Result<()> {
        let mut server = Server::postbook(&self.data)?;
        let load = Load::new(server.address, &self.token);
        load.repeat(&mut self.book, &mut self.random)?;
        let moment = Duration::from_micros(self.random.random_range(1_000..250_000));
        load.until_killed(&mut self.book, self.connections, || {
            std::thread::sleep(moment);
            server.kill()
        })
    }

    /// Some kills: while the log is opened and the read models catch up.
    fn kill_while_starting(&mut self) -> anyhow::Result<()> {
        let mut command = postbook(&self.data);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_micros(self.random.random_range(0..80_000)));
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Everything that was answered is there, once; positions are gapless; the program's own check
    /// finds nothing.
    fn check(&mut self, kill: u32) -> anyhow::Result<()> {
        let head = {
            let server = Server::postbook(&self.data)?;
            let load = Load::new(server.address, &self.token);
            load.repeat(&mut self.book, &mut self.random)?;
            load.head()?
        };
        let from = self.book.next().to_string();
        let events = output(postbook(&self.data).args(["events", "--from", &from]))?;
        self.book.read(&events)?;
        self.book.check(head)?;
        output(postbook(&self.data).arg("verify"))?;
        println!(
            "kill {kill:>3}: {} acknowledged, {} facts in the log, verified, {:.0} s",
            self.book.acknowledged(),
            self.book.next() - 1,
            self.started.elapsed().as_secs_f64()
        );
        Ok(())
    }
}
