//! A PostgreSQL that can be killed and started again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use sqlx::Connection as _;

use crate::support::command::output;

/// How long it may take to be back after a kill.
const BACK_MAX: Duration = Duration::from_mins(1);

/// The URL of a cluster's database, by way of a port.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// A cluster in a folder.
pub(crate) struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    /// Where it listens.
    pub(crate) port: u16,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Makes one and starts it.
    ///
    /// # Errors
    /// There are no programs of PostgreSQL here, or they do not run.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("postgres");
        let script = |action: &str| {
            let mut command = Command::new("bash");
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/postgres"));
            command.arg(action).arg(&folder);
            output(&mut command)
        };
        // The script finds or installs the programs and makes the cluster; from then on it is ours.
        script("start")?;
        script("stop")?;
        let bin = PathBuf::from(fs::read_to_string(folder.join("bin"))?);
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let mut cluster = Self {
            folder,
            bin,
            port,
            postmaster: None,
        };
        cluster.start_again()?;
        Ok(cluster)
    }

    /// Kills it as the kernel does when memory runs out; its processes see that their parent is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let pid = fs::read_to_string(self.folder.join("data/postmaster.pid"))?;
        let pid = pid.lines().next().context("it says its number")?.to_owned();
        let killed = Command::new("kill").args(["-9", &pid]).status()?;
        ensure!(killed.success(), "process {pid} cannot be killed");
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.wait()?;
        }
        Ok(())
    }

    /// Starts it and waits until it answers. Right after a kill it refuses to start, as long as one
    /// of its former processes is still there.
    ///
    /// # Errors
    /// It does not answer in time.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + BACK_MAX;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        while Instant::now() < deadline {
            let is_running = match &mut self.postmaster {
                Some(postmaster) => postmaster.try_wait()?.is_none(),
                None => false,
            };
            if !is_running {
                self.postmaster = Some(self.spawn()?);
            }
            let url = url(self.port);
            let answered = runtime.block_on(async {
                let connecting = sqlx::PgConnection::connect(&url);
                match tokio::time::timeout(Duration::from_secs(1), connecting).await {
                    Ok(Ok(connection)) => connection.close().await.is_ok(),
                    _ => false,
                }
            });
            if answered {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("PostgreSQL did not come back within {BACK_MAX:?}")
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let is_root = output(Command::new("id").arg("-u"))?.trim() == "0";
        let program = self.bin.join("postgres");
        let mut command = if is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string()])
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=100",
            ])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.folder.display()))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command.spawn()?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may be down already, which is all that is wanted.
        self.kill().unwrap_or_default();
    }
}
