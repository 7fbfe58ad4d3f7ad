//! The log on PostgreSQL: several nodes at once, connections that break, and who may do what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use postbook::{
    clock::{Clock, SystemClock},
    secrets::{Role, Scope},
    service::{Options, Service},
    store::{
        Append, Appended, Filter, LogStore, StoreError,
        postgres::{PostgresStore, Server},
    },
};
use postbook_schemas::{
    Currency, Fact, OfferRef, Slug, Source, configuration::Brand, envelope::Draft,
};
use rand::RngExt;
use sqlx::{AssertSqlSafe, Connection};

use crate::support::{
    disturbance::{Pauses, Progress},
    facts::{click, head, keyed, position, report},
    postgres::Schema,
    proxy::Proxy,
    stores::{at, click_ids, numbers, seen},
};

async fn open(url: &str) -> Arc<PostgresStore> {
    let server = Server::parse(url).expect("the URL is one");
    let store = PostgresStore::open(server, None, click_ids()).await;
    Arc::new(store.expect("the log opens"))
}

/// Reads on while others append: nothing appears behind what was read.
async fn read_in_order(node: Arc<PostgresStore>, end: u64) {
    let mut next = 1;
    while next <= end {
        let page = node.read(next, u64::MAX, Filter::ALL, 4_000).await;
        let page = page.expect("the log can be read");
        for (position, _) in page.lines() {
            assert_eq!(position, next, "nothing appears behind a reader");
            next += 1;
        }
        assert_eq!(page.next, next);
        tokio::task::yield_now().await;
    }
}

/// Three nodes append the same keys at once; readers of all of them see every position once, in
/// order, and nothing appears behind what they have read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_append_at_once_and_agree_on_order_and_keys() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(open(&schema.url()).await);
    }
    let mut working = tokio::task::JoinSet::new();
    for (number, node) in (0_u64..).zip(&nodes) {
        let node = Arc::clone(node);
        working.spawn(async move {
            let mut answers = Vec::new();
            for round in 0..120_u64 {
                // Every node appends every key, and a click of its own.
                let own = 1_000_000 + number * 10_000 + round;
                let group = vec![keyed(round * 2), click(own), keyed(round * 2 + 1)];
                let appended = node.append(group, at(0)).await.expect("it is appended");
                let found = node.find(&format!("key-{}", round * 2)).await;
                assert_eq!(found.unwrap(), Some(position(&appended[0])));
                answers.push((round, own, appended));
            }
            answers
        });
    }
    let reading = tokio::spawn(read_in_order(Arc::clone(&nodes[0]), 600));
    let mut of_key: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut of_click = BTreeMap::new();
    while let Some(answers) = working.join_next().await {
        for (round, own, appended) in answers.unwrap() {
            of_key
                .entry(round * 2)
                .or_default()
                .insert(position(&appended[0]));
            of_key
                .entry(round * 2 + 1)
                .or_default()
                .insert(position(&appended[2]));
            of_click.insert(own, appended[1]);
        }
    }
    let timed = tokio::time::timeout(Duration::from_secs(30), reading).await;
    timed.expect("the reader sees all").unwrap();
    assert!(of_key.values().all(|positions| positions.len() == 1));
    let end = 240 + 360;
    for node in &nodes {
        seen(&**node, end).await;
        assert_eq!(node.head(), end);
        assert_eq!(
            node.root(end).await.unwrap(),
            nodes[0].root(end).await.unwrap()
        );
        node.check(&|_| {}).await.unwrap();
        for (&own, appended) in &of_click {
            let Appended::At {
                position, click_id, ..
            } = *appended
            else {
                unreachable!("a click without a key is always appended");
            };
            assert_eq!(click_id, Some(click_ids().encode(position)));
            let found = node.clicks(vec![position]).await.unwrap();
            assert_eq!(found, [Some(head(own))]);
        }
    }
    assert_eq!(numbers(&*nodes[1]).await, numbers(&*nodes[2]).await);
}

/// What one node has confirmed, another finds when it is asked for it, although nobody told it yet.
#[tokio::test]
async fn a_node_finds_what_another_has_confirmed_just_now() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let (one, other) = (open(&schema.url()).await, open(&schema.url()).await);
    for number in 0..100 {
        one.append(vec![keyed(number)], at(0)).await.unwrap();
        // Longer than what a node takes for fresh.
        tokio::time::sleep(Duration::from_millis(6)).await;
        let found = other.find(&format!("key-{number}")).await.unwrap();
        assert_eq!(found, Some(number + 1));
    }
}

/// Connections break at any moment, most of all between a commit and its answer: an append that
/// says it was done is there once, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_nothing_and_double_nothing() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let proxy = Arc::new(Proxy::start(schema.host()).await);
    let node = open(&schema.url_by_way_of(proxy.address)).await;
    let neighbour = open(&schema.url()).await;
    let progress = Arc::new(Progress::default());
    let appending = {
        let (node, progress) = (Arc::clone(&node), Arc::clone(&progress));
        tokio::spawn(async move {
            let mut confirmed = BTreeMap::new();
            let mut number = 0;
            while !progress.is_over() {
                // Without keys: nothing but the store itself can tell a repetition.
                let group = vec![report(number, None, &[]), report(number + 1, None, &[])];
                let appended = node.append(group, at(0)).await.expect("it rides out a cut");
                confirmed.insert(number, position(&appended[0]));
                confirmed.insert(number + 1, position(&appended[1]));
                number += 2;
                progress.step();
            }
            confirmed
        })
    };
    let mut pauses = Pauses::new(Duration::from_micros(100)..Duration::from_millis(20));
    let mut others = 0;
    for _ in 0..120 {
        pauses.pause(&progress).await;
        if pauses.random().random_bool(0.5) {
            let group = vec![report(1_000_000 + others, None, &[])];
            neighbour.append(group, at(0)).await.unwrap();
            others += 1;
        }
        proxy.swallow_and_cut(pauses.random()).await;
    }
    progress.end();
    let confirmed = appending.await.unwrap();
    let all = confirmed.len() as u64 + others;
    seen(&*neighbour, all).await;
    let numbers = numbers(&*neighbour).await;
    assert_eq!(numbers.len() as u64, all);
    for (number, position) in confirmed {
        let index = usize::try_from(position).unwrap() - 1;
        assert_eq!(numbers[index], number, "it is where the answer said");
    }
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "nothing is there twice");
    node.check(&|_| {}).await.unwrap();
}

/// Somebody else ends the node's sessions on the server, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_by_the_server_are_made_again() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let name = format!("node-{:016x}", rand::random::<u64>());
    let node = open(&format!("{}&application_name={name}", schema.url())).await;
    let mut killer = schema.connect().await;
    let progress = Arc::new(Progress::default());
    let appending = {
        let (node, progress) = (Arc::clone(&node), Arc::clone(&progress));
        tokio::spawn(async move {
            let mut number = 0;
            while !progress.is_over() {
                let group = vec![report(number, None, &[])];
                let appended = node.append(group, at(0)).await.expect("it rides it out");
                number += 1;
                assert_eq!(position(&appended[0]), number);
                assert!(node.read_one(number).await.unwrap().is_some());
                progress.step();
            }
            number
        })
    };
    let mut pauses = Pauses::new(Duration::from_millis(5)..Duration::from_millis(35));
    for _ in 0..80 {
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
        );
        let ended = ended.bind(&name);
        ended.fetch_all(&mut killer).await.unwrap();
        pauses.pause(&progress).await;
    }
    progress.end();
    let appended = appending.await.unwrap();
    assert_eq!(node.head(), appended);
    node.check(&|_| {}).await.unwrap();
}

/// A server that cannot be reached is an error after a while, and at once for those who come later;
/// the log goes on once it is back.
#[tokio::test]
async fn a_server_that_is_away_is_an_error_and_then_is_not() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let proxy = Proxy::start(schema.host()).await;
    let node = open(&schema.url_by_way_of(proxy.address)).await;
    node.append(vec![keyed(1)], at(0)).await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    let failed = node.append(vec![keyed(2)], at(0)).await;
    assert!(
        matches!(failed, Err(StoreError::Failed { .. })),
        "{failed:?}"
    );
    let started = tokio::time::Instant::now();
    node.append(vec![keyed(2)], at(0)).await.unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "it is refused at once"
    );
    proxy.refuse(false);
    let appended = node.append(vec![keyed(1), keyed(2)], at(0)).await.unwrap();
    assert_eq!(appended[0], Appended::Known { position: 1 });
    assert!(matches!(appended[1], Appended::At { position: 2, .. }));
}

/// Whoever calls `append` may go away while the commit is under way.
#[tokio::test]
async fn an_append_that_is_dropped_half_way_is_known_or_gone() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let store = open(&schema.url()).await;
    for number in 0..100_u64 {
        let dropped = store.append(vec![keyed(number)], at(0));
        let after = Duration::from_micros(number * 20);
        let outcome = tokio::time::timeout(after, dropped).await;
        let retried = store.append(vec![keyed(number)], at(0)).await.unwrap();
        assert_eq!(position(&retried[0]), number + 1, "{outcome:?}");
    }
    assert_eq!(store.head(), 100);
    store.check(&|_| {}).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_lost_what_it_confirmed_is_refused() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let proxy = Proxy::start(schema.host()).await;
    let node = open(&schema.url_by_way_of(proxy.address)).await;
    for number in 0..3 {
        node.append(vec![keyed(number)], at(0)).await.unwrap();
    }
    // As after a restore, or a failover to a standby that was behind.
    proxy.cut();
    schema
        .run(
            "ALTER TABLE log_groups DISABLE TRIGGER log_is_immutable; \
             DELETE FROM log_groups WHERE first_position = 3",
        )
        .await;
    for _ in 0..2 {
        let refused = node.append(vec![keyed(7)], at(0)).await;
        assert!(
            matches!(refused, Err(StoreError::Damaged { position: 3, .. })),
            "{refused:?}"
        );
    }
    // A node that is started anew knows nothing of what was lost.
    let anew = open(&schema.url()).await;
    let appended = anew.append(vec![keyed(7)], at(0)).await.unwrap();
    assert_eq!(position(&appended[0]), 3);
}

#[tokio::test]
async fn the_server_itself_refuses_changes_of_the_log() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let store = open(&schema.url()).await;
    store.append(vec![keyed(1)], at(0)).await.unwrap();
    let mut connection = schema.connect().await;
    for change in [
        "UPDATE log_groups SET count = 2",
        "DELETE FROM log_groups",
        "TRUNCATE log_groups",
    ] {
        let refused = sqlx::raw_sql(change).execute(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("never changed"));
    }
}

/// The role of `docs/operating.md` can run a node, and neither change nor remove anything of the log.
#[tokio::test]
async fn a_role_that_may_only_add_is_enough_for_a_node() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let data = tempfile::tempdir().unwrap();
    node(&schema.url(), data.path()).await.shut_down().await;
    let role = format!("role_{:016x}", rand::random::<u64>());
    schema
        .run(&format!(
            "CREATE ROLE {role} LOGIN; \
             DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO {role}', current_schema()); END $$; \
             GRANT SELECT, INSERT ON log_groups TO {role}; GRANT SELECT ON log_meta TO {role}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON keys, tokens, offer_secrets, unrecorded, \
             secrets_version TO {role}"
        ))
        .await;
    let url = schema.url();
    let (before, rest) = url.split_once("//").expect("a URL");
    let (_, after) = rest.split_once('@').expect("it names a user");
    let url = format!("{before}//{role}@{after}");
    let node = node(&url, data.path()).await;
    let now = SystemClock.now();
    let made = node
        .secrets
        .create_token(Role::Viewer, "v", Scope::All, now);
    made.await.unwrap();
    let store = node.log.store();
    store.append(vec![keyed(1), click(2)], at(0)).await.unwrap();
    let many = (3..5_000).map(keyed).collect();
    store.append(many, at(0)).await.unwrap();
    store.check(&|_| {}).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    for change in [
        "DELETE FROM log_groups",
        "ALTER TABLE log_groups DISABLE TRIGGER ALL",
    ] {
        let refused = sqlx::raw_sql(change).execute(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("log_groups"));
    }
    connection.close().await.unwrap();
    node.shut_down().await;
    schema
        .run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_log_opened_for_reading_shows_what_was_there_and_makes_nothing() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let server = Server::parse(&schema.url()).unwrap();
    let nothing = PostgresStore::open_to_read(server.clone(), None, click_ids()).await;
    assert!(nothing.unwrap_err().to_string().contains("no log"));
    let writer = open(&schema.url()).await;
    writer.append(vec![keyed(1)], at(0)).await.unwrap();
    let reader = PostgresStore::open_to_read(server, None, click_ids()).await;
    let reader = reader.unwrap();
    writer.append(vec![keyed(2)], at(0)).await.unwrap();
    assert_eq!(
        (reader.head(), reader.find("key-2").await.unwrap()),
        (1, None)
    );
    let refused = reader.append(vec![keyed(3)], at(0)).await;
    assert!(matches!(refused, Err(StoreError::Closed(_))));
}

#[tokio::test]
async fn a_second_process_on_the_data_directory_of_a_node_is_refused() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::parse(&schema.url()).unwrap();
    let open = || PostgresStore::open(server.clone(), Some(directory.path()), click_ids());
    let node = open().await.unwrap();
    assert!(matches!(open().await, Err(StoreError::InUse(_))));
    node.close().await;
    open().await.unwrap();
}

/// Every column is damaged in turn; the check names the row's first position, or a later one in it.
#[tokio::test]
async fn damage_is_found_and_located() {
    let damages = [
        "count = count + 1",
        "recorded_to = recorded_to + 1",
        "types = types | 2",
        "keys = ''",
        "places = '\\x0102'",
        "frontier = (SELECT frontier FROM log_groups WHERE first_position = 1)",
        "facts = (SELECT facts FROM log_groups WHERE first_position = 1)",
        "clicks = (SELECT clicks FROM log_groups WHERE first_position = 1)",
        "heads = (SELECT heads FROM log_groups WHERE first_position = 1)",
        "facts = substr(facts, 1, 20)",
    ];
    let Some(schema) = Schema::make().await else {
        return;
    };
    let store = open(&schema.url()).await;
    for number in [1_u64, 4, 7] {
        let facts = vec![click(number), keyed(number + 1), click(number + 2)];
        store.append(facts, at(number.cast_signed())).await.unwrap();
    }
    store.check(&|_| {}).await.unwrap();
    schema
        .run("ALTER TABLE log_groups DISABLE TRIGGER log_is_immutable")
        .await;
    let mut connection = schema.connect().await;
    for damage in damages {
        schema
            .run("CREATE TABLE kept AS SELECT * FROM log_groups")
            .await;
        let statement = format!("UPDATE log_groups SET {damage} WHERE first_position = 4");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
        let found = store.check(&|_| {}).await;
        assert!(
            matches!(
                found,
                Err(StoreError::Damaged {
                    position: 4..=6,
                    ..
                })
            ),
            "{damage}: {found:?}"
        );
        schema
            .run("DELETE FROM log_groups; INSERT INTO log_groups SELECT * FROM kept; DROP TABLE kept")
            .await;
    }
    schema
        .run("DELETE FROM log_groups WHERE first_position = 4")
        .await;
    let found = store.check(&|_| {}).await;
    assert!(
        matches!(found, Err(StoreError::Damaged { position: 4, .. })),
        "{found:?}"
    );
}

async fn node(url: &str, data: &std::path::Path) -> Arc<Service> {
    let options = Options {
        data: data.to_owned(),
        log: Some(url.to_owned()),
        projections: None,
        secrets_key_file: None,
        node: None,
    };
    let service = Service::open(&options, Arc::new(SystemClock)).await;
    Arc::new(service.expect("the node opens"))
}

/// What is changed on one node holds on the others: the programme, tokens, offers' secrets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_configuration_reach_other_nodes() {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let (at_one, at_other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = schema.url();
    let (one, other) = tokio::join!(node(&url, at_one.path()), node(&url, at_other.path()));

    assert_eq!(one.secrets.click_id_key(), other.secrets.click_id_key());
    let watching = tokio::spawn(Arc::clone(&other).watch_programme());
    let brand = Fact::BrandDefined(Brand {
        slug: Slug::try_new("acme").unwrap(),
        name: None,
        currency: Currency::USD,
        bank: None,
    });
    let id = SystemClock.new_id();
    let append = Append {
        draft: Draft::new(id, None, "test".into(), Source::default(), &brand),
        ..report(1, None, &[])
    };
    one.append(append).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while other.directory.load().brand("acme").is_none() {
        assert!(tokio::time::Instant::now() < deadline, "the brand arrives");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = SystemClock.now();
    let made = one.secrets.create_token(Role::Viewer, "v", Scope::All, now);
    let (info, token) = made.await.unwrap();
    assert!(other.secrets.refresh().await.unwrap());
    assert!(other.secrets.verify_token(token.reveal()).is_some());
    other
        .secrets
        .revoke_token(&info.id, now, None)
        .await
        .unwrap();
    assert!(one.secrets.refresh().await.unwrap());
    assert!(one.secrets.verify_token(token.reveal()).is_none());
    let casino = OfferRef::try_new("acme/casino").unwrap();
    let made = other.secrets.rotate_offer_secret(&casino, 0, now).await;
    let (_, secret) = made.unwrap();
    assert!(one.secrets.refresh().await.unwrap());
    let check = one
        .secrets
        .verify_offer_secret("acme/casino", secret.reveal(), now);
    assert!(matches!(check, postbook::secrets::SecretCheck::Valid(_)));
    watching.abort();
    one.shut_down().await;
    other.shut_down().await;
}
