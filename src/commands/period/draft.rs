//! The statements of a month, made from the books.

use std::collections::BTreeMap;

use postbook_projections::rows::PostingKind;
use postbook_schemas::{Currency, Month, Slug};

use super::super::record::CommandError;
use crate::tables::{
    Tables,
    query::{
        Slice,
        periods::{Movement, Standing, StatementFilter},
    },
};

/// A statement before its month is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// The number that it takes among the partner's statements.
    pub number: u64,
    /// What the partner had coming before.
    pub opening_minor: i64,
    /// What changed it; of what people did, `cause` is still a position.
    pub movements: Vec<Movement>,
    /// What the partner has coming after.
    pub closing_minor: i64,
    /// Of this: not approved yet.
    pub pending_minor: i64,
    /// Of this: approved, but held.
    pub held_minor: i64,
    /// Of this: payable.
    pub payable_minor: i64,
}

/// A partner who is told nothing of a month in a currency, since a figure is beyond the 64 bits that a
/// statement has for it. The next statement whose figures fit tells of the month too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// The partner.
    pub partner: Slug,
    /// The currency.
    pub currency: Currency,
    /// What the partner has coming after the month.
    pub closing_minor: i128,
}

/// The statements of a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drafts {
    /// Those that are issued.
    pub told: Vec<Draft>,
    /// Those that cannot be.
    pub untold: Vec<Untold>,
}

type Key = (Slug, Currency);

/// The statements of a month, of all partners who had something coming or something happen.
/// `last` is the month closed before it; only what was caused before the position `before` counts.
///
/// # Errors
/// The tables cannot be read, or contradict statements that were issued before.
pub async fn drafts(
    tables: &Tables,
    last: Option<Month>,
    period: Month,
    before: u64,
) -> Result<Drafts, CommandError> {
    let (moved, standings) = tables.month(last, period, before).await?;
    let mut movements: BTreeMap<Key, Vec<Movement>> = BTreeMap::new();
    for movement in moved {
        let key = (movement.partner.clone(), movement.currency);
        movements.entry(key).or_default().push(movement);
    }
    let earlier = Earlier::read(tables, period).await?;
    let mut numbers = earlier.numbers;
    let mut drafts = Drafts::default();
    for standing in standings {
        let key = (standing.partner.clone(), standing.currency);
        let month = Movements {
            told: earlier.closings.get(&key).copied(),
            of_month: movements.remove(&key).unwrap_or_default(),
        };
        let closing_minor = closing(&standing);
        let (opening_minor, mut movements) =
            month.leading_to(tables, &standing, period, before).await?;
        movements.retain(|movement| movement.amount_minor != 0);
        if movements.is_empty() && closing_minor == 0 && standing.pending_minor == 0 {
            continue;
        }
        let number = numbers.entry(standing.partner.clone()).or_insert(0);
        let Some(draft) = draft(&standing, *number + 1, opening_minor, movements) else {
            drafts.untold.push(Untold {
                partner: standing.partner,
                currency: standing.currency,
                closing_minor,
            });
            continue;
        };
        *number += 1;
        drafts.told.push(draft);
    }
    Ok(drafts)
}

/// What a partner has coming.
fn closing(standing: &Standing) -> i128 {
    standing.pending_minor + standing.held_minor + standing.payable_minor
}

/// A statement; `None` if a figure does not fit. What is too large for one line stands in several.
fn draft(
    standing: &Standing,
    number: u64,
    opening_minor: i128,
    movements: Vec<Movement>,
) -> Option<Draft> {
    let figure = |minor: i128| i64::try_from(minor).ok();
    Some(Draft {
        partner: standing.partner.clone(),
        currency: standing.currency,
        number,
        opening_minor: figure(opening_minor)?,
        movements,
        closing_minor: figure(closing(standing))?,
        pending_minor: figure(standing.pending_minor)?,
        held_minor: figure(standing.held_minor)?,
        payable_minor: figure(standing.payable_minor)?,
    })
}

/// What a partner was told last, and what changed since the month closed before.
struct Movements {
    told: Option<(Month, i64)>,
    of_month: Vec<Movement>,
}

impl Movements {
    /// What the partner was told last, and what leads from there to what the books say.
    async fn leading_to(
        self,
        tables: &Tables,
        standing: &Standing,
        period: Month,
        before: u64,
    ) -> Result<(i128, Vec<Movement>), CommandError> {
        let (partner, currency) = (&standing.partner, standing.currency);
        let sum = |movements: &[Movement]| -> i128 {
            movements.iter().map(|movement| movement.amount_minor).sum()
        };
        let closing_minor = closing(standing);
        let told_minor = self.told.map_or(0, |(_, closing)| i128::from(closing));
        if told_minor + sum(&self.of_month) == closing_minor {
            return Ok((told_minor, self.of_month));
        }
        // Of months in between the partner may have been told nothing.
        let since = self.told.map(|(month, _)| month);
        let all = tables.movements_of((partner, currency), since, period, before);
        let all = all.await?;
        if told_minor + sum(&all) == closing_minor {
            return Ok((told_minor, all));
        }
        if self.told.is_none() {
            // Before the first statement the books stand.
            return Ok((closing_minor - sum(&self.of_month), self.of_month));
        }
        Err(CommandError::Conflict(format!(
            "the books of {partner} in {currency} do not lead from {told_minor}, told in the last \
             statement, to {closing_minor}: run `postbook verify`"
        )))
    }
}

/// What partners were told before a month.
#[derive(Debug, Default)]
struct Earlier {
    numbers: BTreeMap<Slug, u64>,
    closings: BTreeMap<Key, (Month, i64)>,
}

impl Earlier {
    async fn read(tables: &Tables, period: Month) -> Result<Self, CommandError> {
        let mut earlier = Self::default();
        let mut statements = tables
            .statements(&StatementFilter::default(), Slice::ALL)
            .await?;
        statements.retain(|statement| statement.period < period);
        statements.sort_by_key(|statement| statement.period);
        for statement in statements {
            let number = earlier
                .numbers
                .entry(statement.partner.clone())
                .or_insert(0);
            *number = statement.number.max(*number);
            let key = (statement.partner, statement.currency);
            let told = (statement.period, statement.closing_minor);
            earlier.closings.insert(key, told);
        }
        Ok(earlier)
    }
}

impl Draft {
    /// The lines by what they are about, without what only the log says of them.
    pub fn summary(&self) -> BTreeMap<&'static str, i128> {
        let mut sums = BTreeMap::new();
        for movement in &self.movements {
            let is_clawback = movement.kind == PostingKind::Clawback;
            let word = if movement.corrects.is_some() && !is_clawback {
                "correction"
            } else {
                movement.kind.code()
            };
            *sums.entry(word).or_insert(0) += movement.amount_minor;
        }
        sums
    }
}
