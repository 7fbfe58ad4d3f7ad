//! How amounts were derived: what the book knows of a conversion that is in no table.

use std::collections::BTreeSet;

use postbook_schemas::{Currency, FactId, Instant, Slug, ZeroReason};

use crate::conditions::Unmet;

/// How a conversion's lines come about, as the book stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The facts that say something of this very conversion: that reported, changed or decided it.
    pub own: BTreeSet<FactId>,
    /// Facts of other conversions that touched it, and by what.
    pub others: Vec<OtherTrace>,
    /// The rates of its changes that came in another currency than its own.
    pub change_rates: Vec<(FactId, RateTrace)>,
    /// What undid all of it.
    pub undone: Option<Undone>,
    /// What decides who is credited: what it is, and where that is.
    pub sources: Vec<Source>,
    /// What each rule that prices it gives, in the order of the lines.
    pub lines: Vec<LineTrace>,
    /// Rules of its kind that do not price it.
    pub unmet: Vec<UnmetTrace>,
}

/// What undid all of a conversion, whatever its status was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Refunds.
    Refunds,
    /// A chargeback.
    Chargeback,
    /// Refunds and a chargeback together.
    Both,
    /// Abuse.
    Abuse,
}

/// A fact of another conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherTrace {
    /// The fact.
    pub id: FactId,
    /// The other's transaction or id; absent where whoever asks may not know.
    pub of: Option<String>,
    /// What both have in common.
    pub shared: Option<Shared>,
}

/// What two conversions have in common, so that facts of one move the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// One advertiser's transaction.
    Transaction,
    /// The tiers of a rule in a partner's terms.
    Tiers(String, Slug),
    /// The cap of a rule in a partner's terms.
    Cap(String, Slug),
    /// The customer.
    Customer,
    /// The click.
    Click,
}

/// Something that attribution looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `click`, `coupon`, `customer`, `correction` or `offer`.
    pub what: &'static str,
    /// What it says.
    pub says: String,
    /// Where it is.
    pub position: Option<u64>,
}

/// A rule that does not price it for a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmetTrace {
    /// The rule.
    pub rule: String,
    /// The group of rules of which the first that applies holds.
    pub group: Option<String>,
    /// Where its terms were published.
    pub terms_position: Option<u64>,
    /// Whose terms it is in.
    pub partner: Slug,
    /// Why not.
    pub unmet: Unmet,
    /// What the total that is not reached comes to.
    pub total: Option<String>,
}

/// How one line comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTrace {
    /// The rule.
    pub rule: String,
    /// The group of rules of which it is the first that applies.
    pub group: Option<String>,
    /// Whose line.
    pub partner: Slug,
    /// The partner's currency.
    pub currency: Currency,
    /// How many levels above the credited partner.
    pub level: u32,
    /// Where its terms were published.
    pub terms_position: Option<u64>,
    /// From when the terms hold.
    pub terms_from: Instant,
    /// Where it stands in its tiers.
    pub tier: Option<TierTrace>,
    /// What the rule pays at that place.
    pub price: String,
    /// What a partner below earns, of an override.
    pub below_minor: Option<(i64, Currency)>,
    /// The exchange rate.
    pub rate: Option<RateTrace>,
    /// What it comes to before refunds and rounding, in minor units.
    pub exact: Option<String>,
    /// The same, rounded.
    pub base_minor: i64,
    /// What refunds, chargebacks and abuse leave of it, as a fraction.
    pub left: (i64, i64),
    /// After them, rounded.
    pub left_minor: i64,
    /// What was paid in advance and has to be worked off first.
    pub advance: Option<AdvanceTrace>,
    /// Where it stands under its cap.
    pub cap: Option<CapTrace>,
    /// What a chargeback costs besides, if it costs anything; `None` within while no rate says how much.
    pub fee: Option<Option<i64>>,
    /// What it gives in the end.
    pub net_minor: i64,
    /// Why that is nothing.
    pub reason: Option<ZeroReason>,
}

/// A place in the tiers of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierTrace {
    /// `count` or `amount`, per `month` or `life`, `all` or `above`.
    pub says: String,
    /// Whether amounts are counted.
    pub is_by_amount: bool,
    /// How many members come before it.
    pub before_count: usize,
    /// What those weigh, in minor units of the offer's currency.
    pub before_minor: i128,
    /// How many members there are.
    pub total_count: usize,
    /// What they weigh.
    pub total_minor: i128,
    /// The currency of the weights.
    pub currency: Currency,
    /// The volume that decides.
    pub reached: i128,
    /// Where the last conversions before it were reported.
    pub last: Vec<u64>,
}

/// An exchange rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateTrace {
    /// One unit of this
    pub base: Currency,
    /// is so many of that.
    pub quote: Currency,
    /// How many; absent where none is known.
    pub rate: Option<String>,
    /// From when it holds.
    pub at: Option<Instant>,
    /// Where it was recorded.
    pub position: Option<u64>,
}

/// An advance that shares work off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvanceTrace {
    /// What was paid in advance for the customer.
    pub advanced_minor: i128,
    /// What the customer's earlier shares come to.
    pub before_minor: i128,
    /// What this one gives beyond it.
    pub beyond_minor: i64,
}

/// A place under a cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapTrace {
    /// `100 a month`, `2.00 USD for life`.
    pub says: String,
    /// How many members come before it.
    pub before_count: usize,
    /// What they took of it.
    pub before_minor: i128,
    /// What is left of a cap by amount.
    pub left_minor: Option<i64>,
    /// How many places are left of a cap by count.
    pub left_count: Option<u64>,
    /// Where the last conversions before it were reported.
    pub last: Vec<u64>,
}
