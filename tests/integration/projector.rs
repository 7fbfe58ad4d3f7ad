//! The projector: however it is interrupted, cut up or begun again, the read models are the same.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use postbook::{
    projector::{Control, Projector},
    service::Service,
    store::{Append, LogStore},
    tables::{Tables, digest::Digest},
};
use postbook_schemas::{Fact, FactId, Source, decision::AdjustmentPosted, envelope::Draft};

use crate::{support::app::TestApp, v1::PROGRAMME};

pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Some traffic of every kind: clicks, sales, refunds before and after their sale, repeats, refusals.
pub(crate) async fn play(app: &TestApp, rounds: u32) {
    for number in 0..rounds {
        app.clock.advance_micros(1_000_000);
        let link = if number % 3 == 0 { "/xyz" } else { "/abc" };
        let click = app.click(link).await;
        let early = format!("event=refund&txn_id=S{number}&amount=1.00");
        let sale = format!(
            "event=sale&click_id={click}&txn_id=S{number}&amount=10.00&customer_id=c{number}"
        );
        let first = format!("event=ftd&click_id={click}&txn_id=F{number}&amount=50.00");
        let queries = match number % 4 {
            0 => vec![early, sale.clone(), sale],
            1 => vec![sale, first],
            2 => vec![sale, early, "event=sale&click_id=nobody".to_owned()],
            _ => vec![first, format!("event=chargeback&txn_id=F{number}")],
        };
        for query in queries {
            let path = format!("/api/postback/acme/casino?{query}");
            let answer = app.anonymous().get(&path).await;
            assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{query}");
        }
    }
}

pub(crate) fn start(service: &Service, tables: &Tables) -> Projector {
    let store: Arc<dyn LogStore> = Arc::clone(service.log.store());
    Projector::start(store, Arc::clone(&service.click_ids), tables.clone())
}

pub(crate) async fn digest_at(projector: &Projector, tables: &Tables, position: u64) -> Digest {
    assert!(
        projector.wait_for(position, LONG).await,
        "{:?}",
        projector.failed()
    );
    let digest = tables
        .checkpoint()
        .await
        .expect("the tables can be read")
        .digest;
    assert_eq!(
        tables.scan_digest().await.expect("the tables can be read"),
        digest,
        "the tables hold what they say"
    );
    digest
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_from_any_checkpoint_equals_no_interruption() {
    let app = TestApp::start(PROGRAMME).await;
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    for round in 0..6 {
        play(&app, round).await;
        let projector = start(&app.service, &tables);
        let head = app.service.log.store().head();
        if round % 2 == 0 {
            projector.wait_for(head, LONG).await;
        }
        // Dropped in the middle of whatever it is at, as by a crash, but never two at a time.
        projector.stop().await;
        let reopened = Tables::open(directory.path()).await.unwrap();
        let projector = start(&app.service, &reopened);
        let resumed = digest_at(&projector, &reopened, head).await;
        assert!(app.service.projector.wait_for(head, LONG).await);
        assert_eq!(
            resumed,
            app.service.tables.checkpoint().await.unwrap().digest
        );
        projector.stop().await;
        tables_reopen(&tables, directory.path()).await;
    }
}

async fn tables_reopen(old: &Tables, directory: &std::path::Path) {
    old.close().await;
    assert!(directory.join("readmodels.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_while_facts_come_in_equals_the_live_read_models() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 10).await;
    let service = Arc::clone(&app.service);
    let rebuilding =
        tokio::spawn(async move { service.projector.rebuild(&Control::default()).await });
    play(&app, 10).await;
    let rebuilt = rebuilding.await.unwrap().unwrap();
    assert!(rebuilt.is_identical(), "{rebuilt:?}");
    play(&app, 5).await;
    let head = app.service.log.store().head();
    let live = digest_at(&app.service.projector, &app.service.tables, head).await;
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    let fresh = start(&app.service, &tables);
    assert_eq!(digest_at(&fresh, &tables, head).await, live);
    assert!(app.service.tables.checkpoint().await.unwrap().generation > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_that_are_not_what_the_log_says_are_built_again() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 8).await;
    let head = app.service.log.store().head();
    let right = digest_at(&app.service.projector, &app.service.tables, head).await;
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::open(directory.path()).await.unwrap();
    let projector = start(&app.service, &tables);
    digest_at(&projector, &tables, head).await;
    projector.stop().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("readmodels.sqlite"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for sql in [
        "DELETE FROM postings WHERE number = 3",
        "UPDATE meta SET digest = zeroblob(32)",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    pool.close().await;
    let tables = Tables::open(directory.path()).await.unwrap();
    let projector = start(&app.service, &tables);
    assert_eq!(digest_at(&projector, &tables, head).await, right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_cannot_be_folded_stops_the_projector_where_it_is() {
    let app = TestApp::start(PROGRAMME).await;
    play(&app, 3).await;
    let before = app.service.log.store().head();
    app.service.append(poison(&app)).await.unwrap();
    play(&app, 1).await;
    let projector = &app.service.projector;
    let head = app.service.log.store().head();
    assert!(!projector.wait_for(head, LONG).await);
    let why = projector.failed().expect("it says why");
    assert!(why.contains(&format!("position {}", before + 1)), "{why}");
    assert_eq!(projector.position(), before);
    let tables = &app.service.tables;
    assert_eq!(
        tables.scan_digest().await.unwrap(),
        tables.checkpoint().await.unwrap().digest
    );
}

/// A line that is kept but is no fact of its type.
pub(crate) fn poison(app: &TestApp) -> Append {
    let fact = Fact::AdjustmentPosted(AdjustmentPosted {
        partner: "p1".parse().expect("a slug"),
        amount_minor: 1,
        currency: postbook_schemas::Currency::USD,
        reason: "x".to_owned(),
        proposal_id: None,
        agreed_because: None,
    });
    let id: FactId = app.service.clock.new_id();
    let mut draft = Draft::new(id, None, "test".into(), Source::default(), &fact);
    draft.data = br#"{"partner":"p1"}"#.to_vec();
    Append {
        draft,
        unique: None,
        not_at: Vec::new(),
        references: Vec::new(),
        seat: None,
        with_previous: false,
    }
}
