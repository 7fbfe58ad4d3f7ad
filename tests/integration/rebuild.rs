//! Rebuilding: beside the live read models or alone, interrupted, cancelled, stopped by a fact that
//! cannot be folded, after a change of form; over HTTP.

use std::{path::Path, sync::Arc, time::Duration};

use axum::http::StatusCode;
use postbook::{
    projector::{self, Control, Phase, Projector, ProjectorError, Rebuilt},
    secrets::Role,
    store::LogStore,
    tables::{Tables, generation::Purpose},
};
use serde_json::{Value, json};

use crate::{
    projector::{LONG, digest_at, play, poison, start},
    support::{app::TestApp, gated_store::GatedStore},
    v1::PROGRAMME,
};

/// A directory with read models that show the app's whole log, and nobody who follows it.
async fn projected(app: &TestApp) -> (tempfile::TempDir, Tables) {
    let directory = tempfile::tempdir().expect("a directory");
    let tables = Tables::open(directory.path()).await.expect("tables");
    let projector = start(&app.service, &tables);
    digest_at(&projector, &tables, app.service.log.store().head()).await;
    projector.stop().await;
    let tables = Tables::open(directory.path()).await.expect("tables");
    (directory, tables)
}

async fn replay(
    app: &TestApp,
    store: &Arc<dyn LogStore>,
    tables: &Tables,
    control: &Control,
) -> Result<Rebuilt, ProjectorError> {
    projector::replay(store, &app.service.click_ids, tables, control).await
}

fn gated(app: &TestApp, gate: u64) -> Arc<GatedStore> {
    let inner: Arc<dyn LogStore> = Arc::clone(app.service.log.store());
    Arc::new(GatedStore::new(inner, gate))
}

async fn sql(directory: &Path, sql: &'static str) {
    let path = directory.join("readmodels.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("open");
    sqlx::query(sql).execute(&pool).await.expect("done");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_was_cancelled_goes_on_where_it_was_and_ends_in_the_same() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 40).await;
    let (_directory, tables) = projected(&app).await;
    let live = tables.checkpoint().await.unwrap();
    let middle = live.position / 2;
    let store = gated(&app, middle);
    let control = Arc::new(Control::default());
    let (reading, told) = (Arc::clone(&store), Arc::clone(&control));
    let cancelling = tokio::spawn(async move {
        reading.somebody_waits().await;
        told.cancel();
        reading.open();
    });
    let shared: Arc<dyn LogStore> = Arc::<GatedStore>::clone(&store);
    let cancelled = replay(&app, &shared, &tables, &control).await;
    cancelling.await.unwrap();
    assert!(
        matches!(cancelled, Err(ProjectorError::Cancelled)),
        "{cancelled:?}"
    );
    assert_eq!(tables.checkpoint().await.unwrap(), live, "nothing changed");
    let left = tables.unfinished().await.expect("what was built is there");
    let reached = left.checkpoint().position;
    drop(left);
    assert!(reached >= middle && reached < live.position, "{reached}");
    let control = Control::default();
    let rebuilt = replay(&app, &shared, &tables, &control).await.unwrap();
    assert_eq!(rebuilt.compared.unwrap().position, live.position);
    assert!(rebuilt.is_identical(), "{rebuilt:?}");
    assert_eq!(control.progress().phase, Phase::Ended);
    assert_eq!(tables.scan_digest().await.unwrap(), live.digest);
    let purposes: Vec<_> = tables.generations().await.unwrap();
    let purposes: Vec<_> = purposes.iter().map(|one| one.purpose).collect();
    assert_eq!(purposes, [Purpose::Kept, Purpose::InForce]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_generation_of_another_program_is_begun_anew() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 8).await;
    let (directory, tables) = projected(&app).await;
    let live = tables.checkpoint().await.unwrap();
    let unfinished = directory.path().join("readmodels-2.sqlite");
    std::fs::copy(directory.path().join("readmodels-1.sqlite"), &unfinished).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&unfinished);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for sql in [
        "DELETE FROM attempts",
        "UPDATE meta SET position = position - 3, digest = zeroblob(32)",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let store: Arc<dyn LogStore> = Arc::clone(app.service.log.store());
    let rebuilt = replay(&app, &store, &tables, &Control::default()).await;
    assert!(rebuilt.unwrap().is_identical());
    assert_eq!(tables.scan_digest().await.unwrap(), live.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_that_were_wrong_are_told_replaced_and_kept() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 8).await;
    let (directory, tables) = projected(&app).await;
    sql(directory.path(), "UPDATE meta SET digest = zeroblob(32)").await;
    let store: Arc<dyn LogStore> = Arc::clone(app.service.log.store());
    let rebuilt = replay(&app, &store, &tables, &Control::default()).await;
    let rebuilt = rebuilt.unwrap();
    assert!(!rebuilt.is_identical(), "{rebuilt:?}");
    assert_eq!(
        tables.scan_digest().await.unwrap(),
        rebuilt.compared.unwrap().rebuilt
    );
    assert!(directory.path().join("readmodels-1.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_cannot_be_folded_stops_a_rebuild_with_its_position_and_reason() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 6).await;
    let (_directory, tables) = projected(&app).await;
    let live = tables.checkpoint().await.unwrap();
    app.service.append(poison(&app)).await.unwrap();
    play(&app, 2).await;
    let store: Arc<dyn LogStore> = Arc::clone(app.service.log.store());
    for _ in 0..2 {
        let stopped = replay(&app, &store, &tables, &Control::default()).await;
        let stopped = stopped.expect_err("it cannot be folded").to_string();
        let at = format!("the fact at position {}", live.position + 1);
        assert!(stopped.starts_with(&at), "{stopped}");
        assert!(stopped.contains("data of `adjustment.posted`"), "{stopped}");
    }
    assert_eq!(tables.checkpoint().await.unwrap(), live, "nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_of_another_form_are_built_at_start_and_nobody_is_told_wrong() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 20).await;
    let (directory, tables) = projected(&app).await;
    let right = tables.checkpoint().await.unwrap();
    tables.close().await;
    sql(directory.path(), "UPDATE meta SET format = 1").await;
    let tables = Tables::open(directory.path()).await.unwrap();
    let store = gated(&app, right.position / 2);
    let shared: Arc<dyn LogStore> = Arc::<GatedStore>::clone(&store);
    let click_ids = Arc::clone(&app.service.click_ids);
    let projector = Projector::start(shared, click_ids, tables.clone());
    store.somebody_waits().await;
    let building = projector.building().expect("it is built");
    assert_eq!(building.head, right.position);
    assert!(!tables.are_readable() && !tables.are_current());
    store.open();
    assert_eq!(
        digest_at(&projector, &tables, right.position).await,
        right.digest
    );
    assert!(projector.building().is_none());
    assert!(tables.are_readable());
    assert_eq!(tables.checkpoint().await.unwrap().generation, 2);
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_told_to_stop_while_it_builds_goes_on_from_there_next_time() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 20).await;
    let (directory, tables) = projected(&app).await;
    let right = tables.checkpoint().await.unwrap();
    tables.close().await;
    sql(directory.path(), "UPDATE meta SET format = 1").await;
    let tables = Tables::open(directory.path()).await.unwrap();
    let store = gated(&app, right.position / 2);
    let shared: Arc<dyn LogStore> = Arc::<GatedStore>::clone(&store);
    let projector = Projector::start(shared, Arc::clone(&app.service.click_ids), tables);
    store.somebody_waits().await;
    tokio::join!(projector.stop(), async { store.open() });
    let tables = Tables::open(directory.path()).await.unwrap();
    let left = tables.unfinished().await.expect("what was built is there");
    assert!(left.checkpoint().position < right.position);
    drop(left);
    let projector = start(&app.service, &tables);
    assert_eq!(
        digest_at(&projector, &tables, right.position).await,
        right.digest
    );
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_rebuilds_while_it_answers_and_releases_the_old_generation() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 10).await;
    let admin = app.as_role(Role::Admin).await;
    let none = admin.get("/v1/rebuilds/last").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.text());
    let viewer = app.as_role(Role::Viewer).await;
    let refused = viewer.post_json("/v1/rebuilds", "{}").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let begun = admin.post_json("/v1/rebuilds", "{}").await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
    let ended = ended(&app).await;
    assert_eq!(ended["state"], "identical", "{ended}");
    assert_eq!(ended["live_digest"], ended["rebuilt_digest"]);
    assert_eq!(ended["generation"], 2);
    let nothing = admin.post_json("/v1/rebuilds/last/cancel", "{}").await;
    assert_eq!(nothing.status, StatusCode::CONFLICT);
    let purposes = |body: &Value| {
        let items = body["items"].as_array().expect("a list").clone();
        let words = items.iter().map(|item| item["purpose"].clone());
        words.collect::<Vec<_>>()
    };
    let listed = viewer.get("/v1/generations").await.json();
    assert_eq!(purposes(&listed), [json!("kept"), json!("in_force")]);
    let released = admin.post_json("/v1/generations/release", "{}").await;
    assert_eq!(purposes(&released.json()), [json!("kept")]);
    let listed = viewer.get("/v1/generations").await.json();
    assert_eq!(purposes(&listed), [json!("in_force")]);
    play(&app, 2).await;
    let conversions = viewer.get("/v1/conversions?limit=1").await;
    assert_eq!(conversions.status, StatusCode::OK);
}

/// The last rebuild, once it has ended.
async fn ended(app: &TestApp) -> Value {
    let viewer = app.as_role(Role::Viewer).await;
    let waiting = async {
        loop {
            let last = viewer.get("/v1/rebuilds/last").await.json();
            if last["state"] != "running" {
                return last;
            }
            tokio::task::yield_now().await;
        }
    };
    let last = tokio::time::timeout(LONG, waiting).await;
    last.expect("a rebuild ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_rebuild_goes_on_at_a_time_and_a_repeat_of_the_request_is_the_same_one() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 4).await;
    let service = &app.service;
    let actor: Arc<str> = "ada".into();
    let key = || Some("k1".to_owned());
    let first = postbook::commands::rebuild::begin(service, &actor, key()).unwrap();
    let again = postbook::commands::rebuild::begin(service, &actor, key()).unwrap();
    assert_eq!(first.started_at, again.started_at);
    ended(&app).await;
    let same = postbook::commands::rebuild::begin(service, &actor, key()).unwrap();
    assert_eq!(first.started_at, same.started_at);
    let generation = service.tables.checkpoint().await.unwrap().generation;
    assert_eq!(generation, 2, "it was rebuilt once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_refused_while_another_is_under_way() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 6).await;
    let (_directory, tables) = projected(&app).await;
    let head = app.service.log.store().head();
    // Beyond what the start folds: a rebuild is held there, the live read models are not.
    let store = gated(&app, head);
    let shared: Arc<dyn LogStore> = Arc::<GatedStore>::clone(&store);
    let click_ids = Arc::clone(&app.service.click_ids);
    let projector = Projector::start(shared, click_ids, tables.clone());
    store.open();
    assert!(projector.wait_for(head, LONG).await);
    let (first, second) = (Control::default(), Control::default());
    let (a, b) = tokio::join!(projector.rebuild(&first), projector.rebuild(&second));
    assert!(a.is_ok(), "{a:?}");
    assert!(matches!(b, Err(ProjectorError::UnderWay)), "{b:?}");
    assert!(projector.release().await.is_ok());
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_read_fails_and_nothing_goes_back_while_generations_change() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 12).await;
    let service = Arc::clone(&app.service);
    let rebuilding = tokio::spawn(async move {
        for _ in 0..8 {
            let rebuilt = service.projector.rebuild(&Control::default()).await;
            let rebuilt = rebuilt.expect("it can be built");
            assert!(rebuilt.is_identical(), "{rebuilt:?}");
            assert!(rebuilt.paused < Duration::from_secs(1), "{rebuilt:?}");
        }
    });
    let viewer = app.as_role(Role::Viewer).await;
    let mut seen = 0;
    while !rebuilding.is_finished() {
        play(&app, 1).await;
        let answer = viewer.get("/v1/conversions?limit=200").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let count = answer.json()["items"].as_array().expect("a list").len();
        assert!(count >= seen, "{count} after {seen}");
        seen = count;
    }
    rebuilding.await.unwrap();
    let head = app.service.log.store().head();
    digest_at(&app.service.projector, &app.service.tables, head).await;
}
