//! The language of the worked examples.
//!
//! A line `DAY WORD key=value…` is a fact that happened on that day of January 2026 (and on);
//! a line `= …` says what must hold at that point. Partners `p1` and `p2` are paid in USD, `e1` in EUR;
//! `DAY partner NAME PARENT` puts one below another, `DAY close MONTH` closes a month, and
//! `= posted KIND PARTNER MONTH; …` says all that was posted since (`= posted_anything` looks at nothing).

use std::collections::BTreeMap;

use postbook_projections::{
    Book, Changes, ClickSeen,
    rows::{Account, ConversionRow, Posting},
};
use postbook_schemas::{
    Abuse, Attempt, Change, Currency, Envelope, Exact, Fact, FactId, Instant, Kind, OfferRef,
    Outcome, Slug, Source, Status,
    configuration::{Coupon, FxRate, Partner, TermsPublished},
    decision::{
        AdjustmentPosted, AttributionCorrected, BalanceWrittenOff, ConversionDecided, Decision,
        PeriodClosed,
    },
    dedupe,
    payout::{PayoutLine, PayoutMoved, PayoutProposed},
    postback::{AbuseReport, ChangeReport, References, Report},
    programme::Programme,
    traffic::{Click, Device},
};

const DAY_US: i64 = 86_400_000_000;
const START_US: i64 = 1_767_225_600_000_000; // 2026-01-01

/// Plays an example and checks what it says must hold.
pub(crate) fn check(rules: &str, script: &str) {
    let mut stage = Stage::new(rules);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        match line.strip_prefix("= ") {
            Some("posted_anything") => stage.looked_at = stage.postings.len(),
            Some(claim) => match claim.strip_prefix("posted ") {
                Some(wanted) => stage.check_posted(wanted),
                None => stage.check(claim),
            },
            None => stage.play(line),
        }
    }
}

#[derive(Default)]
struct Stage {
    book: Book,
    position: u64,
    conversions: BTreeMap<FactId, ConversionRow>,
    postings: Vec<Posting>,
    waiting: BTreeMap<u64, bool>,
    by_txn: BTreeMap<String, FactId>,
    payouts: BTreeMap<String, FactId>,
    /// Clicks that were told as facts.
    clicks: BTreeMap<String, ClickSeen>,
    /// How many postings were looked at.
    looked_at: usize,
}

struct Words<'a> {
    plain: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let (named, plain): (Vec<&str>, Vec<&str>) =
            line.split_whitespace().partition(|word| word.contains('='));
        Self {
            plain,
            named: named
                .iter()
                .filter_map(|word| word.split_once('='))
                .collect(),
        }
    }

    fn plain(&self, place: usize) -> &'a str {
        self.plain.get(place).expect("the line has this many words")
    }

    fn named(&self, name: &str) -> Option<String> {
        self.named.get(name).map(|value| (*value).to_owned())
    }

    fn amount(&self, name: &str) -> Option<i64> {
        self.named.get(name).map(|text| minor(text))
    }
}

fn minor(text: &str) -> i64 {
    Currency::USD.parse_major(text).expect("an amount")
}

fn slug(text: &str) -> Slug {
    Slug::try_new(text).expect("a slug")
}

fn offer() -> OfferRef {
    OfferRef::try_new("acme/casino").expect("an offer")
}

fn attempt() -> Attempt {
    Attempt::default()
}

fn day(text: &str) -> Instant {
    let days: i64 = text.parse().expect("a day");
    Instant::from_micros(START_US + days * DAY_US)
}

impl Stage {
    fn new(rules: &str) -> Self {
        let mut stage = Self::default();
        for (name, currency) in [
            ("p1", Currency::USD),
            ("p2", Currency::USD),
            ("e1", Currency::EUR),
        ] {
            let partner = Partner {
                slug: slug(name),
                name: None,
                currency,
                parent: None,
                payout_threshold: None,
                recovery_limit: None,
                bank: None,
                second_person_above: None,
            };
            stage.apply("0", Fact::PartnerDefined(partner));
        }
        let head = "[[terms]]\noffer = 'acme/casino'\neffective_from = 2026-01-01T00:00:00Z\n";
        let programme = Programme::parse(&format!("{head}{rules}")).expect("rules");
        for terms in programme.terms {
            let version = "t-1".to_owned();
            stage.apply("0", Fact::TermsPublished(TermsPublished { version, terms }));
        }
        stage
    }

    fn apply(&mut self, at: &str, fact: Fact) -> FactId {
        self.position += 1;
        let id = FactId::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(self.position),
        );
        let envelope = Envelope {
            id,
            occurred_at: day(at),
            recorded_at: Instant::from_micros(START_US + 100 * DAY_US),
            actor: "test".to_owned(),
            source: Source::default(),
            reason: None,
            fact,
        };
        let click = self.book.wanted_click(&envelope);
        if let Some(click) = click.and_then(|id| self.clicks.get(id)) {
            self.book.see_click(click.clone());
        }
        let mut changes = Changes::default();
        self.book
            .apply(self.position, &envelope, &mut changes)
            .expect("small amounts");
        for posting in &changes.postings {
            let sum: i64 = posting.entries.iter().map(|entry| entry.amount_minor).sum();
            assert_eq!(sum, 0, "{posting:?}");
        }
        self.postings.append(&mut changes.postings);
        self.conversions
            .extend(changes.conversions.into_iter().map(|row| (row.id, row)));
        self.waiting.extend(
            changes
                .parked
                .into_iter()
                .map(|row| (row.position, row.waiting)),
        );
        id
    }

    fn play(&mut self, line: &str) {
        let words = Words::of(line);
        let at = words.plain(0);
        let word = words.plain(1);
        match word {
            "click" => self.book.see_click(click(&words)),
            "refund" | "chargeback" | "chargeback_won" | "status" => self.play_change(&words),
            "fraud" => {
                self.apply(
                    at,
                    Fact::AbuseReported(AbuseReport {
                        outcome: Outcome::Accepted,
                        offer: offer(),
                        abuse: Abuse::Fraud,
                        references: references(&words),
                        dedupe_key: None,
                        attempt: attempt(),
                    }),
                );
            }
            "payout" | "settled" | "returned" => self.play_payout(&words),
            "decide" | "correct" | "adjust" | "write_off" => self.play_decision(&words),
            "coupon" | "rate" | "partner" | "late_click" | "close" => self.play_definition(&words),
            _ => self.play_report(&words),
        }
    }

    fn play_report(&mut self, words: &Words<'_>) {
        let kind = Kind::built_in(words.plain(1)).unwrap_or_else(|| goal(words.plain(1)));
        let references = references(words);
        let dedupe_key = dedupe::report_key(&offer(), &kind, &references, None);
        let txn = words
            .named("txn")
            .expect("examples name their transactions");
        let id = self.apply(
            words.plain(0),
            Fact::of_report(Report {
                outcome: Outcome::Accepted,
                offer: offer(),
                kind,
                event: None,
                references,
                amount_minor: words.amount("amount"),
                currency: currency(words),
                payout_minor: words.amount("payout"),
                quantity: words.named("quantity").and_then(|text| Exact::parse(&text)),
                status: None,
                subs: words
                    .named("sub1")
                    .map(|it| ("sub1".to_owned(), it))
                    .into_iter()
                    .collect(),
                metadata: BTreeMap::new(),
                dedupe_key,
                matched: true,
                attempt: attempt(),
            }),
        );
        self.by_txn.insert(txn, id);
    }

    fn play_change(&mut self, words: &Words<'_>) {
        let change = match words.plain(1) {
            "refund" => Change::Refund,
            "chargeback" => Change::Chargeback,
            "chargeback_won" => Change::ChargebackWon,
            _ => Change::Status,
        };
        let references = references(words);
        let amount_minor = words.amount("amount");
        let dedupe_key =
            dedupe::change_key(&offer(), change, &references, amount_minor, None, None);
        self.apply(
            words.plain(0),
            Fact::of_change(ChangeReport {
                outcome: Outcome::Accepted,
                offer: offer(),
                change,
                references,
                amount_minor,
                currency: amount_minor.map(|_| currency(words)),
                status: words.named("is").and_then(|word| Status::parse(&word)),
                dedupe_key,
                attempt: attempt(),
            }),
        );
    }

    /// Earning lines as `txn:rule:amount`.
    fn lines(&self, words: &[&str]) -> Vec<PayoutLine> {
        let line = |line: &&str| {
            let parts: Vec<&str> = line.split(':').collect();
            PayoutLine {
                subject_id: self.by_txn[parts[0]],
                rule: Some(parts[1].to_owned()),
                amount_minor: minor(parts[2]),
            }
        };
        words.iter().map(line).collect()
    }

    fn play_payout(&mut self, words: &Words<'_>) {
        let (at, name) = (words.plain(0), words.plain(2).to_owned());
        if words.plain(1) != "payout" {
            let payout_id = self.payouts[&name];
            let moved = PayoutMoved {
                payout_id,
                reference: None,
                reason: None,
            };
            self.apply(
                at,
                match words.plain(1) {
                    "settled" => Fact::PayoutSettled(moved),
                    _ => Fact::PayoutReturned(moved),
                },
            );
            return;
        }
        let payout_id = FactId::from_u128(u128::from(self.position) + 1_000);
        let lines = self.lines(&words.plain[4..]);
        self.payouts.insert(name, payout_id);
        self.apply(
            at,
            Fact::PayoutProposed(PayoutProposed {
                payout_id,
                partner: slug(words.plain(3)),
                amount_minor: lines.iter().map(|line| line.amount_minor).sum(),
                currency: Currency::USD,
                lines,
                reason: "example".to_owned(),
            }),
        );
    }

    fn play_decision(&mut self, words: &Words<'_>) {
        let reason = "example".to_owned();
        let currency = Currency::USD;
        let fact = match words.plain(1) {
            "decide" => Fact::ConversionDecided(ConversionDecided {
                conversion_id: self.by_txn[words.plain(2)],
                decision: match words.plain(3) {
                    "approve" => Decision::Approve,
                    "reject" => Decision::Reject,
                    "reverse" => Decision::Reverse,
                    _ => Decision::Release,
                },
                reason,
            }),
            "correct" => Fact::AttributionCorrected(AttributionCorrected {
                conversion_id: self.by_txn[words.plain(2)],
                partner: words.plain.get(3).map(|partner| slug(partner)),
                reason,
            }),
            "adjust" => Fact::AdjustmentPosted(AdjustmentPosted {
                partner: slug(words.plain(2)),
                amount_minor: minor(words.plain(3)),
                currency,
                reason,
                proposal_id: None,
                agreed_because: None,
            }),
            _ => Fact::BalanceWrittenOff(BalanceWrittenOff {
                partner: slug(words.plain(2)),
                amount_minor: minor(words.plain(3)),
                currency,
                reason,
                proposal_id: None,
                agreed_because: None,
                lines: self.lines(words.plain.get(4..).unwrap_or_default()),
            }),
        };
        self.apply(words.plain(0), fact);
    }

    fn play_definition(&mut self, words: &Words<'_>) {
        let at = words.plain(0);
        let fact = match words.plain(1) {
            "coupon" => Fact::CouponDefined(Coupon {
                code: words.plain(2).to_owned(),
                offer: offer(),
                partner: slug(words.plain(3)),
                effective_from: None,
            }),
            "late_click" => Fact::ClickRecorded(Click {
                click_id: words.plain(2).to_owned(),
                link: None,
                offer: offer(),
                partner: slug(words.plain(3)),
                campaign: None,
                destination: None,
                country: None,
                device: Device::Desktop,
                user_agent: None,
                referrer: None,
                parameters: BTreeMap::new(),
            }),
            "close" => Fact::PeriodClosed(PeriodClosed {
                period: words.plain(2).parse().expect("a month"),
                reason: "example".to_owned(),
            }),
            "partner" => Fact::PartnerDefined(Partner {
                slug: slug(words.plain(2)),
                name: None,
                currency: Currency::USD,
                parent: words.plain.get(3).map(|parent| slug(parent)),
                payout_threshold: None,
                recovery_limit: None,
                bank: None,
                second_person_above: None,
            }),
            _ => Fact::FxRateRecorded(FxRate {
                base: words.plain(2).parse().expect("a currency"),
                quote: words.plain(3).parse().expect("a currency"),
                rate: Exact::parse(words.plain(4)).expect("a rate"),
                at: day(at),
                source: None,
            }),
        };
        self.apply(at, fact);
        if words.plain(1) == "late_click" {
            self.clicks.insert(words.plain(2).to_owned(), click(words));
        }
    }

    /// Checks what was posted since it was looked at last.
    fn check_posted(&mut self, wanted: &str) {
        let new = self.postings.iter().skip(self.looked_at);
        let told = new.map(|posting| {
            let (kind, partner) = (posting.kind.code(), &posting.partner);
            format!("{kind} {partner} {}", posting.period)
        });
        let told: Vec<String> = told.collect();
        self.looked_at = self.postings.len();
        assert_eq!(told.join("; "), wanted);
    }

    fn check(&self, claim: &str) {
        let words = Words::of(claim);
        match words.plain(0) {
            "balance" => self.check_balance(claim, words.plain(1), &words, Instant::MAX),
            "at" => self.check_balance(claim, words.plain(2), &words, day(words.plain(1))),
            "parked" => {
                let waiting = self.waiting.values().filter(|waiting| **waiting).count();
                assert_eq!(waiting.to_string(), words.plain(1), "{claim}");
            }
            "account" => {
                let entries = self.postings.iter().flat_map(|posting| &posting.entries);
                let named = entries.filter(|entry| entry.account.to_string() == words.plain(1));
                let sum: i64 = named.map(|entry| entry.amount_minor).sum();
                assert_eq!(Currency::USD.format_major(sum), words.plain(2), "{claim}");
            }
            "refunded" => {
                let row = self.conversion(words.plain(1));
                let actual = (row.refunded_minor, row.over_refunded_minor);
                assert_eq!(
                    actual,
                    (minor(words.plain(2)), minor(words.plain(3))),
                    "{claim}"
                );
            }
            "status" => {
                let row = self.conversion(words.plain(1));
                assert_eq!(row.status.code(), words.plain(2), "{claim}");
            }
            txn => check_line(claim, self.conversion(txn), &words),
        }
    }

    fn conversion(&self, txn: &str) -> &ConversionRow {
        &self.conversions[&self.by_txn[txn]]
    }

    /// Every figure that the claim does not name must be zero.
    fn check_balance(&self, claim: &str, partner: &str, words: &Words<'_>, as_of: Instant) {
        let partner = slug(partner);
        let mut sums = BTreeMap::<&str, i64>::new();
        let postings = self
            .postings
            .iter()
            .filter(|posting| posting.partner == partner);
        for posting in postings.filter(|posting| posting.effective_at <= as_of) {
            for entry in &posting.entries {
                let name = match &entry.account {
                    Account::Pending(_) => "pending",
                    Account::Approved(_) => "approved",
                    _ => continue,
                };
                *sums.entry(name).or_default() -= entry.amount_minor;
            }
            for (name, amount) in [
                ("earned", posting.memo.earned_minor),
                ("reversed", posting.memo.reversed_minor),
                ("clawed_back", posting.memo.clawed_back_minor),
                ("recovered", posting.memo.recovered_minor),
                ("written_off", posting.memo.written_off_minor),
                ("adjusted", posting.memo.adjusted_minor),
                ("paid", posting.memo.paid_minor),
            ] {
                *sums.entry(name).or_default() += amount;
            }
        }
        let only_named = as_of != Instant::MAX;
        for (name, amount) in sums {
            if only_named && !words.named.contains_key(name) {
                continue;
            }
            let wanted = words.amount(name).unwrap_or(0);
            assert_eq!(
                Currency::USD.format_major(amount),
                Currency::USD.format_major(wanted),
                "{claim}: {name}"
            );
        }
    }
}

fn click(words: &Words<'_>) -> ClickSeen {
    ClickSeen {
        click_id: words.plain(2).to_owned(),
        position: 1,
        offer: offer(),
        partner: slug(words.plain(3)),
        occurred_at: day(words.plain(0)),
        country: words.named("country"),
        device: Device::Desktop,
        subs: BTreeMap::new(),
    }
}

/// What is no built-in kind is a goal of the offer.
fn goal(word: &str) -> Kind {
    Kind::Goal(word.to_owned())
}

fn currency(words: &Words<'_>) -> Currency {
    let named = words.named("currency");
    named.map_or(Currency::USD, |code| code.parse().expect("a currency"))
}

fn references(words: &Words<'_>) -> References {
    References {
        txn_id: words.named("txn"),
        event_id: words.named("event"),
        click_id: words.named("click"),
        customer_id: words.named("customer"),
        coupon_code: words.named("coupon"),
    }
}

fn check_line(claim: &str, row: &ConversionRow, words: &Words<'_>) {
    let lines: Vec<String> = row
        .earnings
        .iter()
        .map(|line| {
            let rule = line.rule.as_deref().unwrap_or("-");
            let partner = line.partner.as_ref().map_or("-", Slug::as_str);
            let amount = Currency::USD.format_major(line.amount_minor);
            let state = line.state.code();
            let reason = line.reason.map_or("", |reason| reason.code());
            format!("{rule} {partner} {amount} {state} {reason}")
                .trim()
                .to_owned()
        })
        .collect();
    let wanted = words.plain[1..].join(" ");
    assert!(
        lines.contains(&wanted),
        "{claim}: {lines:?} {:?}",
        row.attribution
    );
    if let Some(available) = words.named("day") {
        let at = row.earnings.iter().find_map(|line| line.available_at);
        assert_eq!(at, Some(day(&available)), "{claim}");
    }
}
