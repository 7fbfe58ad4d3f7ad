//! `postbook copy`: takes a log and its secrets to another store, and shows that they are the same.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use postbook_schemas::ClickIdKey;
use serde_json::json;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output, verify,
};
use crate::{
    secrets::{Place, Secrets},
    store::{
        LogStore,
        open::{self, Location},
    },
    tables::{self, Tables},
};

/// Copies a log and its secrets to another store, and verifies the copy.
#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The log to copy: `sqlite:DIRECTORY`, `postgres://HOST/DATABASE` or `kurrentdb://HOST`; a server may
    /// go on appending
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where to: empty, or a copy that was interrupted or has fallen behind
    #[arg(long, value_name = "URL")]
    to: String,
}

/// One of the two ends.
struct End {
    location: Location,
    place: Place,
    /// Its data directory: what was made from the log is there, or may be.
    data: PathBuf,
    /// Its read models: in that directory, unless they are named.
    tables: tables::location::Location,
}

impl End {
    fn of(url: &str, global: &Global) -> Result<Self, CliError> {
        let location = Location::choose(Some(url), &global.data)?;
        let data = match &location {
            Location::Directory(directory) => directory.clone(),
            _ => global.data.clone(),
        };
        let tables = tables::location::Location::choose(global.projections.as_deref(), &data)?;
        Ok(Self {
            tables,
            place: Place::beside(&location, global.options().projections.as_deref(), &data)?,
            location,
            data,
        })
    }

    async fn open(&self, click_ids: &Arc<ClickIdKey>) -> Result<Arc<dyn LogStore>, CliError> {
        Ok(open::open_to_read(&self.location, Arc::clone(click_ids)).await?)
    }
}

impl Copy {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let (from, to) = (End::of(&self.from, global)?, End::of(&self.to, global)?);
        if from.location == to.location {
            return Err(CliError::new(Exit::Usage, "both URLs name the same log"));
        }
        if !open::is_there(&from.location).await? {
            return Err(CliError::new(Exit::NotFound, "--from names no log"));
        }
        Secrets::copy(&from.place, &to.place).await?;
        let secrets = Secrets::open_with(&to.place, None).await?;
        let click_ids = Arc::new(ClickIdKey::new(secrets.click_id_key()));
        let source = from.open(&click_ids).await?;
        let progress = output::progress("copy", source.head());
        let tell = |position| progress.set_position(position);
        let copied = open::copy(&from.location, &to.location, &tell).await;
        progress.finish_and_clear();
        source.close().await;
        let size = copied?;
        let source = from.open(&click_ids).await?;
        let copy = to.open(&click_ids).await?;
        let verified = verify(&*source, &*copy, size).await;
        let digest = match verified {
            Ok(_) => compare_digests(&from, &to, &copy, &click_ids, size).await,
            Err(_) => Ok(Err(String::new())),
        };
        source.close().await;
        copy.close().await;
        report(size, &verified?, digest?, global.json)
    }
}

/// Reads the whole copy again, and compares the roots.
async fn verify(source: &dyn LogStore, copy: &dyn LogStore, size: u64) -> Result<String, CliError> {
    let progress = output::progress("check", size);
    let checked = copy
        .check(&|position| progress.set_position(position))
        .await;
    progress.finish_and_clear();
    checked?;
    let (theirs, own) = (source.root(size).await?, copy.root(size).await?);
    if theirs != own {
        let message = format!(
            "the root of the copy's first {size} facts is {}, that of the log {}",
            hex::encode(own),
            hex::encode(theirs)
        );
        return Err(CliError::new(Exit::Unsound, message));
    }
    Ok(hex::encode(own))
}

/// Makes read models from the copy, and compares them with those of the log; or says why not.
async fn compare_digests(
    from: &End,
    to: &End,
    copy: &Arc<dyn LogStore>,
    click_ids: &Arc<ClickIdKey>,
    size: u64,
) -> Result<Result<String, String>, CliError> {
    let Ok(tables) = Tables::open_existing_at(&from.tables, &from.data).await else {
        return Ok(Err("the log has no read models here".to_owned()));
    };
    let live = tables.checkpoint().await?;
    tables.close().await;
    if live.position != size || copy.head() != size {
        let behind = format!("the log's read models are at position {}", live.position);
        return Ok(Err(behind));
    }
    std::fs::create_dir_all(&to.data).map_err(CliError::failed)?;
    let replayed = verify::replay(copy, click_ids, &to.data).await?;
    let replayed = replayed.map_err(|failure| CliError::new(Exit::Unsound, failure))?;
    let (theirs, own) = (live.digest.to_bytes(), replayed.digest.to_bytes());
    if theirs != own {
        let message = "the read models of the copy have another digest than those of the log";
        return Err(CliError::new(Exit::Unsound, message));
    }
    Ok(Ok(hex::encode(own)))
}

fn report(
    size: u64,
    root: &str,
    digest: Result<String, String>,
    as_json: bool,
) -> Result<(), CliError> {
    if as_json {
        return output::json(&json!({"facts": size, "root": root, "digest": digest.ok()}));
    }
    output::line(&format!("copied {size} facts"))?;
    output::line(&format!("root   {root}, the same in both"))?;
    output::line(&match digest {
        Ok(digest) => format!("digest {digest}, the same in both"),
        Err(why) => format!("digest not compared: {why}"),
    })
}
