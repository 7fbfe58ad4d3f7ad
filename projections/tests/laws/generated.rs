//! Generated stories: a small programme, few ids so that facts meet, and times close together.

// The naive model takes this file in by its path.
#[path = "generated/terms.rs"]
mod terms;

use std::collections::BTreeMap;

use postbook_schemas::{
    Abuse, Attempt, Change, Currency, Envelope, Exact, Fact, FactId, Instant, Kind, OfferRef,
    Outcome, Slug, Source, Status,
    configuration::{Coupon, FxRate, Offer, Partner},
    decision::{
        AdjustmentPosted, AttributionCorrected, BalanceWrittenOff, ConversionDecided, Decision,
    },
    dedupe,
    payout::{PayoutLine, PayoutMoved, PayoutProposed},
    postback::{AbuseReport, ChangeReport, References, Report},
    programme::Programme,
    traffic::{Click, Device},
};
use proptest::{prelude::*, sample::select};

use terms::terms;

const DAY: i64 = 86_400_000_000;
const START: i64 = 1_767_225_600_000_000; // 2026-01-01

/// Facts in the order of the log.
#[derive(Clone)]
pub(crate) struct Story {
    /// The facts.
    pub(crate) facts: Vec<Envelope>,
}

impl std::fmt::Debug for Story {
    /// One line a fact, so that a shrunk failure can be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for fact in &self.facts {
            let data = String::from_utf8(fact.fact.to_json()).expect("JSON is UTF-8");
            let data = data.replace(r#""attempt":{"request":{"method":"","path":""}}"#, "…");
            let name = fact.fact.fact_type().name();
            writeln!(
                f,
                "\n{} {} {name} {data}",
                fact.id.as_u128() & 0xff,
                fact.occurred_at
            )?;
        }
        Ok(())
    }
}

impl Story {
    /// The facts in another order, some of them twice.
    pub(crate) fn shuffled_and_repeated(&self, seed: u64) -> Vec<Envelope> {
        let mut state = seed | 1;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(state >> 33).expect("31 bits")
        };
        let mut facts = self.facts.clone();
        for fact in &self.facts {
            if next() % 4 == 0 {
                facts.push(fact.clone());
            }
        }
        for place in (1..facts.len()).rev() {
            facts.swap(place, next() % (place + 1));
        }
        facts
    }
}

/// One thing that happens; small numbers choose among few ids.
#[derive(Clone, Debug)]
enum Happening {
    Click {
        click: u8,
        partner: u8,
        offer: u8,
        day: u8,
    },
    Report {
        kind: u8,
        txn: Option<u8>,
        click: Option<u8>,
        customer: Option<u8>,
        coupon: bool,
        offer: u8,
        amount: Option<i64>,
        euro: bool,
        payout: bool,
        status: Option<Status>,
        day: u8,
    },
    Change {
        change: Change,
        by: u8,
        id: u8,
        offer: u8,
        amount: Option<i64>,
        status: Status,
        day: u8,
    },
    Abuse {
        customer: u8,
        offer: u8,
        day: u8,
    },
    Decide {
        which: u8,
        decision: Decision,
        day: u8,
    },
    Correct {
        which: u8,
        partner: Option<u8>,
        day: u8,
    },
    Pay {
        which: Vec<u8>,
        partner: u8,
        amount: i64,
        moves: &'static [Move],
        day: u8,
    },
    WriteOff {
        partner: u8,
        amount: i64,
        day: u8,
    },
    Adjust {
        partner: u8,
        amount: i64,
        day: u8,
    },
    Coupon {
        partner: u8,
        from: Option<u8>,
        day: u8,
    },
    Rate {
        rate: u8,
        day: u8,
    },
    Window {
        days: u8,
        day: u8,
    },
    Terms {
        which: u8,
        day: u8,
    },
    Partner {
        partner: u8,
        parent: Option<u8>,
        day: u8,
    },
}

/// How a payout goes on, a day each.
#[derive(Clone, Copy, Debug)]
enum Move {
    Approve,
    Send,
    Settle,
    Fail,
    Return,
}

/// The ways of payouts; some facts of them never come.
const WAYS: &[&[Move]] = &[
    &[Move::Settle],
    &[Move::Settle],
    &[Move::Approve, Move::Send, Move::Settle],
    &[Move::Approve, Move::Send],
    &[Move::Approve],
    &[],
    &[Move::Send, Move::Fail],
    &[Move::Settle, Move::Return],
    &[Move::Return],
];

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let day = || 0_u8..50;
    let amount = || {
        prop_oneof![
            Just(1_000_i64),
            Just(2_500),
            Just(9_999),
            Just(333),
            Just(-500),
            Just(-2_500),
            Just(0)
        ]
    };
    let positive = || prop_oneof![Just(1_000_i64), Just(2_500), Just(100), Just(333)];
    prop_oneof![
        4 => (0_u8..4, 0_u8..3, 0_u8..2, day())
            .prop_map(|(click, partner, offer, day)| H::Click { click, partner, offer, day }),
        12 => (
            (0_u8..8, proptest::option::weighted(0.8, 0_u8..6), proptest::option::weighted(0.85, select(vec![0_u8, 0, 1, 1, 2, 3])),
             proptest::option::weighted(0.75, 0_u8..3), proptest::bool::weighted(0.3), 0_u8..2),
            (proptest::option::weighted(0.8, amount()), proptest::bool::weighted(0.2), any::<bool>(),
             proptest::option::weighted(0.15, select(Status::ALL)), prop_oneof![2 => 0_u8..30, 1 => day()]),
        ).prop_map(|((kind, txn, click, customer, coupon, offer), (amount, euro, payout, status, day))| {
            H::Report { kind, txn, click, customer, coupon, offer, amount, euro, payout, status, day }
        }),
        // Customers who win and lose over months.
        4 => (select(vec![0_u8, 1, 1, 2]), 0_u8..3, select(vec![-2_500_i64, -500, 1_000, 2_500]), day())
            .prop_map(|(click, customer, amount, day)| H::Report {
                kind: 4, txn: None, click: Some(click), customer: Some(customer), coupon: false, offer: 0,
                amount: Some(amount), euro: false, payout: false, status: None, day,
            }),
        6 => (select(vec![Change::Refund, Change::Refund, Change::Chargeback, Change::ChargebackWon, Change::Status]),
              select(vec![0_u8, 0, 0, 0, 1, 2]), 0_u8..6, 0_u8..2, proptest::option::of(positive()), select(Status::ALL), day())
            .prop_map(|(change, by, id, offer, amount, status, day)| {
                H::Change { change, by, id, offer, amount, status, day }
            }),
        1 => (0_u8..3, 0_u8..2, day()).prop_map(|(customer, offer, day)| H::Abuse { customer, offer, day }),
        2 => (0_u8..12, select(vec![Decision::Approve, Decision::Reject, Decision::Reverse, Decision::Release]), day())
            .prop_map(|(which, decision, day)| H::Decide { which, decision, day }),
        1 => (0_u8..12, proptest::option::of(0_u8..3), day())
            .prop_map(|(which, partner, day)| H::Correct { which, partner, day }),
        3 => (proptest::collection::vec(0_u8..12, 1..4), 0_u8..3, positive(), select(WAYS), day())
            .prop_map(|(which, partner, amount, moves, day)| {
                H::Pay { which, partner, amount, moves, day }
            }),
        1 => (0_u8..3, positive(), day())
            .prop_map(|(partner, amount, day)| H::WriteOff { partner, amount, day }),
        1 => (0_u8..3, amount(), day()).prop_map(|(partner, amount, day)| H::Adjust { partner, amount, day }),
        1 => (0_u8..3, proptest::option::of(day()), day())
            .prop_map(|(partner, from, day)| H::Coupon { partner, from, day }),
        1 => (1_u8..4, day()).prop_map(|(rate, day)| H::Rate { rate, day }),
        1 => (1_u8..40, day()).prop_map(|(days, day)| H::Window { days, day }),
        2 => (0_u8..12, day()).prop_map(|(which, day)| H::Terms { which, day }),
        1 => (0_u8..4, proptest::option::of(0_u8..4), day())
            .prop_map(|(partner, parent, day)| H::Partner { partner, parent, day }),
    ]
}

/// A story: the programme in front, then what happens.
///
/// Partner 0 is below 1 at first, and 1 below 3; who is below whom changes in the story.
pub(crate) fn story() -> impl Strategy<Value = Story> {
    // For all partners; those for one come in the story.
    let terms = (select(vec![0_u8, 6, 8, 10]), select(vec![1_u8, 3, 5, 11]));
    let happenings = proptest::collection::vec(happening(), 1..60);
    (terms, happenings).prop_map(|(terms, happenings)| {
        let mut writer = Writer::default();
        for (partner, parent) in [(0, Some(1)), (1, Some(3)), (3, None)] {
            writer.tell(&Happening::Partner {
                partner,
                parent,
                day: 0,
            });
        }
        for which in [terms.0, terms.1] {
            writer.tell(&Happening::Terms { which, day: 0 });
        }
        for (click, partner, offer) in [(0, 0, 0), (1, 1, 1), (2, 1, 0)] {
            writer.tell(&Happening::Click {
                click,
                partner,
                offer,
                day: 0,
            });
        }
        writer.tell(&Happening::Coupon {
            partner: 1,
            from: None,
            day: 0,
        });
        for happening in &happenings {
            writer.tell(happening);
        }
        Story {
            facts: writer.facts,
        }
    })
}

#[derive(Default)]
struct Writer {
    facts: Vec<Envelope>,
    /// What was reported, and whose first click it named.
    reports: Vec<(FactId, Kind, Option<u8>)>,
    clicks: std::collections::BTreeSet<u8>,
}

fn slug(name: &str, number: u8) -> Slug {
    Slug::try_new(&format!("{name}{number}")).expect("a slug")
}

fn offer(number: u8) -> OfferRef {
    OfferRef::try_new(&format!("acme/o{number}")).expect("an offer")
}

fn attempt() -> Attempt {
    Attempt::default()
}

impl Writer {
    fn id(&self) -> FactId {
        FactId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + self.facts.len() as u128)
    }

    fn push(&mut self, day: u8, fact: Fact) {
        let occurred_at = Instant::from_micros(START + i64::from(day) * DAY);
        self.facts.push(Envelope {
            id: self.id(),
            occurred_at,
            recorded_at: Instant::from_micros(
                START + 60 * DAY + i64::try_from(self.facts.len()).expect("few facts"),
            ),
            actor: "test".to_owned(),
            source: Source::default(),
            reason: None,
            fact,
        });
    }

    /// A report that a small number chooses, and the rule that may have priced it.
    fn subject(&self, which: u8) -> (FactId, &'static str) {
        let place = usize::from(which) % self.reports.len().max(1);
        match self.reports.get(place) {
            Some((id, Kind::Sale, _)) if which.is_multiple_of(4) => (*id, "above"),
            Some((id, kind, _)) => (*id, rule_of(kind)),
            None => (FactId::from_u128(0xdead), "sale"),
        }
    }

    fn tell(&mut self, happening: &Happening) {
        // A log holds a click id once.
        if let Happening::Click { click, .. } = happening
            && !self.clicks.insert(*click)
        {
            return;
        }
        self.tell_postback(happening);
        self.tell_decision(happening);
        self.tell_definition(happening);
    }

    fn tell_postback(&mut self, happening: &Happening) {
        match happening.clone() {
            Happening::Click {
                click,
                partner,
                offer: o,
                day,
            } => self.push(
                day,
                Fact::ClickRecorded(Click {
                    click_id: format!("click{click}"),
                    link: None,
                    offer: offer(o),
                    partner: slug("p", partner),
                    campaign: None,
                    destination: None,
                    country: Some(if click % 2 == 0 { "DE" } else { "US" }.to_owned()),
                    device: Device::Mobile,
                    user_agent: None,
                    referrer: None,
                    parameters: BTreeMap::from([("sub1".to_owned(), format!("s{click}"))]),
                }),
            ),
            Happening::Report { .. } => self.report(happening),
            Happening::Change { .. } => self.change(happening),
            Happening::Abuse {
                customer,
                offer: o,
                day,
            } => self.push(
                day,
                Fact::AbuseReported(AbuseReport {
                    outcome: Outcome::Accepted,
                    offer: offer(o),
                    abuse: Abuse::Fraud,
                    references: References {
                        customer_id: Some(format!("c{customer}")),
                        ..References::default()
                    },
                    dedupe_key: None,
                    attempt: attempt(),
                }),
            ),
            _ => {}
        }
    }

    fn tell_decision(&mut self, happening: &Happening) {
        match happening.clone() {
            Happening::Decide {
                which,
                decision,
                day,
            } => {
                let decided = Fact::ConversionDecided(ConversionDecided {
                    conversion_id: self.subject(which).0,
                    decision,
                    reason: "r".to_owned(),
                });
                self.push(day, decided);
            }
            Happening::Correct {
                which,
                partner,
                day,
            } => {
                let corrected = Fact::AttributionCorrected(AttributionCorrected {
                    conversion_id: self.subject(which).0,
                    partner: partner.map(|number| slug("p", number)),
                    reason: "r".to_owned(),
                });
                self.push(day, corrected);
            }
            Happening::Pay {
                which,
                partner,
                amount,
                moves,
                day,
            } => self.pay(&which, partner, amount, moves, day),
            Happening::WriteOff {
                partner,
                amount,
                day,
            } => self.push(
                day,
                Fact::BalanceWrittenOff(BalanceWrittenOff {
                    partner: slug("p", partner),
                    amount_minor: amount,
                    currency: Currency::USD,
                    reason: "r".to_owned(),
                    proposal_id: None,
                    agreed_because: None,
                    lines: Vec::new(),
                }),
            ),
            Happening::Adjust {
                partner,
                amount,
                day,
            } => self.push(
                day,
                Fact::AdjustmentPosted(AdjustmentPosted {
                    partner: slug("p", partner),
                    amount_minor: amount,
                    currency: Currency::USD,
                    reason: "r".to_owned(),
                    proposal_id: None,
                    agreed_because: None,
                }),
            ),
            _ => {}
        }
    }

    fn tell_definition(&mut self, happening: &Happening) {
        match happening.clone() {
            Happening::Coupon { partner, from, day } => self.push(
                day,
                Fact::CouponDefined(Coupon {
                    code: "SAVE".to_owned(),
                    offer: offer(0),
                    partner: slug("p", partner),
                    effective_from: from
                        .map(|from| Instant::from_micros(START + i64::from(from) * DAY)),
                }),
            ),
            Happening::Rate { rate, day } => self.push(
                day,
                Fact::FxRateRecorded(FxRate {
                    base: if rate == 3 {
                        Currency::USD
                    } else {
                        Currency::EUR
                    },
                    quote: if rate == 3 {
                        Currency::EUR
                    } else {
                        Currency::USD
                    },
                    rate: Exact::parse(&format!("1.08{rate}3")).expect("a number"),
                    at: Instant::from_micros(START + i64::from(day) * DAY),
                    source: None,
                }),
            ),
            Happening::Window { days, day } => {
                let written = format!(
                    "[[offer]]\nbrand = 'acme'\nslug = 'o0'\ndestination = 'https://a.example'\nclick_window_days = {days}"
                );
                let offer: Offer = Programme::parse(&written)
                    .expect("a programme")
                    .offers
                    .remove(0);
                self.push(day, Fact::OfferDefined(offer));
            }
            Happening::Terms { which, day } => self.push(day, terms(which)),
            Happening::Partner {
                partner,
                parent,
                day,
            } => self.push(
                day,
                Fact::PartnerDefined(Partner {
                    slug: slug("p", partner),
                    name: None,
                    currency: if partner == 2 {
                        Currency::EUR
                    } else {
                        Currency::USD
                    },
                    parent: parent.map(|parent| slug("p", parent)),
                    payout_threshold: None,
                    recovery_limit: None,
                    bank: None,
                    second_person_above: None,
                }),
            ),
            _ => {}
        }
    }

    fn change(&mut self, happening: &Happening) {
        let Happening::Change {
            change,
            by,
            id,
            offer: o,
            amount,
            status,
            day,
        } = happening.clone()
        else {
            return;
        };
        let mut references = References::default();
        match by {
            0 => references.txn_id = Some(format!("t{id}")),
            1 => references.click_id = Some(format!("click{}", id % 4)),
            _ => references.customer_id = Some(format!("c{}", id % 3)),
        }
        let amount_minor = if change == Change::Status {
            None
        } else {
            amount
        };
        let dedupe_key =
            dedupe::change_key(&offer(o), change, &references, amount_minor, None, None)
                .map(|key| format!("{key}{day}"));
        self.push(
            day,
            Fact::of_change(ChangeReport {
                outcome: Outcome::Accepted,
                offer: offer(o),
                change,
                references,
                amount_minor,
                currency: amount_minor.map(|_| Currency::USD),
                status: (change == Change::Status).then_some(status),
                dedupe_key,
                attempt: attempt(),
            }),
        );
    }

    fn report(&mut self, happening: &Happening) {
        let Happening::Report {
            kind,
            txn,
            click,
            customer,
            coupon,
            offer: o,
            amount,
            euro,
            payout,
            status,
            day,
        } = happening.clone()
        else {
            return;
        };
        // Most postbacks come to the offer of their click.
        let o = match click {
            Some(click @ 0..3) if day % 5 != 0 => click % 2,
            _ => o,
        };
        let kind = [
            Kind::Registration,
            Kind::Ftd,
            Kind::Sale,
            Kind::Sale,
            Kind::Revenue,
            Kind::Kyc,
            Kind::Trade,
            Kind::Revenue,
        ][usize::from(kind)]
        .clone();
        let references = References {
            txn_id: txn.map(|txn| format!("t{txn}")),
            event_id: None,
            click_id: click.map(|click| format!("click{click}")),
            customer_id: customer.map(|customer| format!("c{customer}")),
            coupon_code: coupon.then(|| "save".to_owned()),
        };
        let id = self.id();
        let dedupe_key = dedupe::report_key(&offer(o), &kind, &references, None);
        let partner = click.and_then(|click| [0, 1, 1].get(usize::from(click)).copied());
        self.reports.push((id, kind.clone(), partner));
        self.push(
            day,
            Fact::of_report(Report {
                outcome: Outcome::Accepted,
                offer: offer(o),
                event: None,
                references,
                amount_minor: amount,
                currency: if euro { Currency::EUR } else { Currency::USD },
                payout_minor: payout.then_some(700),
                quantity: (kind == Kind::Trade).then(|| Exact::parse("2.5").expect("a number")),
                kind,
                status,
                subs: BTreeMap::new(),
                metadata: BTreeMap::new(),
                dedupe_key,
                matched: true,
                attempt: attempt(),
            }),
        );
    }

    fn pay(&mut self, which: &[u8], partner: u8, amount: i64, moves: &[Move], day: u8) {
        let payout_id = FactId::from_u128(0x9999_0000 + self.facts.len() as u128);
        // Most payouts go to whoever is credited.
        let first = usize::from(which[0]) % self.reports.len().max(1);
        let credited = self.reports.get(first).and_then(|report| report.2);
        let partner = credited.filter(|_| partner != 2).unwrap_or(partner);
        let mut lines: Vec<PayoutLine> = Vec::new();
        for (place, &which) in which.iter().enumerate() {
            let (subject_id, rule) = self.subject(which);
            // Every third line recovers something.
            let amount_minor = if place % 3 == 2 { -amount / 2 } else { amount };
            lines.push(PayoutLine {
                subject_id,
                rule: Some(rule.to_owned()),
                amount_minor,
            });
        }
        let amount_minor = lines.iter().map(|line| line.amount_minor).sum();
        let currency = if partner == 2 {
            Currency::EUR
        } else {
            Currency::USD
        };
        self.push(
            day,
            Fact::PayoutProposed(PayoutProposed {
                payout_id,
                partner: slug("p", partner),
                amount_minor,
                currency,
                lines,
                reason: "r".to_owned(),
            }),
        );
        let moved = PayoutMoved {
            payout_id,
            reference: None,
            reason: None,
        };
        for (later, step) in (1..).zip(moves) {
            let moved = moved.clone();
            let fact = match step {
                Move::Approve => Fact::PayoutApproved(moved),
                Move::Send => Fact::PayoutSent(moved),
                Move::Settle => Fact::PayoutSettled(moved),
                Move::Fail => Fact::PayoutFailed(moved),
                Move::Return => Fact::PayoutReturned(moved),
            };
            self.push(day + later, fact);
        }
    }
}

fn rule_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Ftd => "ftd",
        Kind::Revenue => "revenue",
        Kind::Trade => "trade",
        _ => "sale",
    }
}
