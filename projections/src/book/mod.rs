//! The book: all that the facts say, folded one by one.

mod adopt;
mod approval;
mod around;
mod concern;
mod derive;
mod earn;
mod excerpt;
mod fold;
mod lines;
mod months;
mod pay;
mod periods;
mod price;
mod seen;
mod show;
mod sources;
mod take;
mod trace;
mod uplines;
mod volume;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hashbrown::HashMap;
use postbook_schemas::{
    AMOUNT_MINOR_MAX, Currency, Envelope, Fact, FactId, Instant, Month, OfferRef, Slug, terms::When,
};
use thiserror::Error;

use crate::{
    click::ClickSeen,
    conversion::{Conversion, Corrected, Decided},
    derivation::Derivation,
    groups::Group,
    months::Fence,
    numbers::{ConversionNumber, GroupKey, PoolKey},
    payouts::{Carriers, Payout},
    pools::Pool,
    posted::{Cause, Overflow},
    programme::Programme,
    rows::{Changes, ParkedRow},
};

/// Why a fact cannot be folded. The fold stops there: a book that skipped a fact would be wrong in
/// silence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the fact at position {position} ({id}) cannot be folded: {what}")]
pub struct BookError {
    /// Where.
    pub position: u64,
    /// Which fact.
    pub id: FactId,
    /// What is wrong with it.
    pub what: String,
}

/// All that the facts say, folded one by one in the order of the log.
///
/// Clicks are many and few of them convert, so the book does not ask for all of them. Before
/// [`Book::apply`] is called with a fact, whoever drives it asks [`Book::wanted_click`] and, if there
/// is such a click in the log, hands it in with [`Book::see_click`]. Facts of type `click.recorded`
/// may be applied too (or not): they change nothing but what a conversion that named them waits for.
///
/// Hash maps here are only looked up in, never walked: their order is nobody's business. What is large
/// in them is behind a box: a table that has just grown is half empty, and a list that grows is there
/// twice for a moment.
#[derive(Clone, Debug, Default)]
pub struct Book {
    programme: Programme,
    clicks: HashMap<Box<str>, Box<ClickSeen>>,
    #[expect(
        clippy::vec_box,
        reason = "conversions are large and many: a growing list of them is there twice"
    )]
    conversions: Vec<Box<Conversion>>,
    ids: HashMap<FactId, ConversionNumber>,
    by_dedupe_key: HashMap<[u8; 16], ConversionNumber>,
    by_offer: BTreeMap<OfferRef, Vec<ConversionNumber>>,
    by_coupon: HashMap<u128, Vec<ConversionNumber>>,
    groups: HashMap<GroupKey, Box<Group>>,
    decisions: HashMap<FactId, Vec<Decided>>,
    corrections: HashMap<FactId, Vec<Corrected>>,
    /// The facts that are folded, other than reports (whose ids are in `ids`), and where they are.
    folded: HashMap<FactId, u64>,
    /// When the newest definition happened.
    defined_at: Option<Instant>,
    /// Adoptions that wait for their definitions.
    adoptions: Vec<adopt::Adoption>,
    parked: BTreeMap<u64, (GroupKey, ParkedRow)>,
    pools: HashMap<PoolKey, Pool>,
    rate_users: BTreeMap<(Currency, Currency), BTreeSet<ConversionNumber>>,
    fences: BTreeMap<u128, Fence>,
    payouts: BTreeMap<FactId, Payout>,
    carriers: Carriers,
    /// The payout whose money the fact at hand books or takes back.
    turned: Option<FactId>,
    postings: u64,
    /// All months up to this one are closed.
    closed_through: Option<Month>,
}

impl Book {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty book that derives by one of these versions: the first, until another is adopted.
    pub fn with_derivations(known: &'static [Derivation]) -> Self {
        Self {
            programme: Programme::with_derivations(known),
            ..Self::default()
        }
    }

    /// The version of the derivation that is in force.
    pub fn derivation(&self) -> &'static Derivation {
        self.programme.derivation()
    }

    /// The id of the click that applying this fact will ask for, if the book does not know it yet.
    pub fn wanted_click<'a>(&self, envelope: &'a Envelope) -> Option<&'a str> {
        let report = envelope.fact.as_report()?;
        let click_id = report.references.click_id.as_deref()?;
        (!self.clicks.contains_key(click_id)).then_some(click_id)
    }

    /// Whether `when` conditions of the offer's terms look at the subs of clicks.
    pub fn wants_subs(&self, offer: &OfferRef) -> bool {
        self.programme
            .all_terms(offer)
            .iter()
            .any(|terms| terms.looks_at_subs())
    }

    /// The ids of clicks that converted of which the book does not know the subs, although a fact that
    /// is to be applied next makes terms look at them. Whoever drives it hands them in again, whole,
    /// with [`Book::learn_subs`].
    pub fn wanted_subs(&self, fact: &Fact) -> Vec<String> {
        let Fact::TermsPublished(published) = fact else {
            return Vec::new();
        };
        let offer = &published.terms.offer;
        let looks = published.terms.rules.iter().chain(&published.terms.prices);
        if self.wants_subs(offer)
            || !looks
                .filter_map(|rule| rule.when.as_ref())
                .any(When::looks_at_subs)
        {
            return Vec::new();
        }
        let numbers = self.by_offer.get(offer).into_iter().flatten();
        let ids =
            numbers.filter_map(|&number| self.conversion(number).references.click_id.as_deref());
        let known = ids.filter(|id| self.clicks.contains_key(*id));
        known
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Tells the book the subs of a click that it knows.
    pub fn learn_subs(&mut self, click: ClickSeen) {
        if let Some(known) = self.clicks.get_mut(click.click_id.as_str()) {
            known.subs = click.subs;
        }
    }

    /// When a definition has to happen so that it is newer than all that are folded.
    pub fn next_definition(&self, now: Instant) -> Instant {
        self.defined_at.map_or(now, |at| now.max(at.plus_micros(1)))
    }

    /// Where a definition or decision is that is folded.
    pub fn position_of(&self, id: &FactId) -> Option<u64> {
        self.folded.get(id).copied()
    }

    /// Where the definition is that a definition takes the place of.
    pub fn replaced_by(&self, fact: &Fact) -> Option<u64> {
        self.position_of(&self.programme.replaced_by(fact)?)
    }

    /// Tells the book of a click that a fact to come names. Nothing is derived from it yet.
    pub fn see_click(&mut self, click: ClickSeen) {
        self.clicks
            .entry(click.click_id.as_str().into())
            .or_insert_with(|| Box::new(click));
    }

    /// Folds one fact, and adds the rows that change to `changes`.
    ///
    /// # Errors
    /// The fact moves an amount that no amount may be, or adopts a version of the derivation that is not
    /// known here: the book is as it was before. Or a sum leaves 64 bits, which takes thousands of the
    /// largest amounts: the book is then unusable.
    pub fn apply(
        &mut self,
        position: u64,
        envelope: &Envelope,
        changes: &mut Changes,
    ) -> Result<(), BookError> {
        let error = |what: String| BookError {
            position,
            id: envelope.id,
            what,
        };
        if let Some(version) = self.unknown_derivation(envelope) {
            return Err(error(format!(
                "it adopts version {version} of the derivation, which this program does not know: a newer one does"
            )));
        }
        if let Some(amount) = amount_out_of_range(&envelope.fact) {
            return Err(error(format!("the amount {amount} is out of range")));
        }
        self.fold(position, envelope, changes)
            .map_err(|Overflow| error("an amount does not fit 64 bits".to_owned()))
    }

    /// Derives everything again as if every conversion were touched, and says what would be posted:
    /// nothing, if the book is right.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn rederive(&mut self, cause: &Cause) -> Result<Changes, Overflow> {
        let mut changes = Changes::default();
        self.settle((0..self.conversions.len()).collect(), cause, &mut changes)?;
        Ok(changes)
    }

    fn conversion(&self, number: ConversionNumber) -> &Conversion {
        self.conversions
            .get(number)
            .expect("conversion numbers are places in this list")
    }

    fn conversion_mut(&mut self, number: ConversionNumber) -> &mut Conversion {
        self.conversions
            .get_mut(number)
            .expect("conversion numbers are places in this list")
    }

    fn group(&self, key: Option<GroupKey>) -> Option<&Group> {
        self.groups.get(&key?).map(AsRef::as_ref)
    }

    fn terms_of(
        &self,
        conversion: &Conversion,
        partner: &Slug,
    ) -> Option<Arc<crate::rules::CompiledTerms>> {
        self.programme
            .terms(&conversion.offer, partner, conversion.occurred_at())
    }
}

/// An amount of a fact that moves money by itself which is larger than amounts may be. (What is
/// reported may be of any size: what it earns is then `out_of_range`.)
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other facts move no money by themselves"
)]
fn amount_out_of_range(fact: &Fact) -> Option<i64> {
    let is_out = |minor: &i64| minor.unsigned_abs() > AMOUNT_MINOR_MAX.unsigned_abs();
    match fact {
        Fact::PayoutProposed(proposed) => {
            let lines = proposed.lines.iter().map(|line| line.amount_minor);
            std::iter::once(proposed.amount_minor)
                .chain(lines)
                .find(is_out)
        }
        Fact::AdjustmentPosted(data) => Some(data.amount_minor).filter(is_out),
        Fact::BalanceWrittenOff(data) => {
            let lines = data.lines.iter().map(|line| line.amount_minor);
            std::iter::once(data.amount_minor).chain(lines).find(is_out)
        }
        _ => None,
    }
}
