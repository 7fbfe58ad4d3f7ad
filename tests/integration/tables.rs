//! The tables: what is written is read back, whatever the batches.

use postbook::tables::{
    Tables,
    digest::Running,
    generation::Purpose,
    query::{Slice, balances::AsOf, conversions::ConversionFilter},
    write::Writer,
};
use postbook_schemas::Instant;

use crate::support::changes;

async fn write(writer: &mut Writer, running: &mut Running, borders: &[u64]) {
    for pair in borders.windows(2) {
        let batch = changes::batch(pair[0] + 1, pair[1]);
        running.apply(&batch);
        let written = writer.write(&batch, running.digest()).await;
        written.expect("the batch is written");
    }
}

#[tokio::test]
async fn batch_borders_do_not_matter() {
    let mut digests = Vec::new();
    for borders in [
        vec![0, 500],
        vec![0, 1, 2, 100, 105, 500],
        vec![0, 9, 10, 499, 500],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::open(directory.path()).await.unwrap();
        let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
        write(&mut writer, &mut running, &borders).await;
        let checkpoint = tables.checkpoint().await.unwrap();
        assert_eq!(checkpoint.position, 500);
        assert_eq!(checkpoint.digest, running.digest());
        assert_eq!(
            tables.scan_digest().await.unwrap(),
            running.digest(),
            "{borders:?}"
        );
        digests.push(running.digest());
    }
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "{digests:?}"
    );
}

#[tokio::test]
async fn a_changed_amount_shows_in_the_digest_of_the_scan() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
    write(&mut writer, &mut running, &[0, 50]).await;
    drop(writer);
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("readmodels.sqlite"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE entries SET amount_minor = amount_minor + 1 WHERE posting = 7")
        .execute(&pool)
        .await
        .unwrap();
    assert_ne!(tables.scan_digest().await.unwrap(), running.digest());
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
    write(&mut writer, &mut running, &[0, 30]).await;
    let conversion = tables.conversion(changes::id(20)).await.unwrap();
    assert_eq!(conversion, Some(changes::conversion(20, 250)));
    let slice = Slice {
        after: 28,
        limit: 10,
    };
    let rest = tables
        .conversions(&ConversionFilter::default(), slice)
        .await
        .unwrap();
    assert_eq!(
        rest,
        [changes::conversion(29, 300), changes::conversion(30, 300)]
    );
    let as_of = AsOf {
        effective: Instant::MAX,
        known: Instant::MAX,
    };
    let balances = tables.balances(&changes::partner(20), as_of).await.unwrap();
    assert_eq!(balances["USD"].payable_minor, 250);
    assert!(balances["USD"].adds_up());
    assert!(
        tables
            .trial_balance(AsOf::ALL)
            .await
            .unwrap()
            .iter()
            .map(|total| total.amount_minor)
            .sum::<i64>()
            == 0
    );
}

#[tokio::test]
async fn a_new_generation_takes_the_place_of_the_live_one_in_one_step() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    let mut live = tables.writer().await.unwrap();
    write(&mut live, &mut Running::default(), &[0, 20]).await;
    let (mut beside, mut running) = (tables.next_generation().await.unwrap(), Running::default());
    write(&mut beside, &mut running, &[0, 15, 40]).await;
    assert_eq!(tables.checkpoint().await.unwrap().position, 20);
    let old_readers = tables.readers();
    let complete = tables.complete(beside).await.unwrap();
    let mut writer = tables.switch_to(complete).unwrap();
    let checkpoint = tables.checkpoint().await.unwrap();
    assert_eq!((checkpoint.generation, checkpoint.position), (2, 40));
    write(&mut writer, &mut running, &[40, 60]).await;
    assert_eq!(tables.scan_digest().await.unwrap(), running.digest());
    let old: i64 = sqlx::query_scalar("SELECT position FROM meta")
        .fetch_one(&*old_readers)
        .await
        .expect("who has the old one in hand reads on");
    assert_eq!(old, 20);
    assert_eq!(
        purposes(&tables),
        [(1, Purpose::Kept), (2, Purpose::InForce)]
    );
    assert_eq!(tables.release().unwrap().len(), 1);
    assert_eq!(purposes(&tables), [(2, Purpose::InForce)]);
}

fn purposes(tables: &Tables) -> Vec<(i64, Purpose)> {
    let generations = tables.generations().expect("the directory can be read");
    let pairs = generations
        .iter()
        .map(|generation| (generation.number, generation.purpose));
    pairs.collect()
}

#[tokio::test]
async fn a_generation_that_was_interrupted_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    assert!(tables.unfinished().await.is_none());
    let (mut beside, mut running) = (tables.next_generation().await.unwrap(), Running::default());
    write(&mut beside, &mut running, &[0, 15, 40]).await;
    drop(beside);
    let mut beside = tables.unfinished().await.expect("it is there");
    assert_eq!(beside.checkpoint().position, 40);
    assert_eq!(beside.checkpoint().digest, running.digest());
    write(&mut beside, &mut running, &[40, 60]).await;
    // Interrupted again, once the indexes were made: they are made a second time without harm.
    drop(tables.complete(beside).await.unwrap());
    let beside = tables.unfinished().await.expect("it is there");
    let complete = tables.complete(beside).await.unwrap();
    tables.switch_to(complete).unwrap();
    assert_eq!(tables.scan_digest().await.unwrap(), running.digest());
}

#[tokio::test]
async fn tables_of_another_form_stay_until_the_next_generation_is_built() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("readmodels.sqlite");
    Tables::open(directory.path()).await.unwrap().close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let older = "UPDATE meta SET format = 1";
    sqlx::query(older).execute(&pool).await.unwrap();
    pool.close().await;
    let refused = Tables::open_existing(directory.path()).await.unwrap_err();
    assert!(refused.to_string().contains("of form 1"), "{refused}");
    let tables = Tables::open(directory.path()).await.unwrap();
    assert!(!tables.are_current() && !tables.are_readable());
    let beside = tables.next_generation().await.unwrap();
    assert_eq!(beside.generation(), 2);
    let complete = tables.complete(beside).await.unwrap();
    tables.switch_to(complete).unwrap();
    assert!(tables.are_current() && tables.are_readable());
}
