//! Gathers what explanations of sums stand on: balances, payouts, lines of statements.

use postbook_projections::{
    explain::{
        Explanation,
        sums::{self, BalanceEvidence, PaidLine},
    },
    rows::PayoutRow,
};
use postbook_schemas::{Currency, FactId, Slug};

use super::{
    explain::Sources,
    record::{self, CommandError},
};
use crate::{
    statement::Issued,
    tables::{
        batch::StatementRow,
        error::TablesError,
        query::{Slice, balances::AsOf, postings::PostingFilter},
    },
};

const ALL: Slice = Slice {
    after: 0,
    limit: u32::MAX,
};

/// Explains a partner's balances, one for each currency (or only this).
///
/// # Errors
/// The read models cannot be read.
pub async fn balances(
    sources: Sources<'_>,
    partner: &Slug,
    only: Option<Currency>,
    as_of: AsOf,
) -> Result<Vec<Explanation>, CommandError> {
    let mut explained = Vec::new();
    for (code, balance) in sources.tables.balances(partner, as_of).await? {
        let damaged = |_| TablesError::Damaged {
            table: "entries",
            row: partner.to_string(),
            what: format!("`{code}` is no currency"),
        };
        let currency: Currency = code.parse().map_err(damaged)?;
        if only.is_some_and(|only| only != currency) {
            continue;
        }
        let evidence = BalanceEvidence {
            partner: partner.clone(),
            currency,
            parts: vec![
                ("pending", balance.pending_minor),
                ("held", balance.held_minor),
                ("payable", balance.payable_minor),
                ("paid", balance.paid_minor),
                ("earned", balance.earned_minor),
                ("reversed", balance.reversed_minor),
                ("clawed_back", balance.clawed_back_minor),
                ("recovered", balance.recovered_minor),
                ("outstanding", balance.outstanding_minor()),
                ("written_off", balance.written_off_minor),
                ("adjusted", balance.adjusted_minor),
            ],
            sorts: sources.tables.sorts(partner, currency, as_of).await?,
        };
        explained.push(sums::balance(&evidence));
    }
    Ok(explained)
}

/// Explains a payout: who moved it on, and what it carries. `with_names` is false for partners, who are
/// not told who works here.
///
/// # Errors
/// The log or the read models cannot be read.
pub async fn payout(
    sources: Sources<'_>,
    row: &PayoutRow,
    with_names: bool,
) -> Result<Explanation, CommandError> {
    let mut positions = sources.tables.touched(row.id).await?;
    positions.insert(0, row.position);
    positions.dedup();
    let mut moves = Vec::new();
    for position in positions {
        let mut recorded = record::read_from(sources.store, position).await?;
        if !with_names {
            "the programme".clone_into(&mut recorded.envelope.actor);
        }
        moves.push(recorded);
    }
    let mut lines = Vec::new();
    for line in sources.tables.payout_lines(row.id).await? {
        let conversion = sources.tables.conversion(line.subject_id).await?;
        lines.push(PaidLine {
            subject_id: line.subject_id,
            position: conversion.map(|conversion| conversion.position),
            rule: line.rule,
            amount_minor: line.amount_minor,
        });
    }
    Ok(sums::payout(row, &moves, &lines))
}

/// Explains the lines of a statement (or only the one with this number, from 0).
///
/// # Errors
/// There is no such line, or the log or the read models cannot be read.
pub async fn statement(
    sources: Sources<'_>,
    row: &StatementRow,
    line: Option<usize>,
) -> Result<Vec<Explanation>, CommandError> {
    let issued = Issued::read(sources.store, row.position).await;
    let unreadable = |error: crate::statement::StatementError| {
        tracing::error!(%error, "a statement cannot be read");
        CommandError::Late
    };
    let statement = issued.map_err(unreadable)?.statement;
    let filter = PostingFilter {
        partner: Some(row.partner.clone()),
        period: Some(row.period),
        ..PostingFilter::default()
    };
    let mut postings = sources.tables.postings(&filter, ALL).await?;
    postings.retain(|posting| posting.cause < statement.closed_at_position);
    let about = (row.id, row.position, &row.partner, row.period, row.currency);
    let wanted = statement.lines.iter().enumerate();
    let wanted = wanted.filter(|(number, _)| line.is_none_or(|line| line == *number));
    let explained: Vec<_> = wanted
        .map(|(_, line)| sums::statement_line(about, line, &postings))
        .collect();
    if explained.is_empty() && line.is_some() {
        let detail = format!("the statement has {} lines", statement.lines.len());
        return Err(CommandError::NotFound(detail));
    }
    Ok(explained)
}

/// The payout or statement of an id, explained; `None` if there is neither.
///
/// # Errors
/// The log or the read models cannot be read.
pub async fn of_id(
    sources: Sources<'_>,
    id: FactId,
    line: Option<usize>,
) -> Result<Option<Vec<Explanation>>, CommandError> {
    if let Some(row) = sources.tables.payout(id).await? {
        return Ok(Some(vec![payout(sources, &row, true).await?]));
    }
    match sources.tables.statement(id).await? {
        Some(row) => Ok(Some(statement(sources, &row, line).await?)),
        None => Ok(None),
    }
}
