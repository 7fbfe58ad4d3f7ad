//! What the log costs on disk, by what lies in it.

use std::{fs, path::Path};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::fill::Counts;

/// Prints bytes per click and per other fact, with everything that lies around them shared out in
/// proportion.
pub(crate) async fn report(folder: &Path, counts: Counts) -> anyhow::Result<()> {
    let path = folder.join("log.sqlite");
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let row = sqlx::query(
        "SELECT count(*), sum(length(clicks) + length(heads)), \
         sum(length(facts) + length(keys)), sum(length(places) + length(frontier) + length(seal)) \
         FROM groups",
    )
    .fetch_one(&mut connection)
    .await?;
    let [rows, clicks, facts, around]: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    connection.close().await?;
    let file = i64::try_from(fs::metadata(&path)?.len())?;
    let slack = ratio(file, clicks + facts + around);
    println!(
        "on disk: {} MiB in {rows} rows; {:.1} bytes a fact; {:.1} bytes a click [goal 100], {:.1} bytes any \
         other fact, page slack and bookkeeping included ({:.1} %)",
        file >> 20,
        ratio(file, i64::try_from(counts.facts)?),
        per(clicks, clicks + facts, file, counts.clicks),
        per(facts, clicks + facts, file, counts.facts - counts.clicks),
        (slack - 1.0) * 100.0
    );
    Ok(())
}

/// The part of the file that `bytes` of `all` stand for, by each of `count`.
fn per(bytes: i64, all: i64, file: i64, count: u64) -> f64 {
    ratio(bytes, all) * ratio(file, i64::try_from(count).unwrap_or(i64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files, far below 2^52")]
fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}
