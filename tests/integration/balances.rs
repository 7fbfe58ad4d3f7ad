//! Balances of any time, whether from running sums or added up, against a naive sum over postings.

use std::collections::BTreeMap;

use postbook::tables::{
    Tables,
    batch::Batch,
    digest::Running,
    query::balances::{AsOf, Balance},
    write::Writer,
};
use postbook_projections::{
    Changes,
    rows::{Account, Entry, InPeriod, Memo, Posting, PostingKind},
};
use postbook_schemas::{Currency, Instant, OfferRef, Slug};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const MINUTE: i64 = 60_000_000;
const BEGIN: i64 = 1_780_000_000_000_000;
const POSTINGS: u64 = 40;

/// The balances of the last two are too large to be kept as running sums.
const PARTNERS: [&str; 4] = ["p1", "p2", "rich", "vast"];

fn at(minutes: i64) -> Instant {
    Instant::from_micros(BEGIN + minutes * MINUTE)
}

/// Postings as they may come, with effects and holds before, in and long after the hour in which they
/// are recorded.
fn postings(random: &mut StdRng) -> Vec<Posting> {
    let mut now = 0;
    (1..=POSTINGS)
        .map(|number| {
            now += random.random_range(0..40);
            posting(random, number, now)
        })
        .collect()
}

fn posting(random: &mut StdRng, number: u64, now: i64) -> Posting {
    let name = PARTNERS[random.random_range(0..PARTNERS.len())];
    let partner = Slug::try_new(name).expect("a slug");
    let most = match name {
        "rich" => 200_000_000_000_000_000,
        // Two of its amounts may not fit 64 bits together.
        "vast" => i64::MAX,
        _ => 1_000,
    };
    let effective = now + some_minutes(random);
    let kinds = [
        PostingKind::Earning,
        PostingKind::Approval,
        PostingKind::Receivable,
    ];
    let kind = kinds[random.random_range(0..kinds.len())];
    let mut entries = Vec::new();
    for _ in 0..random.random_range(0..3) {
        let (account, available_at) = if random.random_bool(0.4) {
            (Account::Pending(partner.clone()), None)
        } else {
            let held = random.random_bool(0.8).then(|| some_minutes(random));
            let held = held.map(|minutes| at(effective + minutes));
            (Account::Approved(partner.clone()), held)
        };
        entries.push(Entry {
            account,
            amount_minor: random.random_range(-most..=most),
            available_at,
        });
    }
    let offer = OfferRef::try_new("acme/shop").expect("an offer");
    if kind == PostingKind::Receivable {
        entries.clear();
        entries.push(Entry {
            account: Account::Receivable(offer),
            amount_minor: 5,
            available_at: None,
        });
    }
    let mut figure = || random.random_range(-most..=most);
    let memo = Memo {
        earned_minor: figure(),
        reversed_minor: figure(),
        clawed_back_minor: figure(),
        recovered_minor: figure(),
        written_off_minor: figure(),
        adjusted_minor: figure(),
        paid_minor: figure(),
    };
    Posting {
        number,
        cause: number,
        kind,
        conversion_id: None,
        rule: None,
        terms_version: None,
        partner,
        currency: [Currency::USD, Currency::EUR][random.random_range(0..2)],
        payout_id: None,
        effective_at: at(effective),
        recorded_at: at(now),
        period: InPeriod::plain("2026-05".parse().expect("a month")),
        entries,
        memo,
    }
}

fn some_minutes(random: &mut StdRng) -> i64 {
    match random.random_range(0..4) {
        0 => 0,
        1 => random.random_range(-90..90),
        2 => random.random_range(0..600),
        _ => random.random_range(0..20_000),
    }
}

/// The definition (SPEC 7), posting by posting.
fn naive(postings: &[Posting], partner: &Slug, as_of: AsOf) -> BTreeMap<String, Balance> {
    let mut balances = BTreeMap::<String, Balance>::new();
    for posting in postings {
        let has_effect = posting.effective_at <= as_of.effective;
        let is_known = posting.recorded_at <= as_of.known;
        if posting.partner != *partner
            || posting.kind == PostingKind::Receivable
            || !has_effect
            || !is_known
        {
            continue;
        }
        let code = posting.currency.code().to_owned();
        let balance = balances.entry(code).or_default();
        let memo = &posting.memo;
        balance.earned_minor += i128::from(memo.earned_minor);
        balance.reversed_minor += i128::from(memo.reversed_minor);
        balance.clawed_back_minor += i128::from(memo.clawed_back_minor);
        balance.recovered_minor += i128::from(memo.recovered_minor);
        balance.written_off_minor += i128::from(memo.written_off_minor);
        balance.adjusted_minor += i128::from(memo.adjusted_minor);
        balance.paid_minor += i128::from(memo.paid_minor);
        for entry in &posting.entries {
            let bucket = match entry.account {
                Account::Pending(_) => &mut balance.pending_minor,
                _ if entry.available_at > Some(as_of.effective) => &mut balance.held_minor,
                _ => &mut balance.payable_minor,
            };
            *bucket -= i128::from(entry.amount_minor);
        }
    }
    balances
}

async fn write(writer: &mut Writer, running: &mut Running, postings: &[Posting]) {
    let mut batch = Batch::default();
    for posting in postings {
        let mut changes = Changes {
            postings: vec![posting.clone()],
            ..Changes::default()
        };
        batch.absorb(posting.cause, &mut changes);
    }
    running.apply(&batch);
    let written = writer.write(&batch, running.digest()).await;
    written.expect("the batch is written");
}

#[tokio::test]
async fn balances_of_any_time_are_the_sums_of_postings_however_they_are_read() {
    for seed in 1..=25 {
        let mut random = StdRng::seed_from_u64(seed);
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::open(directory.path()).await.unwrap();
        let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
        let all = postings(&mut random);
        let mut written = 0;
        while written < all.len() {
            let to = (written + random.random_range(1..15)).min(all.len());
            write(&mut writer, &mut running, &all[written..to]).await;
            written = to;
            for _ in 0..12 {
                let last = all[written - 1].recorded_at;
                let effective = match random.random_range(0..4) {
                    0 => last.plus_micros(random.random_range(-600..0) * MINUTE),
                    1 => Instant::MAX,
                    // On the moment of something, and a moment beside it.
                    2 => all[random.random_range(0..written)].effective_at,
                    _ => last.plus_micros(random.random_range(0..20_000) * MINUTE + 1),
                };
                let known = if random.random_bool(0.2) {
                    last.plus_micros(random.random_range(-600..60) * MINUTE)
                } else {
                    Instant::MAX
                };
                let as_of = AsOf { effective, known };
                for partner in PARTNERS.map(|name| Slug::try_new(name).expect("a slug")) {
                    assert_eq!(
                        tables.balances(&partner, as_of).await.unwrap(),
                        naive(&all[..written], &partner, as_of),
                        "seed {seed}, {partner}, {as_of:?}, after {written}"
                    );
                }
            }
            let unlike = tables.unlike_balances(all[written - 1].recorded_at).await;
            assert_eq!(unlike.unwrap(), Vec::<String>::new(), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_changed_running_sum_is_found() {
    let mut random = StdRng::seed_from_u64(7);
    for (sql, is_there) in [
        (
            "UPDATE balance_totals SET earned_minor = earned_minor + 1 WHERE partner = 'p1'",
            true,
        ),
        (
            "UPDATE balance_hours SET payable_minor = payable_minor - 1 WHERE partner = 'p1'",
            true,
        ),
        ("DELETE FROM balance_totals WHERE partner = 'p1'", true),
        ("DELETE FROM balance_totals WHERE partner = 'nobody'", false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let tables = Tables::open(directory.path()).await.unwrap();
        let (mut writer, mut running) = (tables.writer().await.unwrap(), Running::default());
        let all = postings(&mut random);
        write(&mut writer, &mut running, &all).await;
        drop(writer);
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(directory.path().join("readmodels.sqlite"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        let now = all.last().expect("there are some").recorded_at;
        let unlike = tables.unlike_balances(now).await.unwrap();
        assert_eq!(unlike.contains(&"p1".to_owned()), is_there, "{sql}");
    }
}
