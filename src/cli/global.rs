//! What every verb takes: where the data is, and for whom to print.

use std::path::PathBuf;

use clap::Args;

use crate::service::Options;

/// What every verb takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Global {
    /// The data directory: embedded log, read models, secrets
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "./postbook-data"
    )]
    pub(super) data: PathBuf,
    /// Another log store than the embedded one, by URL
    #[arg(long, global = true, value_name = "URL")]
    pub(super) log: Option<String>,
    /// Other read models than the embedded ones, by URL
    #[arg(long, global = true, value_name = "URL")]
    pub(super) projections: Option<String>,
    /// The file of the key that seals offers' secrets: 64 hexadecimal digits
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) secrets_key_file: Option<PathBuf>,
    /// How other nodes name this one; made of machine and PID if absent
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) node: Option<String>,
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Global {
    /// Where the service keeps things.
    pub(super) fn options(&self) -> Options {
        Options {
            data: self.data.clone(),
            log: self.log.clone(),
            projections: self.projections.clone(),
            secrets_key_file: self.secrets_key_file.clone(),
            node: self.node.clone(),
        }
    }
}
