//! The rows that a run of facts changes, each with only its last state.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use postbook_projections::{
    Changes,
    rows::{AttemptRow, CarryoverRow, ConversionRow, ParkedRow, PayoutRow, Posting},
};
use postbook_schemas::{Currency, Envelope, Fact, FactId, Instant, Month, Slug};

/// A line of a payout, as the fact that proposed it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedLine {
    /// The payout.
    pub payout_id: FactId,
    /// Which of its lines, from 0.
    pub line: u64,
    /// The conversion, or the adjustment's fact.
    pub subject_id: FactId,
    /// The rule; absent for an adjustment.
    pub rule: Option<String>,
    /// Minor units of the payout's currency.
    pub amount_minor: i64,
}

/// An amount that a person posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Where its fact is.
    pub position: u64,
    /// The id of its fact.
    pub id: FactId,
    /// Whom it concerns.
    pub partner: Slug,
    /// Minor units of `currency`.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// Why.
    pub reason: String,
    /// From when.
    pub occurred_at: Instant,
    /// When it was recorded.
    pub recorded_at: Instant,
}

/// A month that was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedPeriod {
    /// Where its fact is.
    pub position: u64,
    /// The month.
    pub period: Month,
    /// Who closed it.
    pub actor: String,
    /// Why then.
    pub reason: String,
    /// When.
    pub closed_at: Instant,
}

/// A statement, without what only its fact says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementRow {
    /// Where its fact is.
    pub position: u64,
    /// The id of its fact.
    pub id: FactId,
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The month.
    pub period: Month,
    /// The partner's statements, counted from 1.
    pub number: u64,
    /// What the partner had coming before.
    pub opening_minor: i64,
    /// What the partner has coming after.
    pub closing_minor: i64,
    /// When it was issued.
    pub issued_at: Instant,
}

/// A fact that touched a conversion or payout after the one that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Touch {
    /// The conversion or payout.
    pub subject_id: FactId,
    /// Where the fact is.
    pub position: u64,
}

/// Rows by key, of which only the last state counts; in the order in which keys came.
#[derive(Clone, Debug)]
struct Latest<K, R> {
    rows: Vec<(K, Option<R>)>,
    places: HashMap<K, usize>,
}

impl<K: Copy + Eq + Hash, R> Latest<K, R> {
    fn new() -> Self {
        Self {
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }

    fn put(&mut self, key: K, row: Option<R>) {
        let place = self.places.get(&key);
        if let Some(slot) = place.and_then(|&place| self.rows.get_mut(place)) {
            slot.1 = row;
        } else {
            self.places.insert(key, self.rows.len());
            self.rows.push((key, row));
        }
    }
}

/// What a run of facts changes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// All facts up to here are in the batch, or in one before.
    pub position: u64,
    attempts: Vec<AttemptRow>,
    conversions: Latest<FactId, ConversionRow>,
    postings: Vec<Posting>,
    payouts: Latest<FactId, PayoutRow>,
    parked: Latest<u64, ParkedRow>,
    carryovers: Latest<FactId, CarryoverRow>,
    carried_lines: Vec<CarriedLine>,
    adjustments: Vec<Adjustment>,
    touches: Vec<Touch>,
    periods: Vec<ClosedPeriod>,
    statements: Vec<StatementRow>,
    /// What the fact at `touched_at` has touched so far.
    touched: HashSet<FactId>,
    touched_at: u64,
    row_count: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            position: 0,
            attempts: Vec::new(),
            conversions: Latest::new(),
            postings: Vec::new(),
            payouts: Latest::new(),
            parked: Latest::new(),
            carryovers: Latest::new(),
            carried_lines: Vec::new(),
            adjustments: Vec::new(),
            touches: Vec::new(),
            periods: Vec::new(),
            statements: Vec::new(),
            touched: HashSet::new(),
            touched_at: 0,
            row_count: 0,
        }
    }
}

impl Batch {
    /// About how many rows there are to write.
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// Adds what one fact changes, and empties `changes`.
    pub fn absorb(&mut self, position: u64, changes: &mut Changes) {
        self.position = position;
        self.row_count += changes.attempts.len() + 2 * changes.postings.len();
        self.attempts.append(&mut changes.attempts);
        self.postings.append(&mut changes.postings);
        for row in changes.conversions.drain(..) {
            self.row_count += 1 + row.earnings.len();
            if row.position != position {
                self.touch(row.id, position);
            }
            self.conversions.put(row.id, Some(row));
        }
        for id in changes.merged.drain(..) {
            self.row_count += 1;
            self.conversions.put(id, None);
        }
        for row in changes.payouts.drain(..) {
            self.row_count += 1;
            if row.position != position {
                self.touch(row.id, position);
            }
            self.payouts.put(row.id, Some(row));
        }
        for row in changes.parked.drain(..) {
            self.row_count += 1;
            self.parked.put(row.position, Some(row));
        }
        for row in changes.carryovers.drain(..) {
            self.row_count += 1;
            self.carryovers.put(row.id, Some(row));
        }
    }

    /// Adds what the fact itself says and no fold has to work out.
    pub fn note(&mut self, position: u64, envelope: &Envelope) {
        self.position = position;
        match &envelope.fact {
            Fact::PayoutProposed(proposed) => {
                self.row_count += proposed.lines.len();
                for (line, carried) in (0..).zip(&proposed.lines) {
                    self.carried_lines.push(CarriedLine {
                        payout_id: proposed.payout_id,
                        line,
                        subject_id: carried.subject_id,
                        rule: carried.rule.clone(),
                        amount_minor: carried.amount_minor,
                    });
                    self.touch(carried.subject_id, position);
                }
            }
            Fact::AdjustmentPosted(adjustment) => {
                self.row_count += 1;
                self.adjustments.push(Adjustment {
                    position,
                    id: envelope.id,
                    partner: adjustment.partner.clone(),
                    amount_minor: adjustment.amount_minor,
                    currency: adjustment.currency,
                    reason: adjustment.reason.clone(),
                    occurred_at: envelope.occurred_at,
                    recorded_at: envelope.recorded_at,
                });
            }
            Fact::PeriodClosed(closed) => self.periods.push(ClosedPeriod {
                position,
                period: closed.period,
                actor: envelope.actor.clone(),
                reason: closed.reason.clone(),
                closed_at: envelope.recorded_at,
            }),
            Fact::StatementIssued(issued) => self.statements.push(StatementRow {
                position,
                id: envelope.id,
                partner: issued.partner.clone(),
                currency: issued.currency,
                period: issued.period,
                number: issued.number,
                opening_minor: issued.opening_minor,
                closing_minor: issued.closing_minor,
                issued_at: envelope.recorded_at,
            }),
            Fact::ConversionDecided(decided) => self.touch(decided.conversion_id, position),
            Fact::AttributionCorrected(corrected) => self.touch(corrected.conversion_id, position),
            Fact::PostbackRepeated(repeated) => self.touch(repeated.first_id, position),
            _ => {}
        }
    }

    /// A fact names a subject once, however many of its lines do.
    fn touch(&mut self, subject_id: FactId, position: u64) {
        if self.touched_at != position {
            self.touched_at = position;
            self.touched.clear();
        }
        if self.touched.insert(subject_id) {
            self.row_count += 1;
            self.touches.push(Touch {
                subject_id,
                position,
            });
        }
    }

    /// Attempts, all new.
    pub fn attempts(&self) -> &[AttemptRow] {
        &self.attempts
    }

    /// Conversions, new or replaced; `None` where one turned out to be another.
    pub fn conversions(&self) -> impl Iterator<Item = (FactId, Option<&ConversionRow>)> {
        self.conversions
            .rows
            .iter()
            .map(|(id, row)| (*id, row.as_ref()))
    }

    /// Postings, all new.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }

    /// Payouts, new or replaced.
    pub fn payouts(&self) -> impl Iterator<Item = &PayoutRow> {
        self.payouts.rows.iter().filter_map(|(_, row)| row.as_ref())
    }

    /// Parked changes, new or replaced.
    pub fn parked(&self) -> impl Iterator<Item = &ParkedRow> {
        self.parked.rows.iter().filter_map(|(_, row)| row.as_ref())
    }

    /// Ends of months, new or replaced.
    pub fn carryovers(&self) -> impl Iterator<Item = &CarryoverRow> {
        let rows = self.carryovers.rows.iter();
        rows.filter_map(|(_, row)| row.as_ref())
    }

    /// Lines of payouts, all new.
    pub fn carried_lines(&self) -> &[CarriedLine] {
        &self.carried_lines
    }

    /// Adjustments, all new.
    pub fn adjustments(&self) -> &[Adjustment] {
        &self.adjustments
    }

    /// Touches, all new.
    pub fn touches(&self) -> &[Touch] {
        &self.touches
    }

    /// Months that were closed, all new.
    pub fn periods(&self) -> &[ClosedPeriod] {
        &self.periods
    }

    /// Statements, all new.
    pub fn statements(&self) -> &[StatementRow] {
        &self.statements
    }
}
