//! Folds facts and keeps what the read models would.

use std::collections::BTreeMap;

use postbook_projections::{
    Book, BookError, Changes, ClickSeen,
    rows::{Account, CarryoverRow, ConversionRow, Memo, Posting},
};
use postbook_schemas::{Currency, Envelope, Fact, FactId, Instant, Slug};

/// What the read models hold.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Conversions, without what depends on when facts arrived.
    pub(crate) conversions: BTreeMap<FactId, ConversionRow>,
    /// All postings.
    pub(crate) postings: Vec<Posting>,
    /// The ends of months.
    pub(crate) carryovers: BTreeMap<FactId, CarryoverRow>,
}

/// Sums of one partner and currency: pending, approved, memo totals.
pub(crate) type Balances = BTreeMap<(Slug, Currency), (i64, i64, Memo)>;

/// A row without what depends on when its facts arrived.
pub(crate) fn comparable(row: &ConversionRow) -> ConversionRow {
    let mut row = ConversionRow {
        position: 0,
        recorded_at: Instant::EPOCH,
        ..row.clone()
    };
    row.earnings
        .sort_by(|a, b| (&a.partner, &a.rule).cmp(&(&b.partner, &b.rule)));
    // A line that is only remembered because it was paid may have lost its terms.
    for line in &mut row.earnings {
        if line.carried_minor != 0 && line.amount_minor == 0 {
            line.terms_version = None;
        }
    }
    row
}

impl Folded {
    /// Applies a fact of small amounts.
    pub(crate) fn apply(
        &mut self,
        book: &mut Book,
        position: u64,
        envelope: &Envelope,
        facts: &[Envelope],
    ) {
        self.try_apply(book, position, envelope, facts)
            .expect("the amounts are small");
    }

    /// Applies a fact, handing in the click it asks for if that came before.
    pub(crate) fn try_apply(
        &mut self,
        book: &mut Book,
        position: u64,
        envelope: &Envelope,
        facts: &[Envelope],
    ) -> Result<(), BookError> {
        if let Some(wanted) = book.wanted_click(envelope) {
            let before = facts
                .iter()
                .take(usize::try_from(position).expect("few facts"));
            let click = before.zip(1..).find_map(|(fact, at)| match &fact.fact {
                Fact::ClickRecorded(click) if click.click_id == wanted => Some(ClickSeen {
                    click_id: click.click_id.clone(),
                    position: at,
                    offer: click.offer.clone(),
                    partner: click.partner.clone(),
                    occurred_at: fact.occurred_at,
                    country: click.country.clone(),
                    device: click.device,
                    subs: click.parameters.clone(),
                }),
                _ => None,
            });
            if let Some(click) = click {
                book.see_click(click);
            }
        }
        let mut changes = Changes::default();
        book.apply(position, envelope, &mut changes)?;
        for id in changes.merged {
            self.conversions.remove(&id);
        }
        for row in changes.conversions {
            self.conversions.insert(row.id, comparable(&row));
        }
        self.postings.extend(changes.postings);
        let carryovers = changes.carryovers.into_iter();
        self.carryovers.extend(carryovers.map(|row| (row.id, row)));
        Ok(())
    }

    /// The row that is held under the same id.
    pub(crate) fn row(&self, row: &ConversionRow) -> Option<ConversionRow> {
        self.conversions.get(&row.id).cloned()
    }

    /// The sum of all entries.
    pub(crate) fn trial_balance(&self) -> i64 {
        for posting in &self.postings {
            let sum: i128 = posting
                .entries
                .iter()
                .map(|entry| i128::from(entry.amount_minor))
                .sum();
            assert_eq!(sum, 0, "a posting does not balance: {posting:?}");
        }
        self.postings
            .iter()
            .flat_map(|p| &p.entries)
            .map(|entry| entry.amount_minor)
            .sum()
    }

    /// The balances that the postings add up to; partners with nothing are left out.
    pub(crate) fn balances(&self) -> Balances {
        let mut balances = Balances::new();
        for posting in &self.postings {
            let key = (posting.partner.clone(), posting.currency);
            let (pending, approved, memo) = balances.entry(key).or_default();
            for entry in &posting.entries {
                match &entry.account {
                    Account::Pending(_) => *pending -= entry.amount_minor,
                    Account::Approved(_) => *approved -= entry.amount_minor,
                    _ => {}
                }
            }
            memo.earned_minor += posting.memo.earned_minor;
            memo.reversed_minor += posting.memo.reversed_minor;
            memo.clawed_back_minor += posting.memo.clawed_back_minor;
            memo.recovered_minor += posting.memo.recovered_minor;
            memo.written_off_minor += posting.memo.written_off_minor;
            memo.adjusted_minor += posting.memo.adjusted_minor;
            memo.paid_minor += posting.memo.paid_minor;
        }
        balances.retain(|_, sums| *sums != (0, 0, Memo::default()));
        balances
    }
}

/// Folds facts from the first to the last.
pub(crate) fn fold(facts: &[Envelope]) -> Folded {
    let (mut folded, mut book) = (Folded::default(), Book::new());
    for (position, envelope) in (1..).zip(facts) {
        folded.apply(&mut book, position, envelope, facts);
    }
    folded
}

/// The identity of SPEC 7, for every partner and currency.
pub(crate) fn identity_holds(balances: &Balances) -> bool {
    balances.values().all(|(pending, approved, memo)| {
        pending + approved + memo.paid_minor
            == memo.earned_minor - memo.reversed_minor - memo.clawed_back_minor
                + memo.written_off_minor
                + memo.adjusted_minor
    })
}
