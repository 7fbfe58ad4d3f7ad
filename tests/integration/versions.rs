//! What programs of different versions make of what another has left: what is older is taken over, what is
//! newer is refused with a sentence that names both versions, or left alone.

use std::{path::Path, sync::Arc, time::Duration};

use postbook::{
    projector::{
        Projector,
        lease::{Lease, LeaseStore, MemoryLeases, Role, Session},
    },
    store::{LogStore, StoreError, open},
    tables::Tables,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

#[cfg(feature = "kurrentdb")]
use crate::support::stream::{STREAM, Stream};
use crate::{
    projector::{digest_at, play},
    support::{app::TestApp, homes::Home, postgres::Schema, process::Place, stores::click_ids},
    v1::PROGRAMME,
};

const LONG: Duration = Duration::from_secs(30);

/// What a log in a layout of tomorrow is answered with.
fn assert_names_versions(refused: Result<Arc<dyn LogStore>, StoreError>) {
    let told = refused.expect_err("it is refused").to_string();
    assert!(
        told.contains("its layout is version 2; this program knows version 1"),
        "{told}"
    );
}

/// A log that a newer program has laid out is refused, to write, to read and by the program itself.
async fn assert_refused(location: &open::Location, data: &Path, url: Option<&str>) {
    assert_names_versions(open::open(location, click_ids()).await);
    assert_names_versions(open::open_to_read(location, click_ids()).await);
    let elsewhere: Vec<_> = url.iter().map(|url| format!("--log={url}")).collect();
    let (place, data) = (Place::elsewhere(&elsewhere), data.to_owned());
    let run = move || {
        let data = data.to_str().expect("a name");
        place.run(&["serve", "--listen", "127.0.0.1:0", "--data", data])
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it is run");
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("this program knows version 1"), "{told}");
}

#[tokio::test]
async fn an_embedded_log_of_a_newer_program_is_refused() {
    let data = tempfile::tempdir().expect("a directory can be made");
    let location = open::Location::Directory(data.path().to_owned());
    open::open(&location, click_ids())
        .await
        .unwrap()
        .close()
        .await;
    let options = SqliteConnectOptions::new().filename(data.path().join("log.sqlite"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let newer = sqlx::raw_sql("PRAGMA user_version = 2");
    newer.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    assert_refused(&location, data.path(), None).await;
}

#[tokio::test]
async fn a_log_of_a_newer_program_on_a_server_is_refused() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let data = tempfile::tempdir().expect("a directory can be made");
    let url = schema.url();
    let location = open::Location::choose(Some(&url), data.path()).unwrap();
    open::open(&location, click_ids())
        .await
        .unwrap()
        .close()
        .await;
    schema
        .run("UPDATE log_meta SET value = '\\x0200000000000000' WHERE name = 'layout'")
        .await;
    assert_refused(&location, data.path(), Some(&url)).await;
}

#[cfg(feature = "kurrentdb")]
#[tokio::test]
async fn a_log_of_a_newer_program_on_a_fake_kurrentdb_is_refused() {
    let stream = Stream::on_a_fake().await;
    let data = stream.data();
    stream.open(&data).await.close().await;
    let settings = format!("{STREAM}-settings");
    stream.fake().tamper(&settings, |events| {
        for event in events {
            let text = String::from_utf8(event.data.clone()).unwrap();
            assert!(text.contains("\"layout\":1"), "{text}");
            event.data = text.replace("\"layout\":1", "\"layout\":2").into_bytes();
        }
    });
    assert_refused(&stream.location(&data), &data, Some(&stream.url)).await;
}

/// A node on these read models, in a group of nodes.
async fn node(app: &TestApp, home: &Home, leases: &Arc<MemoryLeases>) -> (Projector, Tables) {
    let shared: Arc<dyn LeaseStore> = Arc::<MemoryLeases>::clone(leases);
    let (store, tables) = (Arc::clone(app.service.log.store()), home.open().await);
    let lease = Lease::start(shared, Session::new("this"));
    let ids = Arc::clone(&app.service.click_ids);
    (
        Projector::start_under(lease, store, ids, tables.clone()),
        tables,
    )
}

/// Read models of an older form are built again at start, and those of the form before answer meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_an_older_form_are_built_again_at_start() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 12).await;
    let head = app.service.log.store().head();
    for home in Home::all().await {
        let leases = Arc::default();
        let (first, tables) = node(&app, &home, &leases).await;
        let right = digest_at(&first, &tables, head).await;
        first.stop().await;
        home.run(1, "UPDATE meta SET format = format - 1").await;
        let tables = home.open().await;
        assert!(tables.are_readable() && !tables.are_current());
        let (second, tables) = node(&app, &home, &leases).await;
        assert_eq!(digest_at(&second, &tables, head).await, right);
        assert!(tables.are_current());
        assert_eq!(tables.checkpoint().await.unwrap().generation, 2);
        second.stop().await;
    }
}

/// While a newer program projects, an older one leaves its read models alone and does not read them; it
/// builds its own once it has the lease.
#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_a_newer_form_are_left_alone_while_somebody_projects() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 12).await;
    let head = app.service.log.store().head();
    for home in Home::all().await {
        let leases = Arc::default();
        let (first, tables) = node(&app, &home, &leases).await;
        let right = digest_at(&first, &tables, head).await;
        first.stop().await;
        home.run(1, "UPDATE meta SET format = format + 1").await;
        let newer = Session::new("newer");
        let taken = leases.take(&newer, LONG, 0).await.expect("it is asked");
        assert!(taken.is_own);
        let (old, tables) = node(&app, &home, &leases).await;
        assert!(!tables.are_readable() && !tables.are_current());
        assert!(!old.wait_for(head, Duration::from_millis(1_500)).await);
        assert!(matches!(old.role(), Role::Following(_)));
        assert_eq!(old.failed(), None);
        assert_eq!(tables.generations().await.unwrap().len(), 1);
        leases.give_up(&newer).await.expect("it is given up");
        assert_eq!(digest_at(&old, &tables, head).await, right);
        assert!(tables.are_readable());
        assert_eq!(tables.checkpoint().await.unwrap().generation, 2);
        old.stop().await;
    }
}
