//! The roles of `docs/operating.md` and `docs/reference/read-models.md`, made by the very statements that
//! stand there: what each of them needs it may do, and nothing else.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::block_in_place;

use crate::{
    docs::blocks,
    support::{
        postgres::Database,
        process::{Caller, Place, SHOP, Serving},
        repository::read,
    },
};

/// A database whose roles are those of the documents, under names of their own.
struct Documented {
    database: Database,
}

impl Documented {
    /// With the owner's tables, and nodes let in.
    async fn make() -> Option<Self> {
        let made = Self {
            database: Database::make().await?,
        };
        made.run("docs/operating.md", "CREATE ROLE postbook_owner")
            .await;
        let owner = [format!("--log={}", made.url("postbook_owner"))];
        block_in_place(|| drop(Place::with_elsewhere(SHOP, &owner)));
        made.run("docs/operating.md", "GRANT SELECT, INSERT ON")
            .await;
        Some(made)
    }

    /// A role's or schema's name here.
    fn name(&self, documented: &str) -> String {
        documented.replace("postbook", &self.database.name)
    }

    fn url(&self, role: &str) -> String {
        self.database.url(&self.name(role))
    }

    /// Runs the documented statements that begin so.
    async fn run(&self, document: &str, beginning: &str) {
        let found = blocks(&read(document), "sql");
        let found = found.into_iter().find(|sql| sql.starts_with(beginning));
        let statements = found.expect("the document has them");
        let reader = format!("{}_bi", self.database.name);
        let statements = statements
            .replace("ROLE bi", &format!("ROLE {reader}"))
            .replace("TO bi", &format!("TO {reader}"));
        self.database.run(&self.name(&statements)).await;
    }

    async fn connect(&self, role: &str) -> PgConnection {
        let connection = PgConnection::connect(&self.url(role)).await;
        connection.expect("the role may connect")
    }

    /// What a role may not do is refused, and the server says that it is for want of a privilege.
    async fn assert_refused(&self, role: &str, statements: &[&str]) {
        let mut connection = self.connect(role).await;
        for statement in statements {
            let statement = self.name(statement);
            let refused = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
                .execute(&mut connection)
                .await;
            let refused = refused.expect_err(&statement);
            let Some(told) = refused.as_database_error() else {
                unreachable!("{statement}: {refused}");
            };
            assert_eq!(told.code().as_deref(), Some("42501"), "{statement}: {told}");
        }
        connection.close().await.expect("it closes");
    }
}

fn sale(number: usize) -> Value {
    json!({"event": "sale", "value": 100_000, "currency": "USD", "txn_id": format!("T{number}"),
        "customer_id": format!("c-{number}"), "coupon_code": "ONE"})
}

async fn sell(caller: &Caller, number: usize) {
    let (status, answer) = caller.post("/postback", &sale(number)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

async fn earned(caller: &Caller, sales: usize) {
    let conversions = caller.get("/v1/conversions").await;
    let items = conversions["items"].as_array().expect("a list");
    assert_eq!(items.len(), sales, "{conversions}");
}

/// A what-if is tried on one node, and found on another.
async fn try_whatif(caller: &Caller) {
    let draft = SHOP.replace("10%", "12%");
    let body = json!({"files": [{"name": "draft.toml", "text": draft}]});
    let made = caller.done("/v1/whatifs", &body).await;
    let hash = made["hash"].as_str().expect("a hash");
    for _ in 0..2 {
        caller.get(&format!("/v1/whatifs/{hash}")).await;
    }
}

/// Rebuilds on the node that projects, and releases what was before.
async fn rebuild(servings: &[Serving], caller: &Caller) {
    let mut projecting = None;
    for number in 0..servings.len() {
        let node = caller.only(number);
        if node.get("/readyz").await["role"] == "projecting" {
            projecting = Some(node);
        }
    }
    let node = projecting.expect("one projects");
    node.done("/v1/rebuilds", &json!({})).await;
    let last = loop {
        let last = node.get("/v1/rebuilds/last").await;
        if last["state"] != "running" {
            break last;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(last["state"], "identical", "{last}");
    let released = node.done("/v1/generations/release", &json!({})).await;
    assert_eq!(released["items"][0]["number"], 1, "{released}");
}

/// Rebuilds from the command line, as soon as the lease of the nodes that were killed has ended.
fn replay(place: &Place) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = place.run(&["replay"]);
        if output.status.success() {
            return;
        }
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(Instant::now() < deadline, "{output:?}");
    }
}

/// Two nodes, each of which may add to the log and nothing else, with the role of the read models beside
/// it, and a BI tool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_roles_are_enough_and_may_nothing_else() {
    let Some(roles) = Documented::make().await else {
        return;
    };
    roles
        .run("docs/operating.md", "CREATE ROLE postbook_models")
        .await;
    let elsewhere = [
        format!("--log={}", roles.url("postbook")),
        format!("--projections={}", roles.url("postbook_models")),
    ];
    let places = [Place::elsewhere(&elsewhere), Place::elsewhere(&elsewhere)];
    let token = block_in_place(|| places[0].token("admin", "ann"));
    let servings = block_in_place(|| places.each_ref().map(Place::serve));
    let caller = Caller::of(&servings, &token);
    for number in 0..6 {
        sell(&caller, number).await;
        earned(&caller, number + 1).await;
    }
    try_whatif(&caller).await;
    rebuild(&servings, &caller).await;
    sell(&caller, 6).await;
    earned(&caller, 7).await;
    drop(servings);
    block_in_place(|| {
        let looked = places[0].done(&["doctor"]);
        assert!(looked.contains("may not change the log"), "{looked}");
        places[1].done(&["verify"]);
        replay(&places[0]);
    });
    roles
        .run("docs/reference/read-models.md", "CREATE ROLE bi")
        .await;
    let mut tool = roles.connect("postbook_bi").await;
    let counted = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM conversions_view");
    assert_eq!(counted.fetch_one(&mut tool).await.expect("it may read"), 7);
    tool.close().await.expect("it closes");
    let of_the_log = [
        "SELECT * FROM postbook.log_groups",
        "SELECT * FROM postbook.keys",
        "SELECT * FROM postbook.tokens",
        "CREATE TABLE postbook.more (one int)",
    ];
    roles.assert_refused("postbook_models", &of_the_log).await;
    roles.assert_refused("postbook_bi", &of_the_log).await;
    let of_others = [
        "SELECT * FROM touches",
        "SELECT * FROM read_models",
        "SELECT * FROM projection_lease",
        "DELETE FROM postings",
        "SELECT * FROM postbook_models_g3.conversions",
        "CREATE TABLE postbook_models.more (one int)",
    ];
    roles.assert_refused("postbook_bi", &of_others).await;
    let of_a_node = [
        "UPDATE log_groups SET count = 2",
        "DELETE FROM log_groups",
        "TRUNCATE log_groups",
        "ALTER TABLE log_groups DISABLE TRIGGER ALL",
        "UPDATE log_meta SET value = ''",
        "CREATE TABLE more (one int)",
        "CREATE OR REPLACE FUNCTION log_next() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
        "SELECT * FROM postbook_models.conversions",
        "DELETE FROM postbook_models_g3.conversions",
    ];
    roles.assert_refused("postbook", &of_a_node).await;
}

/// Nodes with read models of their own keep what-ifs beside the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_read_models_of_their_own_need_a_table_for_what_ifs() {
    let Some(roles) = Documented::make().await else {
        return;
    };
    roles
        .run("docs/operating.md", "CREATE TABLE postbook.whatifs")
        .await;
    let elsewhere = [format!("--log={}", roles.url("postbook"))];
    let places = [Place::elsewhere(&elsewhere), Place::elsewhere(&elsewhere)];
    let token = block_in_place(|| places[0].token("admin", "ann"));
    let servings = block_in_place(|| places.each_ref().map(Place::serve));
    let caller = Caller::of(&servings, &token);
    for number in 0..4 {
        sell(&caller, number).await;
        earned(&caller, number + 1).await;
    }
    try_whatif(&caller).await;
}
