//! Money that many want to move at once, over real connections to a real process: exactly one does,
//! the others are told why, and the books are right afterwards, also after the process was killed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    postgres::Schema,
    process::{Caller, Place, Serving},
};

const PROGRAMME: &str = r#"
[[brand]]
slug = "acme"
[[offer]]
brand = "acme"
slug = "shop"
destination = "https://acme.example/"
[[partner]]
slug = "p1"
second_person_above = "10.00"
[[coupon]]
code = "ONE"
offer = "acme/shop"
partner = "p1"
[[terms]]
offer = "acme/shop"
effective_from = 2026-01-01T00:00:00Z
[[terms.rule]]
id = "share"
on = "sale"
revshare = "10%"
"#;

/// How many ask at once.
const MANY: usize = 24;

/// A desk with two people of the finance department, and 100.00 payable to p1. Their requests go to
/// all nodes in turn.
struct Desk {
    places: Vec<Place>,
    servings: Vec<Serving>,
    tokens: [String; 3],
    /// Where the log is that nodes share; it goes last.
    _schema: Option<Schema>,
}

impl Desk {
    fn of_one_node() -> Self {
        Self::open(vec![Place::with(PROGRAMME)], None)
    }

    /// Two nodes on one log, each with read models of its own or both with the same; none without a
    /// server for it.
    async fn of_two_nodes(share_read_models: bool) -> Option<Self> {
        let schema = Schema::make().await?;
        let mut elsewhere = vec![format!("--log={}", schema.url())];
        if share_read_models {
            elsewhere.push(format!("--projections={}", schema.url()));
        }
        let places = vec![
            Place::with_elsewhere(PROGRAMME, &elsewhere),
            Place::elsewhere(&elsewhere),
        ];
        Some(Self::open(places, Some(schema)))
    }

    fn open(places: Vec<Place>, schema: Option<Schema>) -> Self {
        let place = &places[0];
        place.write(
            "sales.csv",
            "txn_id,coupon_code,amount,timestamp\nA,ONE,1000.00,2026-01-10T09:00:00Z\n",
        );
        let import = ["import", "postbacks", "sales.csv", "--offer", "acme/shop"];
        place.done(&import);
        let tokens = [("finance", "finn"), ("finance", "fay"), ("admin", "ann")];
        let tokens = tokens.map(|(role, name)| place.token(role, name));
        Self {
            servings: places.iter().map(Place::serve).collect(),
            places,
            tokens,
            _schema: schema,
        }
    }

    fn two(&self) -> [Caller; 2] {
        [0, 1].map(|number| self.caller(number))
    }

    fn admin(&self) -> Caller {
        self.caller(2)
    }

    /// Pays what is payable to p1, and takes the conversion back: 100.00 are owed.
    async fn owes(&self, finn: &Caller, fay: &Caller) {
        let why = json!({"reason": "x"});
        let payout = finn
            .done("/v1/payouts", &json!({"partner": "p1", "reason": "x"}))
            .await;
        for step in ["approve", "settle"] {
            fay.done(&format!("/v1/payouts/{}/{step}", id(&payout)), &why)
                .await;
        }
        let malus =
            json!({"conversion_id": conversion(finn).await, "decision": "reverse", "reason": "x"});
        self.admin().done("/v1/decisions", &malus).await;
    }

    fn caller(&self, number: usize) -> Caller {
        Caller::of(&self.servings, &self.tokens[number])
    }

    async fn kill_and_start_again(&mut self) {
        self.servings.iter_mut().for_each(Serving::kill);
        self.servings = self.places.iter().map(Place::serve).collect();
        // After a kill of all nodes the lease of the read models has to end first.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            for serving in &self.servings {
                let told = serving.caller(&self.tokens[0]).get("/healthz").await;
                if told["role"] == "projecting" {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "nobody projects");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The program's own check of log, tables, balances and statements, on each node.
    fn verify(mut self) {
        self.servings.iter_mut().for_each(Serving::kill);
        for place in &self.places {
            place.done(&["verify"]);
        }
    }
}

/// Each story happens at a desk of one node and at two of two.
macro_rules! at_desks {
    ($($name:ident;)+) => {
        mod one_node {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                super::$name(super::Desk::of_one_node()).await;
            })+
        }

        mod two_nodes {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                if let Some(desk) = super::Desk::of_two_nodes(false).await {
                    super::$name(desk).await;
                }
            })+
        }

        mod two_nodes_with_the_same_read_models {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                if let Some(desk) = super::Desk::of_two_nodes(true).await {
                    super::$name(desk).await;
                }
            })+
        }
    };
}

at_desks! {
    of_many_proposals_approvals_and_closes_one_wins_each_also_after_a_kill;
    approval_and_refusal_at_once_leave_one_of_them_in_force;
    a_debt_is_given_up_once_whoever_agrees_declines_or_asks_at_the_same_time;
    what_is_sent_again_under_its_key_is_done_once_and_answered_alike_also_after_a_kill;
    an_adjustment_and_a_write_off_at_once_do_not_pass_the_limit_together;
    a_debt_is_recovered_or_given_up_but_not_both_at_once;
    of_many_who_change_the_programme_each_sees_what_the_others_did;
}

type Answer = (StatusCode, Value);

/// The same from many at once, alternating between these callers and paths.
async fn all_at_once(asked: &[(&Caller, String)], body: &Value) -> Vec<Answer> {
    let tasks = (0..MANY).map(|number| {
        let (caller, path) = &asked[number % asked.len()];
        let (caller, path, body) = (Caller::clone(caller), path.clone(), body.clone());
        tokio::spawn(async move { caller.post(&path, &body).await })
    });
    let answers = join_all(tasks).await;
    answers
        .into_iter()
        .map(|answer| answer.expect("no task panics"))
        .collect()
}

/// The one answer of a success; all others are conflicts, each of which says why.
fn only_winner(answers: Vec<Answer>, why: &[&str]) -> Value {
    let (won, lost): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(status, _)| status.is_success());
    for (status, problem) in &lost {
        assert_eq!(*status, StatusCode::CONFLICT, "{problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(why.iter().any(|why| detail.contains(why)), "{detail}");
    }
    assert_eq!(won.len(), 1, "{lost:?}");
    won.into_iter().next().expect("there is one").1
}

fn id(value: &Value) -> &str {
    value["id"].as_str().expect("an id")
}

async fn balance(caller: &Caller) -> Value {
    caller.get("/v1/partners/p1/balances").await["items"][0].clone()
}

async fn of_many_proposals_approvals_and_closes_one_wins_each_also_after_a_kill(mut desk: Desk) {
    let [finn, fay] = desk.two();
    let why = json!({"reason": "x"});
    let propose = json!({"partner": "p1", "reason": "January"});
    let asked = [
        (&finn, "/v1/payouts".to_owned()),
        (&fay, "/v1/payouts".to_owned()),
    ];
    let refusals = ["reserved by open payouts 100.00", "at the same time"];
    let payout = only_winner(all_at_once(&asked, &propose).await, &refusals);
    assert_eq!(payout["amount_minor"], 10_000);
    desk.kill_and_start_again().await;
    let [finn, fay] = desk.two();
    // Whoever proposed it cannot approve it, whichever of the two that was.
    let approve = format!("/v1/payouts/{}/approve", id(&payout));
    let own = finn.post(&approve, &why).await;
    let other = if own.0 == StatusCode::FORBIDDEN {
        &fay
    } else {
        &finn
    };
    if own.0 == StatusCode::FORBIDDEN {
        let answers = all_at_once(&[(other, approve)], &why).await;
        only_winner(answers, &["the payout is approved", "moved on by"]);
    }
    let send = format!("/v1/payouts/{}/send", id(&payout));
    // A file for the bank that is asked for meanwhile has the payout or has it not: it is not refused.
    let files = async {
        for _ in 0..MANY {
            let file = finn.get("/v1/payout-files/csv?state=approved").await;
            assert_eq!(file, Value::Null, "it is no JSON");
        }
    };
    let asked = [(&finn, send.clone()), (&fay, send)];
    let (answers, ()) = tokio::join!(all_at_once(&asked, &why), files);
    only_winner(answers, &["the payout is sent", "moved on by"]);
    let [settle, fail] =
        ["settle", "fail"].map(|step| format!("/v1/payouts/{}/{step}", id(&payout)));
    let last = only_winner(
        all_at_once(&[(&finn, settle), (&fay, fail)], &why).await,
        &[
            "the payout is settled",
            "the payout is failed",
            "moved on by",
        ],
    );
    let paid = if last["state"] == "settled" {
        10_000
    } else {
        0
    };
    let after = balance(&finn).await;
    assert_eq!(after["paid_minor"], paid);
    assert_eq!(after["payable_minor"], 10_000 - paid);
    let close = "/v1/periods/2026-01/close".to_owned();
    let asked = [(&finn, close.clone()), (&fay, close)];
    let closed = only_winner(
        all_at_once(&asked, &why).await,
        &["2026-01 was closed by token:"],
    );
    assert_eq!(closed["statements"].as_array().map(Vec::len), Some(1));
    desk.verify();
}

async fn approval_and_refusal_at_once_leave_one_of_them_in_force(desk: Desk) {
    let [finn, fay] = desk.two();
    let why = json!({"reason": "x"});
    let payout = finn
        .done("/v1/payouts", &json!({"partner": "p1", "reason": "x"}))
        .await;
    let [approve, fail] =
        ["approve", "fail"].map(|step| format!("/v1/payouts/{}/{step}", id(&payout)));
    let answers = all_at_once(&[(&fay, approve), (&finn, fail)], &why).await;
    // What was approved can still fail, once; what failed cannot be approved.
    let done: Vec<_> = answers
        .iter()
        .filter(|(status, _)| status.is_success())
        .collect();
    assert!(!done.is_empty() && done.len() <= 2, "{done:?}");
    // All who would have failed it may have looked before it was approved, and have lost to that.
    let has_failed = done.iter().any(|(_, answer)| answer["state"] == "failed");
    let now = fay.get(&format!("/v1/payouts/{}", id(&payout))).await;
    assert_eq!(now["state"], if has_failed { "failed" } else { "approved" });
    assert_eq!(balance(&finn).await["payable_minor"], 10_000);
    // Amounts that take a second person: agreed to or declined, never both.
    let bonus = json!({"partner": "p1", "amount_minor": 5_000, "reason": "bonus"});
    let proposal = finn.done("/v1/adjustments", &bonus).await;
    let id = proposal["proposal_id"].as_str().expect("a proposal");
    let [approve, decline] =
        ["approve", "decline"].map(|word| format!("/v1/adjustments/{id}/{word}"));
    let (agreed, declined) = (json!({}), json!({"reason": "no"}));
    let tasks = (0..MANY).map(|number| {
        let (caller, path, body) = if number % 2 == 0 {
            (fay.clone(), approve.clone(), agreed.clone())
        } else {
            (finn.clone(), decline.clone(), declined.clone())
        };
        tokio::spawn(async move { caller.post(&path, &body).await })
    });
    let answers = join_all(tasks).await.into_iter();
    let answers = answers
        .map(|answer| answer.expect("no task panics"))
        .collect();
    let won = only_winner(
        answers,
        &["it was agreed to before", "it was declined before"],
    );
    let is_posted = won["type"] == "adjustment.posted";
    let list = finn.get("/v1/adjustments").await;
    let entry = &list["items"][0];
    assert_eq!(
        entry["state"],
        if is_posted { "posted" } else { "declined" }
    );
    let adjusted = if is_posted { 5_000 } else { 0 };
    assert_eq!(balance(&finn).await["adjusted_minor"], adjusted);
    desk.verify();
}

async fn a_debt_is_given_up_once_whoever_agrees_declines_or_asks_at_the_same_time(desk: Desk) {
    let [finn, fay] = desk.two();
    let why = json!({"reason": "x"});
    desk.owes(&finn, &fay).await;
    assert_eq!(balance(&finn).await["outstanding_minor"], 10_000);
    // Sent again and again under one key, a part is given up once.
    let tasks = (0..MANY).map(|_| {
        let body = json!({"partner": "p1", "amount_minor": 100, "reason": "a part"});
        let caller = finn.clone();
        tokio::spawn(async move { caller.post_once("/v1/write-offs", &body, "w1").await })
    });
    assert_eq!(ids_of(join_all(tasks).await).len(), 1);
    assert_eq!(balance(&finn).await["outstanding_minor"], 9_900);
    let large = json!({"partner": "p1", "amount_minor": 9_500, "reason": "insolvent"});
    let proposal = finn.done("/v1/write-offs", &large).await;
    let proposal = proposal["proposal_id"].as_str().expect("a proposal");
    // Once each within the limit of 10.00 that one person may give up alone.
    let small = json!({"partner": "p1", "amount_minor": 800, "reason": "too little"});
    let tasks = (0..MANY).map(|number| {
        let (caller, path, body) = match number % 3 {
            0 => (
                &fay,
                format!("/v1/adjustments/{proposal}/approve"),
                json!({}),
            ),
            1 => (
                &finn,
                format!("/v1/adjustments/{proposal}/decline"),
                why.clone(),
            ),
            _ => {
                let who = if number % 2 == 0 { &finn } else { &fay };
                (who, "/v1/write-offs".to_owned(), small.clone())
            }
        };
        let caller = caller.clone();
        tokio::spawn(async move { (number % 3, caller.post(&path, &body).await) })
    });
    let mut given_up = 0;
    let mut decided = 0;
    let mut proposed = 0;
    for answer in join_all(tasks).await {
        let (which, (status, answer)) = answer.expect("no task panics");
        if !status.is_success() {
            assert_eq!(status, StatusCode::CONFLICT, "{answer}");
            continue;
        }
        if which == 2 && status == StatusCode::ACCEPTED {
            proposed += 1;
            continue;
        }
        given_up += [9_500, 0, 800][which];
        decided += usize::from(which < 2);
    }
    // Too little may be left for what was proposed: then nobody has decided about it.
    assert!(decided <= 1 && given_up <= 9_900, "{decided} {given_up}");
    let alone = given_up - 9_500 * i64::from(given_up >= 9_500);
    assert!(
        alone <= 2 * 800,
        "{alone} given up by two people, and {proposed} proposed"
    );
    let after = balance(&finn).await;
    assert_eq!(after["written_off_minor"], 100 + given_up);
    assert_eq!(after["outstanding_minor"], 9_900 - given_up);
    desk.verify();
}

async fn an_adjustment_and_a_write_off_at_once_do_not_pass_the_limit_together(desk: Desk) {
    let [finn, fay] = desk.two();
    desk.owes(&finn, &fay).await;
    // One amount of 6.00 each is within the limit of 10.00, of whichever kind; two are not.
    let amount = json!({"partner": "p1", "amount_minor": 600, "reason": "goodwill"});
    for caller in [finn.clone(), fay, desk.admin()] {
        let kinds = ["/v1/adjustments", "/v1/write-offs"];
        let asked = kinds.map(|path| (&caller, path.to_owned()));
        let answers = all_at_once(&asked, &amount).await;
        let count = |wanted| {
            let answers = answers.iter();
            answers.filter(|(status, _)| *status == wanted).count()
        };
        let posted = count(StatusCode::CREATED);
        assert_eq!((posted, count(StatusCode::ACCEPTED)), (1, MANY - 1));
    }
    let after = balance(&finn).await;
    let minor = |name: &str| after[name].as_i64().expect("as it is answered");
    assert_eq!(minor("adjusted_minor") + minor("written_off_minor"), 1_800);
    desk.verify();
}

async fn a_debt_is_recovered_or_given_up_but_not_both_at_once(desk: Desk) {
    let [finn, fay] = desk.two();
    let why = json!({"reason": "x"});
    let settle = async |payout: &Value| {
        for step in ["approve", "settle"] {
            fay.done(&format!("/v1/payouts/{}/{step}", id(payout)), &why)
                .await;
        }
    };
    let payout = finn
        .done("/v1/payouts", &json!({"partner": "p1", "reason": "x"}))
        .await;
    settle(&payout).await;
    let malus =
        json!({"conversion_id": conversion(&finn).await, "decision": "reverse", "reason": "x"});
    desk.admin().done("/v1/decisions", &malus).await;
    let bonus = json!({"partner": "p1", "amount_minor": 20_000, "reason": "bonus"});
    let proposal = finn.done("/v1/adjustments", &bonus).await;
    let proposal = proposal["proposal_id"].as_str().expect("a proposal");
    fay.done(&format!("/v1/adjustments/{proposal}/approve"), &json!({}))
        .await;
    let propose = json!({"partner": "p1", "amount_minor": 500, "reason": "February"});
    let give_up = json!({"partner": "p1", "amount_minor": 600, "reason": "goodwill"});
    let tasks = (0..MANY).map(|number| {
        let (caller, path, body) = match number % 4 {
            0 => (&fay, "/v1/write-offs", &give_up),
            1 => (&finn, "/v1/write-offs", &give_up),
            _ => (&finn, "/v1/payouts", &propose),
        };
        let (caller, body) = (Caller::clone(caller), body.clone());
        tokio::spawn(async move { (path, caller.post(path, &body).await) })
    });
    let (mut payouts, mut recovered, mut given_up) = (Vec::new(), 0, 0);
    for answer in join_all(tasks).await {
        match answer.expect("no task panics") {
            ("/v1/payouts", (status, payout)) if status.is_success() => {
                recovered += payout["recovered_minor"].as_i64().expect("an amount");
                payouts.push(payout);
            }
            (_, (StatusCode::CREATED, _)) => given_up += 600,
            (_, (StatusCode::ACCEPTED, _)) => {}
            (_, (status, problem)) => assert_eq!(status, StatusCode::CONFLICT, "{problem}"),
        }
    }
    assert!(!payouts.is_empty(), "nothing is proposed");
    // The first payout recovers all of the debt that had not been given up before.
    assert_eq!(recovered + given_up, 10_000);
    for payout in &payouts {
        let before = balance(&finn).await["payable_minor"].clone();
        settle(payout).await;
        let after = balance(&finn).await["payable_minor"].clone();
        let minor = |value: &Value| value.as_i64().expect("an amount");
        assert_eq!(minor(&before) - 500, minor(&after));
    }
    assert_eq!(balance(&finn).await["outstanding_minor"], 0);
    desk.verify();
}

async fn conversion(caller: &Caller) -> Value {
    caller.get("/v1/conversions").await["items"][0]["id"].clone()
}

/// The ids in answers, all of which are successes.
fn ids_of(answers: Vec<Result<Answer, tokio::task::JoinError>>) -> BTreeSet<String> {
    let answers = answers.into_iter();
    let id_of = |answer: Result<Answer, _>| {
        let (status, answer) = answer.expect("no task panics");
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        id(&answer).to_owned()
    };
    answers.map(id_of).collect()
}

async fn what_is_sent_again_under_its_key_is_done_once_and_answered_alike_also_after_a_kill(
    mut desk: Desk,
) {
    let [finn, fay] = desk.two();
    let body = json!({"partner": "p1", "reason": "January", "amount_minor": 4_000});
    let tasks = (0..MANY).map(|_| {
        let (caller, body) = (finn.clone(), body.clone());
        tokio::spawn(async move { caller.post_once("/v1/payouts", &body, "k1").await })
    });
    let payouts = Vec::from_iter(ids_of(join_all(tasks).await));
    assert_eq!(payouts.len(), 1);
    let second = json!({"partner": "p1", "reason": "January", "amount_minor": 1_000});
    let (status, _) = finn.post_once("/v1/payouts", &second, "k1").await;
    assert_eq!(
        status,
        StatusCode::CONFLICT,
        "the key is of another request"
    );
    let second = fay.done("/v1/payouts", &second).await;
    desk.kill_and_start_again().await;
    let [finn, fay] = desk.two();
    let (_, again) = finn.post_once("/v1/payouts", &body, "k1").await;
    assert_eq!(id(&again), payouts[0]);
    // A key that approved one payout does not approve another.
    let why = json!({"reason": "checked"});
    let approve = |id: &str| format!("/v1/payouts/{id}/approve");
    let (status, first) = fay.post_once(&approve(&payouts[0]), &why, "k2").await;
    assert_eq!(
        (status, &first["state"]),
        (StatusCode::OK, &json!("approved"))
    );
    let (status, _) = fay.post_once(&approve(&payouts[0]), &why, "k2").await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = fay.post_once(&approve(id(&second)), &why, "k2").await;
    assert_eq!(status, StatusCode::CONFLICT);
    desk.verify();
}

async fn of_many_who_change_the_programme_each_sees_what_the_others_did(desk: Desk) {
    let admin = desk.admin();
    // All publish terms that hold from one time on: each is planned with those before it.
    let terms = |number: usize| {
        let text = format!(
            "[[terms]]\noffer = \"acme/shop\"\neffective_from = 2026-02-01T00:00:00Z\n\
             [[terms.rule]]\nid = \"share\"\non = \"sale\"\nrevshare = \"{}%\"\n\
             [[partner]]\nslug = \"n{number}\"\n",
            number + 1
        );
        json!({"files": [{"name": "terms.toml", "text": text}], "reason": "spring"})
    };
    let tasks = (0..MANY).map(|number| {
        let (caller, body) = (admin.clone(), terms(number));
        tokio::spawn(async move { caller.post("/v1/programme", &body).await })
    });
    let mut answers = Vec::new();
    for answer in join_all(tasks).await {
        let (status, answer) = answer.expect("no task panics");
        if status == StatusCode::CONFLICT {
            let detail = answer["detail"].as_str().expect("a detail");
            assert!(detail.contains("others change the programme"), "{detail}");
            continue;
        }
        assert_eq!(status, StatusCode::OK, "{answer}");
        let position = |name: &str| answer[name].as_u64().expect("a position");
        let first = position("first_position");
        assert_eq!(position("last_position"), first + 1, "a partner and terms");
        answers.push((first, answer["changes"].to_string()));
    }
    assert!(!answers.is_empty(), "nobody gets anywhere");
    answers.sort();
    // Everybody was told what the terms replace: those that come before them in the log.
    let facts = admin
        .get("/v1/events?type=terms.published&limit=1000")
        .await;
    let published = facts["items"].as_array().expect("a list").iter();
    let versions = published.map(|fact| fact["data"]["version"].as_str().expect("a version"));
    let versions: Vec<_> = versions.skip(1).collect();
    assert_eq!(versions.len(), answers.len());
    for (number, (_, changes)) in answers.iter().enumerate().skip(1) {
        let (before, now) = (versions[number - 1], versions[number]);
        assert!(
            changes.contains(&format!("version {before} → {now}")),
            "{changes}"
        );
    }
    desk.verify();
}

/// How many partners are told about each month; more than are on their way into the log at a time.
const PARTNERS: usize = 300;

fn large_programme() -> (String, String) {
    use std::fmt::Write as _;
    let mut programme = PROGRAMME.replace("second_person_above = \"10.00\"", "");
    let mut sales = "txn_id,coupon_code,amount,timestamp\n".to_owned();
    for number in 0..PARTNERS {
        write!(
            programme,
            "[[partner]]\nslug = \"q{number}\"\n[[coupon]]\ncode = \"Q{number}\"\n\
             offer = \"acme/shop\"\npartner = \"q{number}\"\n"
        )
        .expect("a text takes more text");
        for month in 1..=MONTHS {
            writeln!(
                sales,
                "{month}-{number},Q{number},10.00,2026-{month:02}-05T00:00:00Z"
            )
            .expect("a text takes more text");
        }
    }
    (programme, sales)
}

const MONTHS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_while_it_closes_issues_the_missing_statements_when_it_starts() {
    let (programme, sales) = large_programme();
    let place = Place::with(&programme);
    place.write("sales.csv", &sales);
    place.done(&["import", "postbacks", "sales.csv", "--offer", "acme/shop"]);
    let token = place.token("finance", "finn");
    let mut serving = place.serve();
    for month in 1..=MONTHS {
        let caller = serving.caller(&token);
        let path = format!("/v1/periods/2026-{month:02}/close");
        let closing = tokio::spawn(async move {
            let body = json!({"reason": "x"});
            caller
                .try_send(Method::POST, &path, Some(&body), None)
                .await
        });
        // As soon as the cut is in the log, the statements are on their way.
        let caller = serving.caller(&token);
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let path = "/v1/events?type=period.closed";
            let cuts = caller.get(path).await["items"]
                .as_array()
                .map_or(0, Vec::len);
            if cuts == month {
                break;
            }
            assert!(Instant::now() < deadline, "the month is not closed");
        }
        serving.kill();
        closing.await.expect("no task panics");
        serving = place.serve();
        let caller = serving.caller(&token);
        let list = format!("/v1/statements?period=2026-{month:02}&limit=1000");
        let deadline = Instant::now() + Duration::from_mins(1);
        let told = loop {
            let told = caller.get(&list).await;
            let told = told["items"].as_array().expect("a list").clone();
            if told.len() == PARTNERS {
                break told;
            }
            assert!(Instant::now() < deadline, "{} were issued", told.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        for statement in told {
            assert_eq!(statement["number"], json!(month));
            assert_eq!(statement["opening_minor"], json!(100 * (month - 1)));
            assert_eq!(statement["closing_minor"], json!(100 * month));
        }
    }
    serving.kill();
    place.done(&["verify"]);
}
