//! What it costs to derive one fact more, the more conversions share its tiers and caps.
//!
//! One partner, one offer, one month: every conversion is in the same pools. Facts arrive as they do, an
//! hour early or late; and, as the worst that can be, in no order at all, so that each lands somewhere in
//! the middle. `docs/benchmarks.md` says what came out.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Instant as Stopwatch;

use postbook_projections::{Book, Changes};
use postbook_schemas::{
    Attempt, Change, Currency, Envelope, Fact, FactId, Instant, Kind, OfferRef, Outcome, Slug,
    Source,
    configuration::{Coupon, Partner, TermsPublished},
    postback::{ChangeReport, References, Report},
    programme::Programme,
};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sizes of the group at which a stretch is timed.
const SIZES: &[u64] = &[10_000, 30_000, 100_000, 300_000, 1_000_000];
/// How many facts a stretch has, above each size.
const STRETCH: u64 = 20_000;
const MONTH_US: i64 = 28 * 86_400_000_000;
const START_US: i64 = 1_767_225_600_000_000;

const PROGRAMMES: &[(&str, &str)] = &[
    (
        "no tiers, no caps",
        r#"
        [[terms.rule]]
        id = "sale"
        on = "sale"
        revshare = "30%"
        "#,
    ),
    (
        "tiers by count (all), cap by count",
        r#"
        [[terms.rule]]
        id = "sale"
        on = "sale"
        cpa = "25.00"
        cap = { count = 2000000, per = "month" }
        tiers = { by = "count", per = "month", mode = "all", steps = [{ from = 100, cpa = "30.00" }, { from = 1000, cpa = "35.00" }] }
        "#,
    ),
    (
        "tiers by amount (above), cap by amount in play",
        r#"
        [[terms.rule]]
        id = "sale"
        on = "sale"
        revshare = "20%"
        cap = { amount = "20000.00", per = "month" }
        tiers = { by = "amount", per = "month", mode = "above", steps = [{ from = "10000.00", revshare = "25%" }, { from = "50000.00", revshare = "30%" }] }
        "#,
    ),
    (
        "tiers by amount (all), an override above with a cap",
        r#"
        [[terms.rule]]
        id = "sale"
        on = "sale"
        revshare = "20%"
        tiers = { by = "amount", per = "month", mode = "all", steps = [{ from = "10000.00", revshare = "25%" }, { from = "50000.00", revshare = "30%" }] }

        [[terms.rule]]
        id = "above"
        on = "sale"
        override = "5%"
        cap = { amount = "90000000.00", per = "month" }
        "#,
    ),
];

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let sizes: Vec<u64> = if is_quick {
        vec![1_000, 5_000]
    } else {
        SIZES.to_vec()
    };
    for (name, rules) in PROGRAMMES {
        println!("{name}");
        println!(
            "{:>12} {:>10} {:>10} {:>22}",
            "conversions", "µs a fact", "facts/s", "in no order, µs a fact"
        );
        let usual = measure(rules, &sizes, usually);
        let worst = measure(rules, &sizes, anywhere);
        for (size, (usual, worst)) in sizes.iter().zip(usual.into_iter().zip(worst)) {
            let a_second = 1e6 / usual;
            println!("{size:>12} {usual:>10.2} {a_second:>10.0} {worst:>22.2}");
        }
    }
}

/// When a conversion of this number happened.
type HappenedAt = fn(u64) -> Instant;

/// Microseconds a fact at each size.
fn measure(rules: &str, sizes: &[u64], happened_at: HappenedAt) -> Vec<f64> {
    let mut book = Book::new();
    let mut position = 0;
    let mut apply = |fact: &Envelope| {
        position += 1;
        let mut changes = Changes::default();
        book.apply(position, fact, &mut changes)
            .expect("small amounts");
    };
    programme(rules).iter().for_each(&mut apply);
    let mut made = 0;
    let mut costs = Vec::new();
    for &size in sizes {
        while made < size {
            apply(&report(made, happened_at));
            made += 1;
        }
        // Built before the clock runs: a fact of ten is a refund of an earlier sale.
        let facts: Vec<Envelope> = (made..made + STRETCH)
            .map(|number| match number % 10 {
                9 => refund(number),
                _ => report(number, happened_at),
            })
            .collect();
        let (busy, started) = (busy_ns(), Stopwatch::now());
        facts.iter().for_each(&mut apply);
        let wall_us = started.elapsed().as_secs_f64() * 1e6;
        let took_us = busy
            .zip(busy_ns())
            .map_or(wall_us, |(before, after)| (after - before) / 1e3);
        made += STRETCH;
        costs.push(took_us / f64::from(u32::try_from(STRETCH).expect("a small number")));
    }
    costs
}

/// The processor time of this thread, where the system tells: what others on the machine do is not
/// in it.
fn busy_ns() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn envelope(number: u128, occurred_at: Instant, fact: Fact) -> Envelope {
    Envelope {
        id: FactId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number),
        occurred_at,
        recorded_at: Instant::from_micros(START_US + 2 * MONTH_US),
        actor: "bench".to_owned(),
        source: Source::default(),
        reason: None,
        fact,
    }
}

fn offer() -> OfferRef {
    OfferRef::try_new("acme/shop").expect("an offer")
}

fn programme(rules: &str) -> Vec<Envelope> {
    let slug = |name: &str| Slug::try_new(name).expect("a slug");
    let partner = |name: &str, parent: Option<&str>| {
        Fact::PartnerDefined(Partner {
            slug: slug(name),
            name: None,
            currency: Currency::USD,
            parent: parent.map(slug),
            payout_threshold: None,
            recovery_limit: None,
            bank: None,
            second_person_above: None,
        })
    };
    let head = "[[terms]]\noffer = 'acme/shop'\neffective_from = 2026-01-01T00:00:00Z\n";
    let terms = Programme::parse(&format!("{head}{rules}"))
        .expect("terms")
        .terms
        .remove(0);
    let facts = [
        partner("p1", Some("p0")),
        partner("p0", None),
        Fact::CouponDefined(Coupon {
            code: "SAVE".to_owned(),
            offer: offer(),
            partner: slug("p1"),
            effective_from: None,
        }),
        Fact::TermsPublished(TermsPublished {
            version: "t-1".to_owned(),
            terms,
        }),
    ];
    (1..)
        .zip(facts)
        .map(|(number, fact)| envelope(number, Instant::from_micros(START_US), fact))
        .collect()
}

/// Two seconds after the one before, and up to an hour late.
fn usually(number: u64) -> Instant {
    let late_us = scattered(number) % 3_600_000_000;
    let after_us = i64::try_from(number).unwrap_or(0) * 2_000_000;
    Instant::from_micros(START_US + after_us + late_us)
}

/// Somewhere in the month.
fn anywhere(number: u64) -> Instant {
    Instant::from_micros(START_US + scattered(number) % MONTH_US)
}

fn scattered(number: u64) -> i64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 22;
    i64::try_from(mixed).unwrap_or(0)
}

fn references(number: u64) -> References {
    References {
        txn_id: Some(format!("t{number}")),
        coupon_code: Some("SAVE".to_owned()),
        ..References::default()
    }
}

fn report(number: u64, happened_at: HappenedAt) -> Envelope {
    let fact = Fact::of_report(Report {
        outcome: Outcome::Accepted,
        offer: offer(),
        kind: Kind::Sale,
        event: None,
        references: references(number),
        amount_minor: Some(100 + i64::try_from(number % 9_000).unwrap_or(0)),
        currency: Currency::USD,
        payout_minor: None,
        quantity: None,
        status: None,
        subs: std::collections::BTreeMap::new(),
        metadata: std::collections::BTreeMap::new(),
        dedupe_key: Some(format!("acme/shop sale t{number}")),
        matched: true,
        attempt: Attempt::default(),
    });
    envelope(100 + u128::from(number), happened_at(number), fact)
}

/// Of a sale that half as many facts ago was reported.
fn refund(number: u64) -> Envelope {
    let of = number / 20 * 10;
    let fact = Fact::of_change(ChangeReport {
        outcome: Outcome::Accepted,
        offer: offer(),
        change: Change::Refund,
        references: references(of),
        amount_minor: None,
        currency: None,
        status: None,
        dedupe_key: Some(format!("refund {number}")),
        attempt: Attempt::default(),
    });
    let at = Instant::from_micros(START_US + MONTH_US);
    envelope(10_000_000 + u128::from(number), at, fact)
}
