//! A finance desk in generated stories: it pays what is due, as the service does, whenever a story
//! lets it.

use std::collections::BTreeMap;

use postbook_projections::{
    Book,
    payable::{Available, DueLine, not_reserved},
    rows::{Account, LineState},
};
use postbook_schemas::{
    Currency, Envelope, Fact, FactId, Instant, Slug, Source,
    bank::RecoveryLimit,
    decision::BalanceWrittenOff,
    payout::{PayoutLine, PayoutMoved, PayoutProposed},
};
use proptest::{prelude::*, sample::select};

use crate::{folding::Folded, generated::Story};

const DAY: i64 = 86_400_000_000;

/// What the desk does at a place of a story.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    place: usize,
    partner: u8,
    does: Does,
    /// How long after the last thing that happened.
    days: i64,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    /// Proposes so many quarters of what can be paid, and sends it.
    Pay(i64, &'static str),
    /// Proposes only: the payout stays open.
    Propose,
    /// Sends what was sent back.
    PayAndGetBack,
    /// Gives up what is outstanding.
    WriteOff,
}

pub(crate) fn orders() -> impl Strategy<Value = Vec<Order>> {
    let pay = (1_i64..=4, select(vec!["100%", "100%", "50%", "0%", "0.50"]))
        .prop_map(|(part, limit)| Does::Pay(part, limit));
    let does = prop_oneof![
        6 => pay,
        1 => Just(Does::Propose),
        1 => Just(Does::PayAndGetBack),
        1 => Just(Does::WriteOff),
    ];
    let order =
        (0_usize..60, 0_u8..4, does, 0_i64..20).prop_map(|(place, partner, does, days)| Order {
            place,
            partner,
            does,
            days,
        });
    proptest::collection::vec(order, 1..12)
}

/// A story while it is told, with what the desk did.
pub(crate) struct Told {
    pub(crate) facts: Vec<Envelope>,
    pub(crate) folded: Folded,
    book: Book,
    payouts: BTreeMap<FactId, (PayoutProposed, bool)>,
    pub(crate) paid: usize,
}

/// Tells a story of which only the desk pays; checks at each payout what must hold then.
pub(crate) fn tell(story: &Story, orders: &[Order]) -> Told {
    let mut told = Told {
        facts: Vec::new(),
        folded: Folded::default(),
        book: Book::new(),
        payouts: BTreeMap::new(),
        paid: 0,
    };
    let is_the_desks = |fact: &Fact| {
        let name = fact.fact_type().name();
        name.starts_with("payout.") || name == "balance.written_off"
    };
    let facts = story.facts.iter().filter(|it| !is_the_desks(&it.fact));
    for (place, envelope) in facts.enumerate() {
        for order in orders.iter().filter(|order| order.place == place) {
            told.follow(order);
        }
        told.push(envelope.clone());
    }
    for order in orders {
        told.follow(order);
    }
    told
}

impl Told {
    fn push(&mut self, envelope: Envelope) {
        self.facts.push(envelope);
        let position = self.facts.len() as u64;
        let envelope = self.facts.last().expect("it was pushed");
        self.folded
            .apply(&mut self.book, position, envelope, &self.facts);
    }

    fn say(&mut self, occurred_at: Instant, fact: Fact) {
        self.push(Envelope {
            id: FactId::from_u128(0xde50_0000_0000 + self.facts.len() as u128),
            occurred_at,
            recorded_at: occurred_at,
            actor: "desk".to_owned(),
            source: Source::default(),
            reason: None,
            fact,
        });
    }

    fn follow(&mut self, order: &Order) {
        let partner = Slug::try_new(&format!("p{}", order.partner)).expect("a slug");
        let last = self.facts.iter().map(|fact| fact.occurred_at).max();
        let now = last.map_or(Instant::EPOCH, |at| at.plus_micros(order.days * DAY + 1));
        for currency in [Currency::USD, Currency::EUR] {
            match order.does {
                Does::WriteOff => self.write_off(&partner, currency, now),
                Does::Pay(part, limit) => {
                    if let Some(id) = self.propose(&partner, currency, now, (part, limit)) {
                        self.send(id, now, false);
                    }
                }
                Does::Propose => {
                    self.propose(&partner, currency, now, (4, "100%"));
                }
                Does::PayAndGetBack => {
                    if let Some(id) = self.propose(&partner, currency, now, (4, "100%")) {
                        self.send(id, now, true);
                    }
                }
            }
        }
    }

    /// What the ledger says is payable.
    fn payable(&self, partner: &Slug, currency: Currency, now: Instant) -> i64 {
        let postings = self.folded.postings.iter();
        let theirs = postings.filter(|it| it.currency == currency && it.effective_at <= now);
        theirs
            .flat_map(|posting| &posting.entries)
            .filter(|entry| entry.account == Account::Approved(partner.clone()))
            .filter(|entry| entry.available_at.is_none_or(|at| at <= now))
            .map(|entry| -entry.amount_minor)
            .sum()
    }

    /// What payouts that are `sent`, or only proposed, carry of a line.
    fn carried(&self, partner: &Slug, subject: FactId, rule: Option<&str>, sent: bool) -> i64 {
        let payouts = self.payouts.values();
        payouts
            .filter(|(proposed, is_sent)| *is_sent == sent && proposed.partner == *partner)
            .flat_map(|(proposed, _)| &proposed.lines)
            .filter(|line| line.subject_id == subject && line.rule.as_deref() == rule)
            .map(|line| line.amount_minor)
            .sum()
    }

    /// What is due line by line, whether reserved or not.
    pub(crate) fn due(&self, partner: &Slug, currency: Currency) -> Vec<DueLine> {
        self.due_beyond(partner, currency, &|_, _| 0)
    }

    /// What is due line by line beyond what is reserved of each.
    fn due_beyond(
        &self,
        partner: &Slug,
        currency: Currency,
        reserved: &dyn Fn(FactId, Option<&str>) -> i64,
    ) -> Vec<DueLine> {
        let mut due = Vec::new();
        for row in self.folded.conversions.values() {
            for line in &row.earnings {
                if line.partner.as_ref() != Some(partner) || line.currency != Some(currency) {
                    continue;
                }
                let available_at = match line.state {
                    LineState::Approved => Some(line.available_at.unwrap_or(row.occurred_at)),
                    LineState::Pending => line.available_at,
                    LineState::Zero => None,
                };
                let whole = DueLine {
                    subject_id: row.id,
                    rule: line.rule.as_deref().map(str::to_owned),
                    offer: None,
                    amount_minor: line.amount_minor,
                    available_at,
                    occurred_at: row.occurred_at,
                };
                let reserved = reserved(row.id, line.rule.as_deref());
                due.extend(whole.parts(line.carried_minor - line.written_off_minor, reserved));
            }
        }
        for fact in &self.facts {
            if let Fact::AdjustmentPosted(posted) = &fact.fact
                && posted.partner == *partner
                && posted.currency == currency
            {
                let carried = self.carried(partner, fact.id, None, true);
                due.push(DueLine {
                    subject_id: fact.id,
                    rule: None,
                    offer: None,
                    amount_minor: not_reserved(
                        posted.amount_minor - carried,
                        reserved(fact.id, None),
                    ),
                    available_at: Some(fact.occurred_at),
                    occurred_at: fact.occurred_at,
                });
            }
        }
        for row in self.folded.carryovers.values() {
            if row.partner == *partner && row.currency == currency {
                let carried = self.carried(partner, row.id, None, true);
                let whole = DueLine {
                    subject_id: row.id,
                    rule: None,
                    offer: row.offer.clone(),
                    amount_minor: row.amount_minor,
                    available_at: Some(row.available_at),
                    occurred_at: row.ends_at,
                };
                let parts = whole.parts(carried, reserved(row.id, None));
                due.extend(parts.map(DueLine::debt_at_once));
            }
        }
        due.retain(|line| line.amount_minor != 0);
        due
    }

    /// What was given up without saying which debts.
    pub(crate) fn written_off(&self, partner: &Slug, currency: Currency) -> i64 {
        let written_off = self.facts.iter().filter_map(|fact| match &fact.fact {
            Fact::BalanceWrittenOff(data)
                if data.lines.is_empty()
                    && data.partner == *partner
                    && data.currency == currency =>
            {
                Some(data.amount_minor)
            }
            _ => None,
        });
        written_off.sum()
    }

    fn propose(
        &mut self,
        partner: &Slug,
        currency: Currency,
        now: Instant,
        (part, limit): (i64, &str),
    ) -> Option<FactId> {
        let reserved = |subject, rule: Option<&str>| self.carried(partner, subject, rule, false);
        let due = self.due_beyond(partner, currency, &reserved);
        let open = self.payouts.values().filter(|(proposed, sent)| {
            !sent && proposed.partner == *partner && proposed.currency == currency
        });
        let reserved: i64 = open.map(|(proposed, _)| proposed.amount_minor).sum();
        let free = self.payable(partner, currency, now) - reserved;
        let written_off = self.written_off(partner, currency);
        let available = Available::new(due, now, written_off, free);
        self.must_be_all(&available, (partner, currency), reserved, free);
        let amount_minor = available.most_minor * part / 4;
        if amount_minor <= 0 {
            return None;
        }
        let limit = RecoveryLimit::try_from(limit.to_owned()).expect("a limit");
        let lines = available.take(amount_minor, Some(limit), currency);
        let sum: i64 = lines.iter().map(|line| line.amount_minor).sum();
        assert_eq!(sum, amount_minor, "lines add up to what is sent");
        assert!(amount_minor <= free, "no payout above payable");
        let payout_id = FactId::from_u128(0xbead_0000_0000 + self.facts.len() as u128);
        let proposed = PayoutProposed {
            payout_id,
            partner: partner.clone(),
            amount_minor,
            currency,
            lines,
            reason: "due".to_owned(),
        };
        self.payouts.insert(payout_id, (proposed.clone(), false));
        self.say(now, Fact::PayoutProposed(proposed));
        Some(payout_id)
    }

    /// What is payable by the ledger is what the lines have that are payable, but for what open payouts
    /// reserve and the ends of months, which take effect ahead of their time.
    fn must_be_all(
        &self,
        available: &Available,
        (partner, currency): (&Slug, Currency),
        reserved: i64,
        free: i64,
    ) {
        let mut months = self.folded.carryovers.values();
        if reserved != 0 || months.any(|row| row.partner == *partner && row.currency == currency) {
            return;
        }
        let lines = available.lines().map(|line| line.amount_minor);
        assert_eq!(lines.sum::<i64>(), free, "all that is payable can be paid");
    }

    fn send(&mut self, payout_id: FactId, now: Instant, comes_back: bool) {
        let (proposed, _) = self.payouts[&payout_id].clone();
        let (partner, currency) = (proposed.partner, proposed.currency);
        let before = self.payable(&partner, currency, now);
        let moved = |fact: fn(PayoutMoved) -> Fact| {
            fact(PayoutMoved {
                payout_id,
                reference: None,
                reason: None,
            })
        };
        self.say(now, moved(Fact::PayoutApproved));
        let sent_at = now.plus_micros(1);
        self.payouts.get_mut(&payout_id).expect("proposed").1 = true;
        self.say(sent_at, moved(Fact::PayoutSent));
        let after = self.payable(&partner, currency, sent_at);
        assert_eq!(after, before - proposed.amount_minor, "it is paid once");
        assert!(after >= 0, "nobody is paid into debt");
        self.paid += 1;
        if comes_back {
            let back_at = now.plus_micros(2);
            self.payouts.remove(&payout_id);
            self.say(back_at, moved(Fact::PayoutReturned));
            let back = self.payable(&partner, currency, back_at);
            assert_eq!(back, before, "what comes back is payable again");
        }
    }

    /// Lines that were clawed back and are owed still, up to an amount.
    fn debts(&self, partner: &Slug, currency: Currency, wanted: i64) -> Vec<PayoutLine> {
        let mut left = wanted;
        let mut lines = Vec::new();
        for row in self.folded.conversions.values() {
            for line in &row.earnings {
                let owed = line.clawed_back_minor - line.recovered_minor - line.written_off_minor;
                let amount_minor = owed.min(left);
                let is_theirs =
                    line.partner.as_ref() == Some(partner) && line.currency == Some(currency);
                if is_theirs && amount_minor > 0 {
                    left -= amount_minor;
                    lines.push(PayoutLine {
                        subject_id: row.id,
                        rule: line.rule.as_deref().map(str::to_owned),
                        amount_minor,
                    });
                }
            }
        }
        lines
    }

    fn write_off(&mut self, partner: &Slug, currency: Currency, now: Instant) {
        let balances = self.folded.balances();
        let Some((_, _, memo)) = balances.get(&(partner.clone(), currency)) else {
            return;
        };
        let outstanding = memo.clawed_back_minor - memo.recovered_minor - memo.written_off_minor;
        if outstanding <= 0 {
            return;
        }
        let wanted = (outstanding / 2).max(1);
        let lines = self.debts(partner, currency, wanted);
        assert_eq!(
            lines.iter().map(|line| line.amount_minor).sum::<i64>(),
            wanted,
            "what is outstanding is owed for lines"
        );
        let written_off = Fact::BalanceWrittenOff(BalanceWrittenOff {
            partner: partner.clone(),
            amount_minor: wanted,
            currency,
            reason: "gone".to_owned(),
            proposal_id: None,
            agreed_because: None,
            lines,
        });
        self.say(now, written_off);
    }
}
