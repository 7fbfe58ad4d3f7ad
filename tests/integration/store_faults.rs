//! What the log does when things go wrong: lost appends, full disks, crashes, damage, two processes.

use std::{path::Path, sync::Arc, time::Duration};

use postbook::{
    clock::ManualClock,
    store::{
        Append, Appended, Filter, LogStore, StoreError, memory::MemoryStore, sqlite::SqliteStore,
        writer::Log,
    },
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    facts::{click, head, report},
    faulty_store::{Fault, FaultyStore},
    stores::{Unscrubbed, at, click_ids},
};

fn log_over(faults: impl IntoIterator<Item = Fault>) -> (Log, Arc<FaultyStore>) {
    let memory = Arc::new(MemoryStore::new(click_ids()));
    let store = Arc::new(FaultyStore::new(memory, faults));
    let clock = Arc::new(ManualClock::new(at(0), 1));
    let as_store: Arc<dyn LogStore> = Arc::<FaultyStore>::clone(&store);
    (Log::start(as_store, clock, Arc::new(Unscrubbed)), store)
}

fn keyed(number: u64) -> Append {
    report(number, Some(&format!("key-{number}")), &[])
}

#[tokio::test]
async fn what_waits_becomes_one_group_and_everyone_is_answered() {
    let (log, store) = log_over([Fault::Stall]);
    let first = tokio::spawn({
        let log = log.clone();
        async move { log.append(keyed(0)).await }
    });
    store.stalled().await;
    let appends = (1..=100).map(|number| log.append(keyed(number)));
    let waiting = futures_util::future::join_all(appends);
    let together = log.append_all((200..5_200).map(keyed).collect());
    let (waiting, together, ()) = tokio::join!(waiting, together, async { store.release() });
    assert!(matches!(
        first.await.unwrap(),
        Ok(Appended::At { position: 1, .. })
    ));
    for (position, appended) in (2_u64..).zip(waiting) {
        assert!(matches!(appended, Ok(Appended::At { position: at, .. }) if at == position));
    }
    assert_eq!(together.unwrap().len(), 5_000);
    assert_eq!(*store.groups.lock().unwrap(), [1, 100, 5_000]);
}

#[tokio::test]
async fn a_failed_group_is_an_error_for_all_its_waiters_and_the_writer_goes_on() {
    let (log, store) = log_over([Fault::Stall, Fault::AppendLost]);
    let first = tokio::spawn({
        let log = log.clone();
        async move { log.append(keyed(0)).await }
    });
    store.stalled().await;
    let rest = futures_util::future::join_all((1..=20).map(|number| log.append(keyed(number))));
    let (rest, ()) = tokio::join!(rest, async { store.release() });
    first.await.unwrap().unwrap();
    assert!(
        rest.iter()
            .all(|answer| matches!(answer, Err(StoreError::Failed { .. })))
    );
    let retried = log.append(keyed(7)).await.unwrap();
    assert!(matches!(retried, Appended::At { position: 2, .. }));
}

#[tokio::test]
async fn a_retry_after_a_lost_answer_is_recognised() {
    let (log, _store) = log_over([Fault::AnswerLost]);
    log.append(keyed(1)).await.unwrap_err();
    let retried = log.append(keyed(1)).await.unwrap();
    assert_eq!(retried, Appended::Known { position: 1 });
}

#[tokio::test]
async fn too_many_waiting_requests_are_told_so() {
    let (log, store) = log_over([Fault::Stall]);
    let mut waiting = tokio::task::JoinSet::new();
    let mut busy = 0;
    for number in 0..40_000 {
        let log = log.clone();
        waiting.spawn(async move { log.append(keyed(number)).await });
    }
    store.stalled().await;
    while busy < 1_000 {
        let answer = waiting.join_next().await.unwrap().unwrap();
        assert!(matches!(answer, Err(StoreError::Busy)));
        busy += 1;
    }
    store.release();
    let mut appended = 0_u64;
    while let Some(answer) = waiting.join_next().await {
        appended += u64::from(answer.unwrap().is_ok());
    }
    assert_eq!(store.head(), appended);
}

#[tokio::test]
async fn an_unfit_fact_is_refused_before_it_joins_a_group() {
    let (log, store) = log_over([]);
    let mut unfit = report(1, None, &[]);
    unfit.draft.data = b"{\n}".to_vec();
    log.append(unfit).await.unwrap_err();
    assert_eq!(store.groups.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn shutting_down_finishes_what_waits_and_takes_no_more() {
    let (log, store) = log_over([Fault::Stall]);
    let appends = (0..50).map(|number| log.append(keyed(number)));
    let down = async {
        store.stalled().await;
        store.release();
        tokio::join!(log.shut_down(), log.shut_down());
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(appends), down);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let late = log.append(keyed(99)).await;
    assert!(matches!(late, Err(StoreError::Closed(_))));
}

#[tokio::test]
async fn short_reads_still_get_through_the_log() {
    let memory = Arc::new(MemoryStore::new(click_ids()));
    memory
        .append((0..20).map(click).collect(), at(0))
        .await
        .unwrap();
    let mut store = FaultyStore::new(memory, []);
    store.short_reads = true;
    let (mut next, mut lines) = (1, 0);
    while next <= 20 {
        let page = store.read(next, 20, Filter::ALL, 1 << 20).await.unwrap();
        lines += page.ends.len();
        next = page.next;
    }
    assert_eq!(lines, 20);
}

async fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(directory, click_ids())
        .await
        .expect("the log opens")
}

/// A connection of somebody else to the log's file.
async fn intruder(directory: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(directory.join("log.sqlite"));
    SqliteConnection::connect_with(&options)
        .await
        .expect("the file opens")
}

async fn run(directory: &Path, statement: &'static str) {
    let mut connection = intruder(directory).await;
    let done = sqlx::raw_sql(statement).execute(&mut connection).await;
    done.expect("the statement runs");
    connection.close().await.expect("the connection closes");
}

#[tokio::test]
async fn a_second_writer_is_refused_and_told_who_holds_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let refused = SqliteStore::open(directory.path(), click_ids())
        .await
        .unwrap_err();
    let StoreError::InUse(text) = &refused else {
        panic!("the second is refused because the log is in use: {refused}");
    };
    assert!(
        text.contains(&directory.path().display().to_string()),
        "{text}"
    );
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    store.close().await;
    open(directory.path()).await.close().await;
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_the_log_and_appends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = SqliteStore::open_to_read(directory.path(), click_ids()).await;
    nothing.unwrap_err();
    let store = open(directory.path()).await;
    store.append(vec![keyed(1), click(2)], at(0)).await.unwrap();
    let reader = SqliteStore::open_to_read(directory.path(), click_ids())
        .await
        .unwrap();
    assert_eq!(
        (reader.head(), reader.find("key-1").await.unwrap()),
        (2, Some(1))
    );
    let refused = reader.append(vec![keyed(3)], at(0)).await;
    assert!(matches!(refused, Err(StoreError::Closed(_))));
    // The writer merges rows on both sides of what the reader has seen.
    for number in 3..5_000 {
        store.append(vec![keyed(number)], at(0)).await.unwrap();
        if number == 100 {
            reader.refresh().await.unwrap();
        }
    }
    store.merge().await.unwrap();
    reader.refresh().await.unwrap();
    assert_eq!(reader.head(), 4_999);
    assert_eq!(reader.find("key-4999").await.unwrap(), Some(4_999));
    reader.check(&|_| {}).await.unwrap();
}

/// A disk is full when the file may not grow: every waiter of the group gets the error, nothing of
/// it is there, and the log goes on once there is room.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store
        .append((0..500).map(keyed).collect(), at(0))
        .await
        .unwrap();
    store.limit_pages(Some(40)).await.unwrap();
    let mut failed = None;
    for group in 1..40_u64 {
        let facts = (group * 500..(group + 1) * 500).map(keyed).collect();
        if let Err(error) = store.append(facts, at(0)).await {
            failed = Some((group, error));
            break;
        }
    }
    let (group, error) = failed.expect("forty pages are soon full");
    assert!(error.to_string().contains("full"), "{error}");
    // Several rows in one transaction fail as a whole, too.
    let large = (100_000..110_000).map(keyed).collect();
    store.append(large, at(0)).await.unwrap_err();
    assert_eq!(store.head(), group * 500);
    assert_eq!(store.find("key-100000").await.unwrap(), None);
    store.check(&|_| {}).await.unwrap();

    store.limit_pages(None).await.unwrap();
    let facts = (group * 500 - 1..=group * 500).map(keyed).collect();
    let appended = store.append(facts, at(0)).await.unwrap();
    assert_eq!(
        appended[0],
        Appended::Known {
            position: group * 500
        }
    );
    let next = group * 500 + 1;
    assert!(matches!(appended[1], Appended::At { position, .. } if position == next));
    store.check(&|_| {}).await.unwrap();
    store.close().await;
    assert_eq!(open(directory.path()).await.head(), next);
}

/// Whoever calls `append` may go away while the commit is under way: the file then knows more than
/// the memory, and the next append takes notice of it.
#[tokio::test]
async fn an_append_that_is_dropped_half_way_is_known_or_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for number in 0..200_u64 {
        let dropped = store.append(vec![keyed(number)], at(0));
        let after = Duration::from_micros(number * 7);
        let outcome = tokio::time::timeout(after, dropped).await;
        let retried = store.append(vec![keyed(number)], at(0)).await.unwrap();
        let position = match retried[0] {
            Appended::Known { position } | Appended::At { position, .. } => position,
        };
        assert_eq!(position, number + 1, "{outcome:?}");
    }
    assert_eq!(store.head(), 200);
    store.check(&|_| {}).await.unwrap();
}

#[tokio::test]
async fn files_copied_half_way_open_with_all_that_was_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for number in 0..6_000_u64 {
        store
            .append(vec![keyed(number), click(number)], at(0))
            .await
            .unwrap();
        if number % 2_000 != 1_999 {
            continue;
        }
        // As after a crash: the write-ahead log is there, and nobody has closed anything.
        let copy = tempfile::tempdir().unwrap();
        for file in ["log.sqlite", "log.sqlite-wal"] {
            let to = copy.path().join(file);
            std::fs::copy(directory.path().join(file), to).unwrap();
        }
        let copied = open(copy.path()).await;
        copied.check(&|_| {}).await.unwrap();
        assert_eq!(
            copied.find(&format!("key-{number}")).await.unwrap(),
            Some(number * 2 + 1)
        );
        let again = copied.append(vec![keyed(number)], at(0)).await.unwrap();
        assert_eq!(
            again,
            [Appended::Known {
                position: number * 2 + 1
            }]
        );
        copied.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merging_changes_nothing_that_readers_see() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()).await);
    let appending = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for group in 0..1_500_u64 {
                let start = group * 9;
                let mut facts: Vec<_> = (start..start + 8).map(click).collect();
                facts.insert(3, keyed(start + 8));
                store.append(facts, at(0)).await.unwrap();
            }
        }
    });
    let mut roots = Vec::new();
    while !appending.is_finished() {
        // Before the first append nothing here waits for anything.
        tokio::task::yield_now().await;
        let size = store.head();
        roots.push((size, store.root(size).await.unwrap()));
        let (mut next, mut expected) = (
            size.saturating_sub(6_000).max(1),
            size.saturating_sub(6_000).max(1),
        );
        while next <= size {
            let page = store.read(next, size, Filter::ALL, 100_000).await.unwrap();
            for (position, _) in page.lines() {
                assert_eq!(position, expected, "nothing is missed or doubled");
                expected += 1;
            }
            next = page.next;
        }
        store.merge().await.unwrap();
    }
    appending.await.unwrap();
    store.merge().await.unwrap();
    for (size, root) in roots {
        assert_eq!(store.root(size).await.unwrap(), root, "{size}");
    }
    let clicks = store.clicks(vec![1, 4, 5, 9_001]).await.unwrap();
    assert_eq!(
        clicks,
        [Some(head(0)), None, Some(head(3)), Some(head(9_000))]
    );
    let line = store.read_one(4).await.unwrap().unwrap();
    assert!(String::from_utf8(line).unwrap().contains(r#""number":8}"#));
    store.check(&|_| {}).await.unwrap();
    let head = store.head();
    store.close().await;
    let store = open(directory.path()).await;
    assert_eq!(
        (store.head(), store.find("key-8").await.unwrap()),
        (head, Some(4))
    );
    let mut connection = intruder(directory.path()).await;
    let rows: (i64,) = sqlx::query_as("SELECT count(*) FROM groups WHERE merged")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(rows.0 >= 3, "{} merged rows", rows.0);
}

/// Every column is damaged in turn; the check names the row's first position, or a later one in it.
#[tokio::test]
async fn damage_is_found_and_located() {
    let damages = [
        "UPDATE groups SET count = count + 1 WHERE first_position = 4",
        "UPDATE groups SET recorded_to = recorded_to + 1 WHERE first_position = 4",
        "UPDATE groups SET types = types | 2 WHERE first_position = 4",
        "UPDATE groups SET keys = x'' WHERE first_position = 4",
        "UPDATE groups SET places = x'0102' WHERE first_position = 4",
        "UPDATE groups SET frontier = (SELECT frontier FROM groups WHERE first_position = 1) \
         WHERE first_position = 4",
        "UPDATE groups SET facts = (SELECT facts FROM groups WHERE first_position = 1) \
         WHERE first_position = 4",
        "UPDATE groups SET clicks = (SELECT clicks FROM groups WHERE first_position = 1) \
         WHERE first_position = 4",
        "UPDATE groups SET heads = (SELECT heads FROM groups WHERE first_position = 1) \
         WHERE first_position = 4",
        "UPDATE groups SET facts = substr(facts, 1, 20) WHERE first_position = 4",
        "DELETE FROM groups WHERE first_position = 4",
    ];
    for damage in damages {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        for number in [1_u64, 4, 7] {
            let facts = vec![click(number), keyed(number + 1), click(number + 2)];
            store.append(facts, at(number.cast_signed())).await.unwrap();
        }
        store.check(&|_| {}).await.unwrap();
        run(directory.path(), damage).await;
        let found = store.check(&|_| {}).await;
        let Err(StoreError::Damaged { position, .. }) = found else {
            panic!("damage was not found: {damage}: {found:?}");
        };
        assert!((4..=6).contains(&position), "{damage}: {position}");
    }
}
