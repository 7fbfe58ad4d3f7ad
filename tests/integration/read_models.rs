//! Read models on PostgreSQL: who may write them, how switches are seen, what is shown to other tools,
//! and a server that goes away in the middle.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use postbook::{
    projector::{Control, Projector},
    secrets::Role,
    store::LogStore,
    tables::{Tables, digest::Running, error::TablesError, generation::Purpose, write::Writer},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    docs::blocks,
    projector::{LONG, digest_at, play},
    support::{
        app::TestApp, changes, homes::Home, postgres::Schema, proxy::Proxy, repository::read, twin,
    },
    v1::PROGRAMME,
};

async fn write(writer: &mut Writer, running: &mut Running, from: u64, to: u64) {
    let batch = changes::batch(from, to);
    running.apply(&batch);
    let written = writer.write(&batch, running.digest()).await;
    written.expect("the batch is written");
}

/// Another node's handle to the same read models.
async fn another(home: &Home) -> Tables {
    home.open().await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_have_the_same_digest_and_answers() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 30).await;
    twin::answers_alike(&app).await;
}

#[tokio::test]
async fn whoever_was_overtaken_writes_nothing() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let (one, two) = (home.open().await, another(&home).await);
    let (mut first, mut second) = (one.writer().await.unwrap(), two.writer().await.unwrap());
    let mut running = Running::default();
    write(&mut first, &mut running, 1, 20).await;
    let late = changes::batch(1, 30);
    let refused = second.write(&late, Running::default().digest()).await;
    assert!(
        matches!(refused, Err(TablesError::Overtaken)),
        "{refused:?}"
    );
    write(&mut first, &mut running, 21, 40).await;
    let checkpoint = two.checkpoint().await.unwrap();
    assert_eq!(
        (checkpoint.position, checkpoint.digest),
        (40, running.digest())
    );
    assert_eq!(two.scan_digest().await.unwrap(), running.digest());
}

#[tokio::test]
async fn a_claimed_term_ends_the_writing_of_earlier_ones() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let (one, two) = (home.open().await, another(&home).await);
    one.claim(1).await.unwrap();
    let (mut first, mut running) = (one.writer().await.unwrap(), Running::default());
    write(&mut first, &mut running, 1, 20).await;
    two.claim(2).await.unwrap();
    let before = two.checkpoint().await.unwrap();
    let batch = changes::batch(21, 30);
    let refused = first.write(&batch, running.digest()).await;
    assert!(
        matches!(refused, Err(TablesError::Overtaken)),
        "{refused:?}"
    );
    // Nor can it build and switch.
    let beside = one.next_generation().await.unwrap();
    let complete = one.complete(beside).await.unwrap();
    let refused = one.switch_to(complete).await;
    assert!(
        matches!(refused, Err(TablesError::Overtaken)),
        "{refused:?}"
    );
    assert_eq!(two.checkpoint().await.unwrap(), before);
    let mut second = two.writer().await.unwrap();
    write(&mut second, &mut running, 21, 30).await;
    assert_eq!(two.scan_digest().await.unwrap(), running.digest());
    let late = one.claim(1).await;
    assert!(matches!(late, Err(TablesError::Overtaken)), "{late:?}");
}

#[tokio::test]
async fn a_generation_is_built_by_one_at_a_time() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let (one, two) = (home.open().await, another(&home).await);
    let beside = one.next_generation().await.unwrap();
    let refused = two.next_generation().await;
    assert!(matches!(refused, Err(TablesError::UnderWay)), "{refused:?}");
    let refused = two.release().await;
    assert!(matches!(refused, Err(TablesError::UnderWay)), "{refused:?}");
    let complete = one.complete(beside).await.unwrap();
    one.switch_to(complete).await.unwrap();
    assert_eq!(two.next_generation().await.unwrap().generation(), 3);
}

#[tokio::test]
async fn every_node_goes_over_at_once_and_a_snapshot_is_of_one_generation() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let (one, two) = (home.open().await, another(&home).await);
    let mut live = one.writer().await.unwrap();
    write(&mut live, &mut Running::default(), 1, 20).await;
    assert_eq!(two.checkpoint().await.unwrap().position, 20);
    for generation in 2..6 {
        let (mut beside, mut running) = (one.next_generation().await.unwrap(), Running::default());
        let to = 20 + 10 * u64::try_from(generation).unwrap();
        write(&mut beside, &mut running, 1, to).await;
        let complete = one.complete(beside).await.unwrap();
        one.switch_to(complete).await.unwrap();
        let seen = two.checkpoint().await.unwrap();
        assert_eq!((seen.generation, seen.position), (generation, to));
        assert_eq!(two.scan_digest().await.unwrap(), running.digest());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_in_the_middle_of_switches_is_always_of_one_generation() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let (one, two) = (home.open().await, another(&home).await);
    let switching = tokio::spawn(async move {
        for to in [50, 90, 130, 170, 210, 250] {
            let (mut beside, mut running) =
                (one.next_generation().await.unwrap(), Running::default());
            write(&mut beside, &mut running, 1, to).await;
            let complete = one.complete(beside).await.unwrap();
            one.switch_to(complete).await.unwrap();
        }
    });
    let mut digests = vec![Running::default().digest()];
    for to in [50, 90, 130, 170, 210, 250] {
        let mut running = Running::default();
        running.apply(&changes::batch(1, to));
        digests.push(running.digest());
    }
    let mut last = 0;
    while !switching.is_finished() {
        let scanned = two.scan_digest().await.expect("no read fails");
        let place = digests.iter().position(|digest| *digest == scanned);
        let place = place.expect("what was read is of one generation");
        assert!(place >= last, "nothing goes back");
        last = place;
    }
    switching.await.unwrap();
    assert_eq!(two.scan_digest().await.unwrap(), digests[6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cuts_connections_loses_and_doubles_nothing() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let app = TestApp::start(PROGRAMME).await;
    let proxy = Proxy::start(schema.host()).await;
    let location = schema.read_models_by_way_of(proxy.address);
    let twin = app.beside_at(&location, schema).await;
    for round in 0..12 {
        play(&app, 2).await;
        // Every second time the server does what it is told, and nobody hears that it has.
        proxy.swallow_answers(round % 2 == 1);
        play(&app, 1).await;
        proxy.cut();
        proxy.swallow_answers(false);
    }
    let head = app.service.log.store().head();
    let right = digest_at(&app.service.projector, &app.service.tables, head).await;
    let other = digest_at(&twin.service.projector, &twin.service.tables, head).await;
    assert_eq!(other, right);
    twin.service.projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_reads_are_answered_503_and_the_projector_tries_again() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let proxy = Proxy::start(schema.host()).await;
    let location = schema.read_models_by_way_of(proxy.address);
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 4).await;
    let twin = app.beside_at(&location, schema).await;
    let reader = twin.as_role(Role::Viewer).await;
    let answer = reader.get("/v1/conversions").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    proxy.refuse(true);
    proxy.cut();
    let answer = reader.get("/v1/conversions").await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.text()
    );
    play(&app, 2).await;
    proxy.refuse(false);
    let head = app.service.log.store().head();
    let other = digest_at(&twin.service.projector, &twin.service.tables, head).await;
    let right = digest_at(&app.service.projector, &app.service.tables, head).await;
    assert_eq!(other, right);
    let answer = reader.get("/v1/conversions").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    twin.service.projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_on_a_server_equals_the_live_read_models_and_is_released() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 20).await;
    let twin = app.beside(schema).await;
    let store: &Arc<dyn LogStore> = app.service.log.store();
    digest_at(&twin.service.projector, &twin.service.tables, store.head()).await;
    let service = Arc::clone(&twin.service);
    let rebuilding =
        tokio::spawn(async move { service.projector.rebuild(&Control::default()).await });
    play(&app, 10).await;
    let rebuilt = rebuilding.await.unwrap().unwrap();
    assert!(rebuilt.is_identical(), "{rebuilt:?}");
    play(&app, 3).await;
    let head = store.head();
    let tables = &twin.service.tables;
    digest_at(&twin.service.projector, tables, head).await;
    assert_eq!(tables.checkpoint().await.unwrap().generation, 2);
    let released = twin.service.projector.release().await.unwrap();
    let purposes: Vec<_> = released
        .iter()
        .map(|one| (one.number, one.purpose))
        .collect();
    assert_eq!(purposes, [(1, Purpose::Kept)]);
    twin.service.projector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_did_to_the_tables_is_found_and_mended_at_start() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 8).await;
    let head = app.service.log.store().head();
    let start = |tables: &Tables| {
        let store = Arc::clone(app.service.log.store());
        Projector::start(store, Arc::clone(&app.service.click_ids), tables.clone())
    };
    let tables = home.open().await;
    let projector = start(&tables);
    let right = digest_at(&projector, &tables, head).await;
    projector.stop().await;
    home.run(1, "DELETE FROM postings WHERE number = 3; UPDATE meta SET digest = decode(repeat('00', 32), 'hex')")
        .await;
    let tables = home.open().await;
    let projector = start(&tables);
    assert!(projector.wait_for(head, LONG).await);
    assert_eq!(digest_at(&projector, &tables, head).await, right);
    assert_eq!(tables.checkpoint().await.unwrap().generation, 2);
    projector.stop().await;
}

/// A number that a statement of another tool answers.
async fn count(connection: &mut PgConnection, sql: &'static str) -> i64 {
    let counted = sqlx::query_scalar(sql).fetch_one(connection).await;
    counted.expect("the view answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn views_show_the_generation_in_force_and_a_report_in_the_middle_delays_no_switch() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let schema = home.schema.as_ref().unwrap();
    let tables = home.open().await;
    let mut live = tables.writer().await.unwrap();
    write(&mut live, &mut Running::default(), 1, 20).await;
    let mut tool = schema.connect().await;
    let conversions = "SELECT count(*) FROM conversions_view";
    assert_eq!(count(&mut tool, conversions).await, 20);
    // A report in the middle: it holds what it has read.
    let mut report = schema.connect().await;
    let mut reading = report.begin().await.unwrap();
    assert_eq!(
        count(&mut reading, "SELECT count(*) FROM conversions").await,
        20
    );
    let (mut beside, mut running) = (tables.next_generation().await.unwrap(), Running::default());
    write(&mut beside, &mut running, 1, 35).await;
    let complete = tables.complete(beside).await.unwrap();
    tables.switch_to(complete).await.unwrap();
    assert_eq!(tables.checkpoint().await.unwrap().position, 35);
    assert_eq!(
        count(&mut reading, "SELECT count(*) FROM earnings").await,
        20
    );
    reading.commit().await.unwrap();
    let followed = async {
        while count(&mut tool, conversions).await != 35 {
            tokio::task::yield_now().await;
        }
    };
    let followed = tokio::time::timeout(Duration::from_secs(20), followed).await;
    followed.expect("the views follow");
}

/// The example queries of the documentation in a dialect.
fn examples(dialect: &str) -> Vec<String> {
    let text = read("docs/reference/read-models.md");
    let common = blocks(&text, "sql");
    let queries = common.into_iter().filter(|sql| sql.starts_with("SELECT"));
    queries.chain(blocks(&text, dialect)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_queries_are_answered_by_both_databases() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 12).await;
    let head = app.service.log.store().head();
    for home in Home::all().await {
        let tables = home.open().await;
        let store = Arc::clone(app.service.log.store());
        let projector = Projector::start(store, Arc::clone(&app.service.click_ids), tables.clone());
        digest_at(&projector, &tables, head).await;
        projector.stop().await;
        let Some(schema) = &home.schema else {
            let path = home.data.path().join("readmodels.sqlite");
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(path)
                .read_only(true);
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            for sql in examples("sqlite") {
                let rows = sqlx::query(AssertSqlSafe(sql.clone()))
                    .fetch_all(&pool)
                    .await;
                assert!(!rows.expect(&sql).is_empty(), "{sql}");
            }
            pool.close().await;
            continue;
        };
        let mut tool = schema.connect().await;
        for sql in examples("postgresql") {
            let rows = sqlx::query(AssertSqlSafe(sql.clone()))
                .fetch_all(&mut tool)
                .await;
            assert!(!rows.expect(&sql).is_empty(), "{sql}");
        }
    }
}

#[tokio::test]
async fn a_role_for_reports_reads_the_views_that_were_granted_and_nothing_else() {
    let Some(home) = Home::on_server().await else {
        return;
    };
    let schema = home.schema.as_ref().unwrap();
    let tables = home.open().await;
    let mut live = tables.writer().await.unwrap();
    write(&mut live, &mut Running::default(), 1, 20).await;
    let role = format!("{}_bi", schema.name());
    let text = read("docs/reference/read-models.md");
    let grants = blocks(&text, "sql")
        .into_iter()
        .find(|sql| sql.starts_with("CREATE ROLE"));
    let grants = grants
        .expect("the documentation has them")
        .replace("bi", &role);
    let grants = grants.replace("postbook_models", schema.name());
    schema.run(&grants).await;
    let mut tool = schema.connect().await;
    let become_it = format!("SET ROLE {role}");
    run(&mut tool, &become_it).await.unwrap();
    assert_eq!(
        count(&mut tool, "SELECT count(*) FROM conversions_view").await,
        20
    );
    let schema_name = schema.name();
    for forbidden in [
        "SELECT * FROM touches".to_owned(),
        format!("SELECT * FROM {schema_name}_g1.conversions"),
        "SELECT * FROM read_models".to_owned(),
        "DELETE FROM postings".to_owned(),
    ] {
        let refused = run(&mut tool, &forbidden).await.unwrap_err().to_string();
        assert!(
            refused.contains("permission denied"),
            "{forbidden}: {refused}"
        );
    }
    // After a rebuild it reads the new ones.
    let (mut beside, mut running) = (tables.next_generation().await.unwrap(), Running::default());
    write(&mut beside, &mut running, 1, 35).await;
    let complete = tables.complete(beside).await.unwrap();
    tables.switch_to(complete).await.unwrap();
    assert_eq!(
        count(&mut tool, "SELECT count(*) FROM conversions_view").await,
        35
    );
    // So it does when the columns are others: here of a view that somebody has changed.
    let change = format!(
        "DROP VIEW {schema_name}.conversions_view; \
         CREATE VIEW {schema_name}.conversions_view AS SELECT 1 AS other; \
         GRANT SELECT ON {schema_name}.conversions_view TO {role}"
    );
    schema.run(&change).await;
    let beside = tables.next_generation().await.unwrap();
    let complete = tables.complete(beside).await.unwrap();
    tables.switch_to(complete).await.unwrap();
    assert_eq!(
        count(&mut tool, "SELECT count(*) FROM conversions_view").await,
        0
    );
    run(&mut tool, "RESET ROLE").await.unwrap();
    schema
        .run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

async fn run(connection: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection);
    done.await.map(drop)
}
