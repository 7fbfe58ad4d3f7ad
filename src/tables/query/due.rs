//! What a payout to a partner would have to carry: amounts that are not what payouts carry of them.

use postbook_projections::{
    payable::{DueLine, not_reserved},
    rows::LineState,
};
use postbook_schemas::{Currency, Instant, Slug};

use super::{
    balances::{self, AsOf, Balance},
    select,
    total::{sum, total},
};
use crate::tables::{
    Tables,
    db::{Row, Snapshot},
    error::TablesError,
    row::Reader,
    words,
};

/// What can be paid to a partner in one currency, all of one moment: figures of different moments
/// would contradict each other while somebody else proposes a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The balance.
    pub balance: Balance,
    /// What open payouts reserve of it.
    pub reserved_minor: i128,
    /// Lines that payouts do not carry as they stand, in no order.
    pub lines: Vec<DueLine>,
    /// Debts that were given up without saying which.
    pub forgiven_minor: i128,
}

/// Payouts that are neither on their way nor given up hold on to their lines. Those on their way are
/// in what the lines carry.
const OPEN: &str = "('proposed', 'approved')";

/// Payouts that are on their way or have arrived.
const PAID: &str = "('sent', 'settled')";

impl Tables {
    /// What can be paid to a partner.
    ///
    /// # Errors
    /// The tables cannot be read, or what payouts carry of a line is beyond 64 bits.
    pub async fn due(
        &self,
        partner: &Slug,
        currency: Currency,
        as_of: AsOf,
    ) -> Result<Due, TablesError> {
        let mut snapshot = self.snapshot().await?;
        let balances = balances::read(&mut snapshot, partner, as_of).await?;
        let mut lines = earning_lines(&mut snapshot, partner, currency).await?;
        lines.extend(adjustment_lines(&mut snapshot, partner, currency).await?);
        lines.extend(carryover_lines(&mut snapshot, partner, currency).await?);
        lines.retain(|line| line.amount_minor != 0);
        let balance = balances.get(currency.code()).copied().unwrap_or_default();
        let by_line = written_off_minor(&mut snapshot, partner, currency).await?;
        Ok(Due {
            balance,
            forgiven_minor: balance.written_off_minor - by_line,
            reserved_minor: reserved_minor(&mut snapshot, partner, currency).await?,
            lines,
        })
    }
}

async fn earning_lines(
    from: &mut Snapshot,
    partner: &Slug,
    currency: Currency,
) -> Result<Vec<DueLine>, TablesError> {
    let mut query = select(
        "SELECT c.position AS position, c.id AS subject_id, e.rule AS rule, c.offer AS offer, \
         e.state AS state, \
         e.amount_minor AS amount_minor, e.carried_minor - e.written_off_minor AS settled_minor, \
         e.available_at AS available_at, c.occurred_at AS occurred_at, ",
    );
    let of_line =
        "l.subject_id = c.id AND l.rule IS NOT DISTINCT FROM e.rule AND p.partner = e.partner";
    query
        .push(carried_by(OPEN, of_line))
        .push(
            " AS reserved_minor FROM earnings e \
             JOIN conversions c ON c.position = e.conversion_position \
             WHERE e.amount_minor + e.written_off_minor <> e.carried_minor \
             AND e.partner = ",
        )
        .push_bind(partner.as_str().to_owned())
        .push(" AND e.currency = ")
        .push_bind(currency.code().to_owned());
    let rows = from.fetch(query).await?;
    let mut lines = Vec::new();
    for row in &rows {
        lines.extend(earning(row)?);
    }
    Ok(lines)
}

async fn adjustment_lines(
    from: &mut Snapshot,
    partner: &Slug,
    currency: Currency,
) -> Result<Vec<DueLine>, TablesError> {
    let mut query = select(
        "SELECT a.position AS position, a.id AS subject_id, a.amount_minor AS open_minor, \
         a.occurred_at AS occurred_at, ",
    );
    query
        .push(carried_by(PAID, "l.subject_id = a.id"))
        .push(" AS carried_minor, ")
        .push(carried_by(OPEN, "l.subject_id = a.id"))
        .push(" AS reserved_minor FROM adjustments a WHERE a.partner = ")
        .push_bind(partner.as_str().to_owned())
        .push(" AND a.currency = ")
        .push_bind(currency.code().to_owned());
    let rows = from.fetch(query).await?;
    rows.iter().map(adjustment).collect()
}

/// What a month below zero gets is payable when all lines of the month are; what a later month gives
/// back is set against what it has earned at once, as debts are.
async fn carryover_lines(
    from: &mut Snapshot,
    partner: &Slug,
    currency: Currency,
) -> Result<Vec<DueLine>, TablesError> {
    let mut query = select(
        "SELECT 0 AS position, k.id AS subject_id, k.offer AS offer, \
         k.amount_minor AS open_minor, k.ends_at AS ends_at, k.available_at AS available_at, ",
    );
    query
        .push(carried_by(PAID, "l.subject_id = k.id"))
        .push(" AS carried_minor, ")
        .push(carried_by(OPEN, "l.subject_id = k.id"))
        .push(" AS reserved_minor FROM carryovers k WHERE k.partner = ")
        .push_bind(partner.as_str().to_owned())
        .push(" AND k.currency = ")
        .push_bind(currency.code().to_owned());
    let mut lines = Vec::new();
    for row in &from.fetch(query).await? {
        lines.extend(carryover(row)?);
    }
    Ok(lines)
}

/// What payouts in some states carry of one subject.
fn carried_by(states: &str, of_subject: &str) -> String {
    format!(
        "(SELECT CAST(COALESCE(SUM(l.amount_minor), 0) AS BIGINT) FROM payout_lines l \
         JOIN payouts p ON p.id = l.payout_id WHERE {of_subject} AND p.state IN {states})"
    )
}

/// What was given up of debts that were named; only what was clawed back has any.
async fn written_off_minor(
    from: &mut Snapshot,
    partner: &Slug,
    currency: Currency,
) -> Result<i128, TablesError> {
    let mut query = select(format!(
        "SELECT {} FROM earnings WHERE clawed_back_minor <> 0 AND partner = ",
        sum("written_off_minor", "written_off_minor")
    ));
    query
        .push_bind(partner.as_str().to_owned())
        .push(" AND currency = ")
        .push_bind(currency.code().to_owned());
    let rows = from.fetch(query).await?;
    rows.first().map_or(Ok(0), |row| {
        total(&Reader::new("earnings", row), "written_off_minor")
    })
}

async fn reserved_minor(
    from: &mut Snapshot,
    partner: &Slug,
    currency: Currency,
) -> Result<i128, TablesError> {
    let mut query = select(format!(
        "SELECT {} FROM payouts WHERE state IN ",
        sum("amount_minor", "reserved_minor")
    ));
    query
        .push(OPEN)
        .push(" AND partner = ")
        .push_bind(partner.as_str().to_owned())
        .push(" AND currency = ")
        .push_bind(currency.code().to_owned());
    let rows = from.fetch(query).await?;
    rows.first().map_or(Ok(0), |row| {
        total(&Reader::new("payouts", row), "reserved_minor")
    })
}

fn earning(row: &Row) -> Result<impl Iterator<Item = DueLine>, TablesError> {
    let row = Reader::new("earnings", row);
    let occurred_at = row.time("occurred_at")?;
    let available_at = row.time_option("available_at")?;
    let available_at = match words::parse_line_state(&row.text("state")?) {
        Some(LineState::Approved) => Some(available_at.unwrap_or(occurred_at)),
        // Absent where it waits for somebody, or for a rate.
        Some(LineState::Pending) => available_at,
        Some(LineState::Zero) | None => None,
    };
    let line = DueLine {
        subject_id: row.id("subject_id")?,
        rule: row.text_option("rule")?,
        offer: row.parsed_option("offer")?,
        amount_minor: row.number("amount_minor")?,
        available_at,
        occurred_at,
    };
    let (settled, reserved) = (row.number("settled_minor")?, row.number("reserved_minor")?);
    Ok(line.parts(settled, reserved))
}

/// What of an adjustment payouts do not carry.
fn not_carried(row: &Reader<'_>) -> Result<i64, TablesError> {
    let due = row
        .number("open_minor")?
        .checked_sub(row.number("carried_minor")?);
    let due =
        due.ok_or_else(|| row.damaged("open_minor", "is beyond 64 bits without what is paid"))?;
    Ok(not_reserved(due, row.number("reserved_minor")?))
}

fn adjustment(row: &Row) -> Result<DueLine, TablesError> {
    let row = Reader::new("adjustments", row);
    let occurred_at = Instant::from_micros(row.number("occurred_at")?);
    Ok(DueLine {
        subject_id: row.id("subject_id")?,
        rule: None,
        offer: None,
        amount_minor: not_carried(&row)?,
        available_at: Some(occurred_at),
        occurred_at,
    })
}

fn carryover(row: &Row) -> Result<impl Iterator<Item = DueLine>, TablesError> {
    let row = Reader::new("carryovers", row);
    let whole = DueLine {
        subject_id: row.id("subject_id")?,
        rule: None,
        offer: row.parsed_option("offer")?,
        amount_minor: row.number("open_minor")?,
        available_at: Some(row.time("available_at")?),
        occurred_at: row.time("ends_at")?,
    };
    let (carried, reserved) = (row.number("carried_minor")?, row.number("reserved_minor")?);
    Ok(whole.parts(carried, reserved).map(DueLine::debt_at_once))
}
