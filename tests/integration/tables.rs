//! The tables, embedded and on a server: what is written is read back, whatever the batches.

use std::time::Duration;

use postbook::tables::{
    Tables,
    digest::Running,
    generation::Purpose,
    query::{Slice, balances::AsOf, conversions::ConversionFilter},
    write::Writer,
};
use postbook_schemas::Instant;
use sqlx::Connection as _;

use crate::support::{changes, homes::Home};

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
        for home in Home::all().await {
            let tables = home.open().await;
            let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
            write(&mut writer, &mut running, &borders).await;
            let checkpoint = tables.checkpoint().await.unwrap();
            assert_eq!(checkpoint.position, 500);
            assert_eq!(checkpoint.digest, running.digest());
            let scanned = tables.scan_digest().await.unwrap();
            assert_eq!(scanned, running.digest(), "{borders:?}");
            digests.push(running.digest());
        }
    }
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "{digests:?}"
    );
}

#[tokio::test]
async fn a_changed_amount_shows_in_the_digest_of_the_scan() {
    for home in Home::all().await {
        let tables = home.open().await;
        let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
        write(&mut writer, &mut running, &[0, 50]).await;
        drop(writer);
        let change = "UPDATE entries SET amount_minor = amount_minor + 1 WHERE posting = 7";
        home.run(1, change).await;
        assert_ne!(tables.scan_digest().await.unwrap(), running.digest());
    }
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    for home in Home::all().await {
        let tables = home.open().await;
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
        let totals = tables.trial_balance(AsOf::ALL).await.unwrap();
        let sum: i128 = totals.iter().map(|total| total.amount_minor).sum();
        assert_eq!(sum, 0);
    }
}

#[tokio::test]
async fn a_new_generation_takes_the_place_of_the_live_one_in_one_step() {
    for home in Home::all().await {
        let tables = home.open().await;
        let mut live = tables.writer().await.unwrap();
        write(&mut live, &mut Running::default(), &[0, 20]).await;
        let (mut beside, mut running) =
            (tables.next_generation().await.unwrap(), Running::default());
        write(&mut beside, &mut running, &[0, 15, 40]).await;
        assert_eq!(tables.checkpoint().await.unwrap().position, 20);
        let old_readers = tables.readers();
        let complete = tables.complete(beside).await.unwrap();
        let mut writer = tables.switch_to(complete).await.unwrap();
        let checkpoint = tables.checkpoint().await.unwrap();
        assert_eq!((checkpoint.generation, checkpoint.position), (2, 40));
        write(&mut writer, &mut running, &[40, 60]).await;
        assert_eq!(tables.scan_digest().await.unwrap(), running.digest());
        let old = old_readers.checkpoint().await;
        let old = old.expect("who has the old one in hand reads on");
        assert_eq!(old.position, 20);
        drop(old_readers);
        assert_eq!(
            purposes(&tables).await,
            [(1, Purpose::Kept), (2, Purpose::InForce)]
        );
        assert_eq!(tables.release().await.unwrap().len(), 1);
        assert_eq!(purposes(&tables).await, [(2, Purpose::InForce)]);
    }
}

async fn purposes(tables: &Tables) -> Vec<(i64, Purpose)> {
    let generations = tables.generations().await.expect("they can be listed");
    let pairs = generations
        .iter()
        .map(|generation| (generation.number, generation.purpose));
    pairs.collect()
}

#[tokio::test]
async fn a_generation_that_was_interrupted_is_gone_on_with() {
    for home in Home::all().await {
        let tables = home.open().await;
        assert!(tables.unfinished().await.is_none());
        let (mut beside, mut running) =
            (tables.next_generation().await.unwrap(), Running::default());
        write(&mut beside, &mut running, &[0, 15, 40]).await;
        beside.close().await.unwrap();
        let mut beside = unfinished(&tables).await;
        assert_eq!(beside.checkpoint().position, 40);
        assert_eq!(beside.checkpoint().digest, running.digest());
        write(&mut beside, &mut running, &[40, 60]).await;
        // Interrupted again, once the indexes were made: they are made a second time without harm.
        drop(tables.complete(beside).await.unwrap());
        let beside = unfinished(&tables).await;
        let complete = tables.complete(beside).await.unwrap();
        tables.switch_to(complete).await.unwrap();
        assert_eq!(tables.scan_digest().await.unwrap(), running.digest());
    }
}

#[tokio::test]
async fn what_was_built_before_the_machine_was_started_again_is_begun_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let tables = Tables::open(directory.path()).await.expect("tables");
    let mut beside = tables.next_generation().await.unwrap();
    write(&mut beside, &mut Running::default(), &[0, 15]).await;
    beside.close().await.unwrap();
    let left = tables.unfinished().await.expect("what was built is there");
    assert_eq!(left.position(), 15);
    left.close().await.unwrap();
    // The number of a start is odd.
    let path = directory.path().join("readmodels-2.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    let earlier = sqlx::query("PRAGMA user_version = 2");
    earlier.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert!(tables.unfinished().await.is_none());
    assert_eq!(tables.next_generation().await.unwrap().position(), 0);
}

/// What was left, as soon as a server has noticed that whoever had it is gone.
async fn unfinished(tables: &Tables) -> Writer {
    let waiting = async {
        loop {
            if let Some(writer) = tables.unfinished().await {
                return writer;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    found.expect("what was built is there")
}

#[tokio::test]
async fn tables_of_another_form_stay_until_the_next_generation_is_built() {
    for home in Home::all().await {
        home.open().await.close().await;
        home.run(1, "UPDATE meta SET format = 1").await;
        let refused = Tables::open_existing_at(&home.location, home.data.path()).await;
        let refused = refused.unwrap_err();
        assert!(refused.to_string().contains("of form 1"), "{refused}");
        let tables = home.open().await;
        assert!(!tables.are_current() && !tables.are_readable());
        let beside = tables.next_generation().await.unwrap();
        assert_eq!(beside.generation(), 2);
        let complete = tables.complete(beside).await.unwrap();
        tables.switch_to(complete).await.unwrap();
        assert!(tables.are_current() && tables.are_readable());
    }
}
