//! A conversion: the report, and all that was said about it since.

use postbook_schemas::{
    Abuse, Change, Currency, FactId, Instant, Kind, OfferRef, Outcome, Slug, Status,
    decision::Decision,
    postback::{ChangeReport, References, Report},
};
use smallvec::{SmallVec, smallvec};

use crate::{
    numbers::{GroupKey, PoolKey},
    order::{OrderKey, short},
    posted::PostedLine,
    rows::{AttributedBy, Attribution},
};

/// A conversion as reported, and what is derived and posted for it so far.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Where it stands among the facts; its id is the conversion's.
    pub order: OrderKey,
    /// Where the report is in the log.
    pub position: u64,
    /// When it was recorded.
    pub recorded_at: Instant,
    /// The offer.
    pub offer: OfferRef,
    /// The kind.
    pub kind: Kind,
    /// The groups it belongs to.
    pub keys: Keys,
    /// What the report refers to.
    pub references: Named,
    /// The amount, in minor units of `currency`.
    pub amount_minor: Option<i64>,
    /// The currency of the amounts.
    pub currency: Currency,
    /// The `payout` parameter, in minor units of `currency`.
    pub payout_minor: Option<i64>,
    /// Lots or units.
    pub quantity: Option<Box<rust_decimal::Decimal>>,
    /// The status that came with the report.
    pub status: Option<Status>,
    /// `sub1` to `sub5` of the report.
    pub subs: std::collections::BTreeMap<String, String>,
    /// Whether it is test traffic.
    pub sandbox: bool,
    /// Ids of facts that reported the same conversion; decisions may name any of them.
    pub aliases: SmallVec<[FactId; 1]>,
    /// Who is credited by click, coupon or correction: what can bind the customer, if one is named.
    pub own_credit: Option<Slug>,
    /// Who is credited, and why.
    pub attribution: Attribution,
    /// Whether it counts among the customer's conversions: neither test traffic nor taken back.
    pub counts: bool,
    /// The pools of tiers and caps it is in.
    pub pools: Vec<PoolKey>,
    /// What is posted for it, by rule and partner.
    pub posted: Vec<PostedLine>,
}

impl Conversion {
    /// A conversion as reported.
    pub fn new(position: u64, recorded_at: Instant, order: OrderKey, report: &Report) -> Self {
        Self {
            aliases: smallvec![order.id],
            order,
            position,
            recorded_at,
            offer: report.offer.clone(),
            kind: report.kind.clone(),
            keys: Keys::of(
                &report.offer,
                &report.references,
                report.outcome == Outcome::Sandbox,
            ),
            references: Named::of(&report.references),
            amount_minor: report.amount_minor,
            currency: report.currency,
            payout_minor: report.payout_minor,
            quantity: report.quantity.map(|quantity| Box::new(quantity.decimal())),
            status: report.status,
            subs: report.subs.clone(),
            sandbox: report.outcome == Outcome::Sandbox,
            own_credit: None,
            attribution: Attribution {
                by: None,
                partner: None,
                click_id: None,
                reason: "new".into(),
                losers: Vec::new(),
            },
            counts: false,
            pools: Vec::new(),
            posted: Vec::new(),
        }
    }

    /// Its id.
    pub fn id(&self) -> FactId {
        self.order.id
    }

    /// When it happened.
    pub fn occurred_at(&self) -> Instant {
        self.order.occurred_at
    }

    /// Whether what is derived for it may have to do with a partner: corrected conversions also
    /// have to do with whoever would be credited without the correction.
    pub fn concerns(&self, partner: &Slug) -> bool {
        self.attribution.partner.as_ref() == Some(partner)
            || self.attribution.by == Some(AttributedBy::Correction)
            || self.posted.iter().any(|line| line.partner == *partner)
    }
}

/// What a report refers to, as far as it matters afterwards: there are very many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The advertiser's id of the transaction.
    pub txn_id: Option<Box<str>>,
    /// The click id that was handed on.
    pub click_id: Option<Box<str>>,
    /// The advertiser's id of the customer.
    pub customer_id: Option<Box<str>>,
    /// The coupon that was used.
    pub coupon_code: Option<Box<str>>,
}

impl Named {
    fn of(references: &References) -> Self {
        let short = |text: &Option<String>| text.as_deref().map(Box::from);
        Self {
            txn_id: short(&references.txn_id),
            click_id: short(&references.click_id),
            customer_id: short(&references.customer_id),
            coupon_code: short(&references.coupon_code),
        }
    }
}

/// Short names of what a fact refers to: conversions and changes meet under them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The transaction.
    pub txn: Option<GroupKey>,
    /// The click.
    pub click: Option<GroupKey>,
    /// The customer.
    pub customer: Option<GroupKey>,
}

impl Keys {
    /// The keys of a fact; test traffic keeps to itself.
    pub fn of(offer: &OfferRef, references: &References, sandbox: bool) -> Self {
        let world = if sandbox { "sandbox" } else { "" };
        let key = |name: &str, id: &Option<String>| {
            id.as_ref()
                .map(|id| group_key(&[world, name, offer.as_str(), id]))
        };
        Self {
            txn: key("txn", &references.txn_id),
            click: key("click", &references.click_id),
            customer: key("customer", &references.customer_id),
        }
    }
}

/// The short name of a group, as [`short`] makes it.
pub fn group_key(parts: &[&str]) -> GroupKey {
    GroupKey::new(short(parts)).unwrap_or(GroupKey::MIN)
}

/// A refund, chargeback, chargeback won or status.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Where it stands among the facts.
    pub order: OrderKey,
    /// Where it is in the log.
    pub position: u64,
    /// What changed.
    pub change: Change,
    /// How much, in minor units of `currency`; all that remains if absent.
    pub amount_minor: Option<i64>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// The new status.
    pub status: Option<Status>,
}

impl Changed {
    /// A change as reported.
    pub fn new(position: u64, order: OrderKey, report: &ChangeReport) -> Self {
        Self {
            order,
            position,
            change: report.change,
            // The sign says nothing (SPEC 3.4).
            amount_minor: report.amount_minor.map(i64::saturating_abs),
            currency: report.currency,
            status: report.status,
        }
    }
}

/// Misbehaviour of a customer.
#[derive(Clone, Debug)]
pub struct Abused {
    /// Where it stands among the facts.
    pub order: OrderKey,
    /// What was done.
    pub abuse: Abuse,
}

/// A manager's decision.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Where it stands among the facts.
    pub order: OrderKey,
    /// The decision.
    pub decision: Decision,
}

/// A correction of who is credited.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// Where it stands among the facts.
    pub order: OrderKey,
    /// Who is credited; nobody if absent.
    pub partner: Option<Slug>,
}
