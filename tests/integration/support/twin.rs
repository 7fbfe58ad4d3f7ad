//! Read models on a server beside an app's own: the same digest, and the same answer to everything.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use postbook::{
    clock::Clock,
    secrets::{Role, Scope},
};
use serde_json::Value;

use super::{
    app::{Sender, TestApp},
    postgres::Schema,
};

const LONG: Duration = Duration::from_mins(1);

/// Questions that lead to more of them: by what of their items, and to which.
const LEADING: [(&str, &str, &[&str]); 5] = [
    (
        "/v1/conversions?sandbox=true",
        "id",
        &[
            "/v1/conversions/{}",
            "/v1/conversions/{}/timeline",
            "/v1/conversions/{}/explain",
        ],
    ),
    (
        "/v1/attempts",
        "id",
        &["/v1/attempts/{}", "/v1/attempts/{}/checks"],
    ),
    (
        "/v1/payouts",
        "id",
        &["/v1/payouts/{}", "/v1/payouts/{}/explain"],
    ),
    (
        "/v1/statements",
        "id",
        &["/v1/statements/{}", "/v1/statements/{}/explain"],
    ),
    (
        "/v1/postings",
        "partner",
        &[
            "/v1/partners/{}/balances",
            "/v1/partners/{}/balances?as_of=2026-04-11T10:00:00Z",
            "/v1/partners/{}/balances?as_of=2026-05-01T00:00:00Z&known_at=2026-04-20T00:00:00Z",
            "/v1/partners/{}/balances/explain",
            "/v1/partners/{}/statements",
            "/v1/postings?partner={}",
            "/v1/clawbacks?partner={}",
            "/v1/conversions?partner={}&status=approved",
            "/v1/conversions?partner={}&status=pending",
            "/v1/conversions?partner={}&status=rejected",
            "/v1/payouts?partner={}",
        ],
    ),
];

/// Questions on their own.
const OTHERS: [&str; 15] = [
    "/v1/trial-balance",
    "/v1/trial-balance?as_of=2026-05-01T00:00:00Z",
    "/v1/parked",
    "/v1/periods",
    "/v1/clawbacks",
    "/v1/terms",
    "/v1/adjustments",
    "/v1/attempts?outcome=duplicate",
    "/v1/attempts?outcome=unmatched_click&offer=acme/casino",
    "/v1/attempts?differs=true",
    "/v1/attempts?txn_id=%00",
    "/v1/attempts?from=2026-04-01T00:00:00Z&to=2026-05-01T00:00:00Z",
    "/v1/conversions?txn_id=nobody%27s",
    "/v1/conversions?from=2026-04-01T00:00:00Z&to=2026-06-01T00:00:00Z",
    "/v1/postings?period=2026-04",
];

/// Projects the app's log onto a server too and compares, if there is one.
pub(crate) async fn answers_alike(app: &TestApp) {
    let Some(schema) = Schema::make().await else {
        return;
    };
    let token = app.token(Role::Admin, Scope::All).await;
    let twin = app.beside(schema).await;
    let projector = &twin.service.projector;
    let caught_up = projector.wait_for_head(LONG).await;
    assert!(
        caught_up,
        "{:?} {:?}",
        projector.failed(),
        projector.trouble()
    );
    assert!(app.service.projector.wait_for_head(LONG).await);
    let tables = &twin.service.tables;
    let checkpoint = tables.checkpoint().await.expect("they can be read");
    let own = app.service.tables.checkpoint().await;
    assert_eq!(checkpoint.digest, own.expect("they can be read").digest);
    let scanned = tables.scan_digest().await.expect("they can be read");
    assert_eq!(scanned, checkpoint.digest, "the tables hold what they say");
    let now = twin.clock.now();
    let unlike = tables.unlike_balances(now).await.expect("they can be read");
    assert_eq!(unlike, Vec::<String>::new());
    let unsound = tables.unsound_balances().await.expect("they can be read");
    assert_eq!(unsound, Vec::<String>::new());
    let (here, there) = (app.with_token(token.clone()), twin.with_token(token));
    let mut asked = 0;
    for (path, key, further) in LEADING {
        let items = compare(&here, &there, path).await;
        let keys: BTreeSet<&str> = items.iter().filter_map(|item| item[key].as_str()).collect();
        for one in keys.iter().take(40) {
            for next in further {
                compare(&here, &there, &next.replace("{}", one)).await;
                asked += 1;
            }
        }
    }
    for path in OTHERS {
        compare(&here, &there, path).await;
    }
    assert!(asked > 0, "there is something to ask");
    twin.service.projector.stop().await;
}

/// The items of an answer, which must be the same in both.
async fn compare(here: &Sender<'_>, there: &Sender<'_>, path: &str) -> Vec<Value> {
    let (own, other) = (here.get(path).await, there.get(path).await);
    assert_eq!(
        own.status,
        other.status,
        "{path}: {} {}",
        own.text(),
        other.text()
    );
    assert_ne!(own.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    assert_eq!(own.text(), other.text(), "{path}");
    if own.status != StatusCode::OK {
        return Vec::new();
    }
    own.json()["items"].as_array().cloned().unwrap_or_default()
}
