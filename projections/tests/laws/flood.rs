//! More of the largest amounts than sums of 64 bits can hold: whatever was accepted, no fact stops the book.

use std::collections::BTreeMap;

use postbook_projections::{
    Book,
    posted::Cause,
    rows::{Account, Posting},
};
use postbook_schemas::{
    AMOUNT_MINOR_MAX, Attempt, Currency, Envelope, Fact, FactId, Instant, Kind, OfferRef, Outcome,
    Slug, Source,
    configuration::{Coupon, Partner, TermsPublished},
    decision::AdjustmentPosted,
    payout::{PayoutLine, PayoutMoved, PayoutProposed},
    postback::{References, Report},
    programme::Programme,
};

use crate::folding::Folded;

/// As many as it takes: 9,224 of the largest amounts leave 64 bits, and a sale earns two of them.
const MANY: u64 = 4_800;
const START: i64 = 1_767_225_600_000_000; // 2026-01-01
const DAY: i64 = 86_400_000_000;

/// What becomes of months below zero.
const RESET: &str = "carryover = 'reset'";
const HIGH_ROLLERS: &str = "carryover = 'reset'\nfence = 'offer'\nhigh_roller_from = '1.00'";
const FENCED: &str = "fence = 'offer'";

/// Which way the amount of a sale goes.
type Sign = fn(u64) -> i64;

const RULES: &str = "
    [[terms.rule]]
    id = 'sale'
    on = 'sale'
    revshare = '100%'
    [[terms.rule]]
    id = 'more'
    on = 'sale'
    revshare = '100%'
    [[terms.rule]]
    id = 'above'
    on = 'sale'
    override = '100%'
    [[terms.price]]
    id = 'owed'
    on = 'sale'
    revshare = '100%'
    ";

fn slug(name: &str) -> Slug {
    Slug::try_new(name).expect("a slug")
}

fn offer() -> OfferRef {
    OfferRef::try_new("acme/o0").expect("an offer")
}

fn partner(name: &str, parent: Option<&str>) -> Fact {
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
}

fn sale(number: u64, amount_minor: i64) -> Fact {
    Fact::of_report(Report {
        outcome: Outcome::Accepted,
        offer: offer(),
        kind: Kind::Sale,
        event: None,
        references: References {
            txn_id: Some(format!("t{number}")),
            customer_id: Some(format!("c{}", number % 5)),
            coupon_code: Some("SAVE".to_owned()),
            ..References::default()
        },
        amount_minor: Some(amount_minor),
        currency: Currency::USD,
        payout_minor: None,
        quantity: None,
        status: None,
        subs: BTreeMap::new(),
        metadata: BTreeMap::new(),
        dedupe_key: Some(format!("k{number}")),
        matched: true,
        attempt: Attempt::default(),
    })
}

fn adjusted() -> Fact {
    Fact::AdjustmentPosted(AdjustmentPosted {
        partner: slug("p0"),
        amount_minor: AMOUNT_MINOR_MAX,
        currency: Currency::USD,
        reason: "r".to_owned(),
        proposal_id: None,
        agreed_because: None,
    })
}

/// The facts in order of time: a programme, sales over three months, adjustments, and a payout of all lines that
/// is settled and comes back.
fn facts(carryover: &str, sign: Sign) -> Vec<Envelope> {
    let mut facts = Vec::new();
    let mut tell = |day: i64, fact: Fact| {
        let number = u128::try_from(facts.len()).expect("a length");
        facts.push(Envelope {
            id: FactId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number),
            occurred_at: Instant::from_micros(START + day * DAY),
            recorded_at: Instant::from_micros(START + 100 * DAY),
            actor: "test".to_owned(),
            source: Source::default(),
            reason: None,
            fact,
        });
        FactId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
    };
    tell(0, partner("p0", Some("p1")));
    tell(0, partner("p1", None));
    let coupon = Coupon {
        code: "SAVE".to_owned(),
        offer: offer(),
        partner: slug("p0"),
        effective_from: None,
    };
    tell(0, Fact::CouponDefined(coupon));
    let written = format!(
        "[[terms]]\noffer = 'acme/o0'\neffective_from = 2026-01-01T00:00:00Z\n{carryover}\n{RULES}"
    );
    let terms = Programme::parse(&written).expect("terms").terms.remove(0);
    let version = "t-1".to_owned();
    tell(0, Fact::TermsPublished(TermsPublished { version, terms }));
    let mut lines = Vec::new();
    for number in 0..MANY {
        let day = i64::try_from(number * 80 / MANY).expect("few days");
        let subject_id = tell(day, sale(number, sign(number) * AMOUNT_MINOR_MAX));
        lines.push(PayoutLine {
            subject_id,
            rule: Some("sale".to_owned()),
            amount_minor: AMOUNT_MINOR_MAX,
        });
        if number % 3 != 0 {
            continue;
        }
        tell(day, adjusted());
    }
    let payout_id = FactId::from_u128(0xbeef);
    let proposed = PayoutProposed {
        payout_id,
        partner: slug("p0"),
        amount_minor: AMOUNT_MINOR_MAX,
        currency: Currency::USD,
        lines,
        reason: "r".to_owned(),
    };
    tell(90, Fact::PayoutProposed(proposed));
    let moved = PayoutMoved {
        payout_id,
        reference: None,
        reason: None,
    };
    tell(91, Fact::PayoutSettled(moved.clone()));
    tell(92, Fact::PayoutReturned(moved));
    facts
}

/// Pending and approved, and what the memo totals say of them, by partner.
fn sums(postings: &[Posting]) -> BTreeMap<Slug, [i128; 2]> {
    let mut sums = BTreeMap::<Slug, [i128; 2]>::new();
    for posting in postings {
        let [has, told] = sums.entry(posting.partner.clone()).or_default();
        let all: i128 = posting
            .entries
            .iter()
            .map(|it| i128::from(it.amount_minor))
            .sum();
        assert_eq!(all, 0, "{posting:?}");
        for entry in &posting.entries {
            if matches!(entry.account, Account::Pending(_) | Account::Approved(_)) {
                *has -= i128::from(entry.amount_minor);
            }
        }
        let memo = &posting.memo;
        let signed = [
            (1, memo.earned_minor),
            (-1, memo.reversed_minor),
            (-1, memo.clawed_back_minor),
            (1, memo.written_off_minor),
            (1, memo.adjusted_minor),
            (-1, memo.paid_minor),
        ];
        *told += signed
            .iter()
            .map(|(sign, it)| sign * i128::from(*it))
            .sum::<i128>();
    }
    sums
}

fn fold(facts: &[Envelope]) -> (Folded, Book) {
    let (mut folded, mut book) = (Folded::default(), Book::new());
    for (position, envelope) in (1..).zip(facts) {
        folded
            .try_apply(&mut book, position, envelope, &[])
            .expect("what was accepted is folded");
    }
    (folded, book)
}

#[test]
fn sums_beyond_64_bits_stop_nothing() {
    let worked_off: Sign = |number| if number > MANY * 2 / 3 { 1 } else { -1 };
    let mut was_beyond = false;
    for (carryover, sign, backwards) in [
        (RESET, (|_| 1) as Sign, true),
        (RESET, |_| -1, false),
        (HIGH_ROLLERS, worked_off, true),
        (FENCED, worked_off, false),
    ] {
        let mut facts = facts(carryover, sign);
        let (folded, mut book) = fold(&facts);
        let balances = sums(&folded.postings);
        for [has, told] in balances.values() {
            assert_eq!(has, told, "{carryover}");
            was_beyond |= i64::try_from(*told).is_err();
        }
        let cause = Cause {
            position: 1,
            recorded_at: Instant::EPOCH,
            happened_at: None,
        };
        let again = book.rederive(&cause).expect("it can be derived again");
        assert_eq!(again.postings, vec![]);
        if backwards {
            facts.reverse();
            assert_eq!(sums(&fold(&facts).0.postings), balances, "{carryover}");
        }
    }
    assert!(was_beyond, "no sum left 64 bits: the law says nothing");
}
