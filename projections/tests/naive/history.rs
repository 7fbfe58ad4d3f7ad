//! What the facts of a story say, asked by walking through all of them.

use std::collections::BTreeMap;

use postbook_schemas::{
    Abuse, Change, Currency, Envelope, Fact, FactId, Instant, Kind, OfferRef, Outcome, Slug,
    Status,
    configuration::{Candidate, TermsPublished},
    decision::Decision,
    postback::{References, Report},
    terms::{PartnerScope, Terms},
    traffic::Click,
};
use rust_decimal::Decimal;

/// Where a fact stands among others.
pub(crate) type Order = (Instant, String, FactId);

/// One thing that happened, told by the earliest report under its dedupe key.
#[derive(Clone, Debug)]
pub(crate) struct Conversion<'a> {
    pub(crate) id: FactId,
    pub(crate) ids: Vec<FactId>,
    pub(crate) order: Order,
    pub(crate) report: &'a Report,
}

impl Conversion<'_> {
    pub(crate) fn at(&self) -> Instant {
        self.order.0
    }

    pub(crate) fn amount(&self) -> i64 {
        self.report.amount_minor.unwrap_or(0)
    }
}

/// A refund, chargeback, chargeback won or status.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) order: Order,
    pub(crate) change: Change,
    pub(crate) offer: OfferRef,
    pub(crate) references: References,
    pub(crate) amount: Option<i64>,
    pub(crate) currency: Option<Currency>,
    pub(crate) status: Option<Status>,
}

/// All facts.
#[derive(Debug)]
pub(crate) struct History<'a> {
    pub(crate) facts: &'a [Envelope],
    pub(crate) conversions: Vec<Conversion<'a>>,
    pub(crate) changes: Vec<Changed>,
}

fn order(envelope: &Envelope, key: Option<&String>) -> Order {
    let key = key.cloned().unwrap_or_default();
    (envelope.occurred_at, key, envelope.id)
}

/// Newest of what a closure finds, by the order of facts.
fn newest<T>(facts: &[Envelope], find: impl Fn(&Envelope) -> Option<T>) -> Option<T> {
    let found = facts
        .iter()
        .filter_map(|fact| Some(((fact.occurred_at, fact.id), find(fact)?)));
    found.max_by_key(|(at, _)| *at).map(|(_, value)| value)
}

impl<'a> History<'a> {
    pub(crate) fn of(facts: &'a [Envelope]) -> Self {
        let mut conversions: Vec<Conversion<'a>> = Vec::new();
        let mut changes: Vec<Changed> = Vec::new();
        let mut sorted: Vec<&Envelope> = facts.iter().collect();
        sorted.sort_by_key(|fact| {
            let key = fact
                .fact
                .as_report()
                .and_then(|report| report.dedupe_key.as_ref());
            let key = key.or_else(|| fact.fact.as_change().and_then(|it| it.dedupe_key.as_ref()));
            order(fact, key)
        });
        for envelope in sorted {
            if let Some(report) = envelope.fact.as_report() {
                let twin = conversions.iter_mut().find(|known| {
                    report.dedupe_key.is_some() && known.report.dedupe_key == report.dedupe_key
                });
                match twin {
                    Some(known) => known.ids.push(envelope.id),
                    None => conversions.push(Conversion {
                        id: envelope.id,
                        ids: vec![envelope.id],
                        order: order(envelope, report.dedupe_key.as_ref()),
                        report,
                    }),
                }
            }
            if let Some(change) = envelope.fact.as_change() {
                let order = order(envelope, change.dedupe_key.as_ref());
                let key = change.dedupe_key.clone().unwrap_or_default();
                let is_repeat = |known: &Changed| !key.is_empty() && known.order.1 == key;
                if !changes.iter().any(is_repeat) {
                    changes.push(Changed {
                        order,
                        change: change.change,
                        offer: change.offer.clone(),
                        references: change.references.clone(),
                        amount: change.amount_minor,
                        currency: change.currency,
                        status: change.status,
                    });
                }
            }
        }
        Self {
            facts,
            conversions,
            changes,
        }
    }

    pub(crate) fn click(&self, id: &str) -> Option<(&Click, Instant)> {
        self.facts.iter().find_map(|fact| match &fact.fact {
            Fact::ClickRecorded(click) if click.click_id == id => Some((click, fact.occurred_at)),
            _ => None,
        })
    }

    fn window_days(&self, offer: &OfferRef) -> i64 {
        let defined = newest(self.facts, |fact| match &fact.fact {
            Fact::OfferDefined(defined) if defined.reference() == *offer => {
                Some(i64::from(defined.click_window_days))
            }
            _ => None,
        });
        defined.unwrap_or(30)
    }

    fn coupon(&self, offer: &OfferRef, code: &str, at: Instant) -> Option<Slug> {
        let all = self.facts.iter().filter_map(|fact| match &fact.fact {
            Fact::CouponDefined(coupon)
                if coupon.offer == *offer
                    && coupon.code.eq_ignore_ascii_case(code)
                    && coupon.effective_from.is_none_or(|from| from <= at) =>
            {
                let place = (coupon.effective_from, fact.occurred_at, fact.id);
                Some((place, coupon.partner.clone()))
            }
            _ => None,
        });
        all.max_by_key(|(place, _)| *place)
            .map(|(_, partner)| partner)
    }

    pub(crate) fn rate(&self, from: Currency, to: Currency, at: Instant) -> Option<Decimal> {
        let all = self.facts.iter().filter_map(|fact| match &fact.fact {
            Fact::FxRateRecorded(rate)
                if rate.base == from && rate.quote == to && rate.at <= at =>
            {
                Some(((rate.at, fact.occurred_at, fact.id), rate.rate.decimal()))
            }
            _ => None,
        });
        all.max_by_key(|(place, _)| *place).map(|(_, rate)| rate)
    }

    pub(crate) fn currency_of(&self, partner: &Slug) -> Option<Currency> {
        newest(self.facts, |fact| match &fact.fact {
            Fact::PartnerDefined(defined) if defined.slug == *partner => Some(defined.currency),
            _ => None,
        })
    }

    /// What payouts to somebody that are sent or have settled carry of a line.
    pub(crate) fn paid(
        &self,
        conversion: &Conversion<'_>,
        (partner, currency): (&Slug, Currency),
        rule: &str,
    ) -> i64 {
        let mut proposals = BTreeMap::new();
        for fact in self.facts {
            if let Fact::PayoutProposed(proposed) = &fact.fact {
                proposals.entry(proposed.payout_id).or_insert(proposed);
            }
        }
        let of_payee = proposals.into_values().filter(|proposed| {
            (&proposed.partner, proposed.currency) == (partner, currency)
                && self.is_on_its_way(proposed.payout_id)
        });
        let lines = of_payee.flat_map(|proposed| &proposed.lines);
        let of_it = lines.filter(|line| {
            conversion.ids.contains(&line.subject_id) && line.rule.as_deref() == Some(rule)
        });
        of_it.map(|line| line.amount_minor).sum()
    }

    /// Whether the last that was said of a payout is that it was sent or has settled; of two moves at one
    /// time the one that is further on its way.
    fn is_on_its_way(&self, payout_id: FactId) -> bool {
        let moves = self.facts.iter().filter_map(|fact| {
            let (step, moved) = match &fact.fact {
                Fact::PayoutApproved(moved) => (1, moved),
                Fact::PayoutSent(moved) => (2, moved),
                Fact::PayoutSettled(moved) => (3, moved),
                Fact::PayoutFailed(moved) => (4, moved),
                Fact::PayoutReturned(moved) => (5, moved),
                _ => return None,
            };
            (moved.payout_id == payout_id).then_some((fact.occurred_at, step))
        });
        moves.max().is_some_and(|(_, step)| step == 2 || step == 3)
    }

    fn parent(&self, partner: &Slug, at: Instant) -> Option<Slug> {
        let mut definitions: Vec<_> = self
            .facts
            .iter()
            .filter_map(|fact| match &fact.fact {
                Fact::PartnerDefined(defined) if defined.slug == *partner => {
                    Some((fact.occurred_at, fact.id, defined.parent.clone()))
                }
                _ => None,
            })
            .collect();
        definitions.sort();
        let held = definitions.iter().rev().find(|(from, ..)| *from <= at);
        held.or(definitions.first())?.2.clone()
    }

    /// The partners above, the nearest first, until the circle closes.
    pub(crate) fn above(&self, partner: &Slug, at: Instant) -> Vec<Slug> {
        let mut chain = vec![partner.clone()];
        while let Some(next) = self.parent(&chain[chain.len() - 1], at) {
            if chain.contains(&next) {
                break;
            }
            chain.push(next);
        }
        chain.remove(0);
        chain
    }

    /// The terms for a partner at a time: its own before those for all, the newest that hold.
    pub(crate) fn terms(&self, offer: &OfferRef, partner: &Slug, at: Instant) -> Option<&'a Terms> {
        let of_scope = |scope: &PartnerScope| {
            let all = self.facts.iter().filter_map(|fact| match &fact.fact {
                Fact::TermsPublished(TermsPublished { terms, .. })
                    if terms.offer == *offer
                        && terms.partner == *scope
                        && terms.effective_from <= at =>
                {
                    Some(((terms.effective_from, fact.occurred_at, fact.id), terms))
                }
                _ => None,
            });
            all.max_by_key(|(place, _)| *place).map(|(_, terms)| terms)
        };
        of_scope(&PartnerScope::One(partner.clone())).or_else(|| of_scope(&PartnerScope::All))
    }

    /// Whom a conversion credits without its customer's bond.
    fn own_credit(&self, conversion: &Conversion<'_>) -> Option<Slug> {
        if let Some(corrected) = self.corrected(conversion) {
            return corrected;
        }
        self.by_click(conversion)
            .or_else(|| self.by_coupon(conversion))
    }

    /// Who is credited.
    pub(crate) fn credited(&self, conversion: &Conversion<'_>) -> Option<Slug> {
        if let Some(corrected) = self.corrected(conversion) {
            return corrected;
        }
        let candidates = [
            Candidate::ClickId,
            Candidate::CouponCode,
            Candidate::CustomerId,
        ];
        candidates
            .into_iter()
            .find_map(|candidate| match candidate {
                Candidate::ClickId => self.by_click(conversion),
                Candidate::CouponCode => self.by_coupon(conversion),
                Candidate::CustomerId => self.by_bond(conversion),
            })
    }

    #[expect(
        clippy::option_option,
        reason = "corrected to nobody is not the same as not corrected"
    )]
    fn corrected(&self, conversion: &Conversion<'_>) -> Option<Option<Slug>> {
        newest(self.facts, |fact| match &fact.fact {
            Fact::AttributionCorrected(it) if conversion.ids.contains(&it.conversion_id) => {
                Some(it.partner.clone())
            }
            _ => None,
        })
    }

    fn by_click(&self, conversion: &Conversion<'_>) -> Option<Slug> {
        let (click, at) = self.click(conversion.report.references.click_id.as_deref()?)?;
        let age_us = conversion.at().micros_since(at);
        let window_us = self.window_days(&conversion.report.offer) * 86_400_000_000;
        let holds = click.offer == conversion.report.offer && (0..=window_us).contains(&age_us);
        holds.then(|| click.partner.clone())
    }

    fn by_coupon(&self, conversion: &Conversion<'_>) -> Option<Slug> {
        let code = conversion.report.references.coupon_code.as_deref()?;
        self.coupon(&conversion.report.offer, code, conversion.at())
    }

    /// By the first conversion of the customer that credited somebody by itself, if another.
    fn by_bond(&self, conversion: &Conversion<'_>) -> Option<Slug> {
        let (binding, partner) = self.binding(conversion)?;
        (binding.order != conversion.order).then_some(partner)
    }

    /// The click that conditions look at: the one that is named, or that of the conversion which bound
    /// the customer.
    pub(crate) fn visit(&self, conversion: &Conversion<'_>) -> Option<&Click> {
        let own = conversion.report.references.click_id.as_deref();
        let id = if let Some(id) = own {
            id
        } else {
            let (binding, _) = self.binding(conversion)?;
            binding.report.references.click_id.as_deref()?
        };
        self.click(id).map(|(click, _)| click)
    }

    /// The first conversion of the customer that credited somebody by itself, if it was not later, and whom.
    fn binding(&self, conversion: &Conversion<'_>) -> Option<(&Conversion<'a>, Slug)> {
        let customer = conversion.report.references.customer_id.as_ref()?;
        let mut binding: Vec<_> = self
            .conversions
            .iter()
            .filter(|other| other.report.offer == conversion.report.offer)
            .filter(|other| other.report.references.customer_id.as_ref() == Some(customer))
            .filter_map(|other| Some((other, self.own_credit(other)?)))
            .collect();
        binding.sort_by(|(a, _), (b, _)| a.order.cmp(&b.order));
        let first = binding.into_iter().next();
        first.filter(|(binding, _)| binding.at() <= conversion.at())
    }

    /// The changes that mean a conversion, in order.
    pub(crate) fn changes_of(&self, conversion: &Conversion<'_>) -> Vec<&Changed> {
        let mine = self
            .changes
            .iter()
            .filter(|change| self.means(change, conversion));
        let mut mine: Vec<&Changed> = mine.collect();
        mine.sort_by(|a, b| a.order.cmp(&b.order));
        mine
    }

    fn means(&self, change: &Changed, conversion: &Conversion<'_>) -> bool {
        if change.offer != conversion.report.offer {
            return false;
        }
        let theirs = &change.references;
        if theirs.txn_id.is_some() {
            return theirs.txn_id == conversion.report.references.txn_id;
        }
        let shares = |other: &Conversion<'_>| {
            let ours = &other.report.references;
            other.report.offer == change.offer
                && if theirs.click_id.is_some() {
                    ours.click_id == theirs.click_id
                } else {
                    ours.customer_id == theirs.customer_id
                }
        };
        // The last one before it, and for money the last one that brought some in.
        let candidates = self.conversions.iter().filter(|other| shares(other));
        let candidates = candidates
            .filter(|other| other.at() <= change.order.0)
            .filter(|other| change.change == Change::Status || other.amount() > 0);
        candidates
            .max_by(|a, b| a.order.cmp(&b.order))
            .is_some_and(|target| target.id == conversion.id)
    }

    /// The status by facts: the last decision until it is released, else the advertiser's last word.
    pub(crate) fn status(&self, conversion: &Conversion<'_>) -> Option<Status> {
        let mut decisions: Vec<_> = self
            .facts
            .iter()
            .filter_map(|fact| match &fact.fact {
                Fact::ConversionDecided(it) if conversion.ids.contains(&it.conversion_id) => {
                    Some((fact.occurred_at, fact.id, it.decision))
                }
                _ => None,
            })
            .collect();
        decisions.sort_unstable();
        match decisions.last() {
            Some((_, _, Decision::Approve)) => return Some(Status::Approved),
            Some((_, _, Decision::Reject)) => return Some(Status::Rejected),
            Some((_, _, Decision::Reverse)) => return Some(Status::Reversed),
            Some((_, _, Decision::Release)) | None => {}
        }
        let mut said = self
            .changes_of(conversion)
            .into_iter()
            .filter_map(|change| change.status);
        said.next_back().or(conversion.report.status)
    }

    pub(crate) fn is_refused(&self, conversion: &Conversion<'_>) -> bool {
        matches!(
            self.status(conversion),
            Some(Status::Rejected | Status::Reversed)
        )
    }

    /// Whether the customer misbehaved after the conversion, and by then.
    pub(crate) fn is_abused(&self, conversion: &Conversion<'_>, until: Instant) -> bool {
        self.facts.iter().any(|fact| match &fact.fact {
            Fact::AbuseReported(abuse) => {
                let customer = &abuse.references.customer_id;
                abuse.abuse == Abuse::Fraud
                    && abuse.outcome == Outcome::Accepted
                    && abuse.offer == conversion.report.offer
                    && customer.is_some()
                    && *customer == conversion.report.references.customer_id
                    && (conversion.at()..=until).contains(&fact.occurred_at)
            }
            _ => false,
        })
    }

    /// When each conversion of a kind happened that counts among the customer's.
    pub(crate) fn of_same_customer(
        &self,
        conversion: &Conversion<'_>,
        kind: &Kind,
    ) -> Vec<Instant> {
        let companions = self.companions(conversion).into_iter();
        companions
            .filter(|other| other.report.kind == *kind)
            .map(Conversion::at)
            .collect()
    }

    /// The conversions that count among the customer's: those of the same customer, and those of the
    /// same click that are nobody else's.
    pub(crate) fn companions(&self, conversion: &Conversion<'_>) -> Vec<&Conversion<'a>> {
        let ours = &conversion.report.references;
        let same = |other: &&Conversion<'_>| {
            let theirs = &other.report.references;
            let by_customer = ours.customer_id.is_some() && ours.customer_id == theirs.customer_id;
            let is_nobody_elses = ours.customer_id.is_none()
                || theirs.customer_id.is_none()
                || ours.customer_id == theirs.customer_id;
            let by_click =
                ours.click_id.is_some() && ours.click_id == theirs.click_id && is_nobody_elses;
            other.report.offer == conversion.report.offer
                && (by_customer || by_click)
                && !self.is_refused(other)
        };
        self.conversions.iter().filter(same).collect()
    }
}
