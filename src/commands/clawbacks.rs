//! The debts of partners, line by line: what was paid and taken back, what became of that.

use std::collections::BTreeMap;

use postbook_schemas::{Currency, FactId, Instant, Slug, instant::DAY_US};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::record::{self, CommandError};
use crate::{
    store::LogStore,
    tables::{
        Tables,
        query::{
            balances::AsOf,
            clawbacks::{ClawbackFilter, ClawedBack, Recovery},
        },
    },
};

/// A debt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Clawback {
    /// Who owes it.
    pub partner: String,
    /// In which currency.
    pub currency: String,
    /// The conversion whose line fell.
    pub conversion_id: Uuid,
    /// The advertiser's transaction.
    pub txn_id: Option<String>,
    /// The offer.
    pub offer: String,
    /// The rule of the line.
    pub rule: String,
    /// The type of the fact that lowered the line last: a refund, a corrected attribution, new terms, …
    pub reason: String,
    /// That fact's position.
    pub cause: Option<u64>,
    /// The last payout that paid the line.
    pub payout_id: Option<Uuid>,
    /// Since when it is owed: since the line fell below what was paid of it, so not before its payout was
    /// sent; and by configuration not before that was recorded.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub since: Option<Instant>,
    /// How many days that is.
    pub age_days: i64,
    /// How much was taken back.
    pub clawed_back_minor: i64,
    /// How much later payouts recovered.
    pub recovered_minor: i64,
    /// How much was given up.
    pub written_off_minor: i64,
    /// What is left.
    pub outstanding_minor: i64,
    /// The payouts that recovered it.
    pub recovered_by: Vec<RecoveredBy>,
}

/// A payout that recovered something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RecoveredBy {
    /// The payout.
    pub payout_id: Uuid,
    /// How much.
    pub amount_minor: i64,
}

/// Debts of one kind added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClawbackTotal {
    /// `partner`, `offer`, `reason` or `age`.
    pub by: &'static str,
    /// Which partner, offer, reason or age in days.
    pub name: String,
    /// The currency.
    pub currency: String,
    /// How much was taken back.
    pub clawed_back_minor: i128,
    /// How much later payouts recovered.
    pub recovered_minor: i128,
    /// How much was given up.
    pub written_off_minor: i128,
    /// What is left.
    pub outstanding_minor: i128,
}

/// Lists debts in the order in which they are recovered.
///
/// # Errors
/// The tables or the log cannot be read.
pub async fn list(
    tables: &Tables,
    store: &dyn LogStore,
    filter: &ClawbackFilter,
    now: Instant,
) -> Result<Vec<Clawback>, CommandError> {
    // Write-offs count against a partner's oldest debts, so all of the partner's are looked at.
    let of_partner = ClawbackFilter {
        partner: filter.partner.clone(),
        offer: None,
    };
    let lines = tables.clawed_back(&of_partner).await?;
    let recoveries = tables.recoveries(filter.partner.as_ref()).await?;
    // One rule may give a line of one conversion to several partners, up a line of them.
    let mut by_line: BTreeMap<(FactId, String, Slug), Vec<Recovery>> = BTreeMap::new();
    for recovery in recoveries {
        let (rule, partner) = (recovery.rule.clone(), recovery.partner.clone());
        let key = (recovery.conversion_id, rule, partner);
        by_line.entry(key).or_default().push(recovery);
    }
    let mut of_lines: BTreeMap<(Slug, Currency), i128> = BTreeMap::new();
    for line in &lines {
        let sum = of_lines.entry((line.partner.clone(), line.currency));
        *sum.or_insert(0) += i128::from(line.written_off_minor);
    }
    let mut given_up: BTreeMap<(Slug, Currency), i128> = BTreeMap::new();
    let mut clawbacks = Vec::new();
    for line in lines {
        let key = (line.partner.clone(), line.currency);
        if !given_up.contains_key(&key) {
            let written_off = written_off(tables, &line, now).await?;
            let of_lines = of_lines.get(&key).copied().unwrap_or_default();
            given_up.insert(key.clone(), written_off - of_lines);
        }
        // Of what was given up without saying which debts, the oldest come first.
        let open = outstanding(&line, line.written_off_minor);
        let left = given_up.entry(key).or_insert(0);
        let more = (*left).min(i128::from(open)).max(0);
        let more = i64::try_from(more).unwrap_or(open);
        *left -= i128::from(more);
        let written_off_minor = line.written_off_minor.saturating_add(more);
        if filter
            .offer
            .as_ref()
            .is_some_and(|offer| *offer != line.offer)
        {
            continue;
        }
        let recovered =
            by_line.remove(&(line.conversion_id, line.rule.clone(), line.partner.clone()));
        let reason = reason(store, &line).await?;
        clawbacks.push(clawback(line, written_off_minor, recovered, reason, now));
    }
    Ok(clawbacks)
}

async fn written_off(
    tables: &Tables,
    line: &ClawedBack,
    now: Instant,
) -> Result<i128, CommandError> {
    let as_of = AsOf {
        effective: now,
        known: Instant::MAX,
    };
    let balances = tables.balances(&line.partner, as_of).await?;
    let balance = balances.get(line.currency.code());
    Ok(balance.map_or(0, |balance| balance.written_off_minor))
}

async fn reason(store: &dyn LogStore, line: &ClawedBack) -> Result<String, CommandError> {
    if let Some(reason) = &line.reason {
        return Ok(reason.clone());
    }
    let Some(cause) = line.cause else {
        return Ok("unknown".to_owned());
    };
    let recorded = record::read_from(store, cause).await?;
    Ok(recorded.envelope.fact.fact_type().name().to_owned())
}

/// What is left of a debt, which is no more than the debt and no less than nothing in sound books.
fn outstanding(line: &ClawedBack, written_off_minor: i64) -> i64 {
    let left = line.clawed_back_minor.saturating_sub(line.recovered_minor);
    left.saturating_sub(written_off_minor)
}

fn clawback(
    line: ClawedBack,
    written_off_minor: i64,
    recovered: Option<Vec<Recovery>>,
    reason: String,
    now: Instant,
) -> Clawback {
    let recovered = recovered.unwrap_or_default().into_iter();
    let outstanding_minor = outstanding(&line, written_off_minor);
    Clawback {
        partner: line.partner.to_string(),
        currency: line.currency.to_string(),
        conversion_id: line.conversion_id,
        txn_id: line.txn_id,
        offer: line.offer.to_string(),
        rule: line.rule,
        reason,
        cause: line.cause,
        payout_id: line.payout_id,
        since: line.since,
        age_days: line
            .since
            .map_or(0, |since| now.micros_since(since) / DAY_US),
        clawed_back_minor: line.clawed_back_minor,
        recovered_minor: line.recovered_minor,
        written_off_minor,
        outstanding_minor,
        recovered_by: recovered
            .map(|recovery| RecoveredBy {
                payout_id: recovery.payout_id,
                amount_minor: recovery.amount_minor,
            })
            .collect(),
    }
}

/// Adds debts up by partner, offer, reason and age.
pub fn totals(clawbacks: &[Clawback]) -> Vec<ClawbackTotal> {
    let mut totals: BTreeMap<(u8, String, String), ClawbackTotal> = BTreeMap::new();
    for clawback in clawbacks {
        let groups = [
            ("partner", clawback.partner.clone()),
            ("offer", clawback.offer.clone()),
            ("reason", clawback.reason.clone()),
            ("age", age(clawback.age_days).to_owned()),
        ];
        for (place, (by, name)) in (0..).zip(groups) {
            let key = (place, name.clone(), clawback.currency.clone());
            let total = totals.entry(key).or_insert_with(|| ClawbackTotal {
                by,
                name,
                currency: clawback.currency.clone(),
                clawed_back_minor: 0,
                recovered_minor: 0,
                written_off_minor: 0,
                outstanding_minor: 0,
            });
            total.clawed_back_minor += i128::from(clawback.clawed_back_minor);
            total.recovered_minor += i128::from(clawback.recovered_minor);
            total.written_off_minor += i128::from(clawback.written_off_minor);
            total.outstanding_minor += i128::from(clawback.outstanding_minor);
        }
    }
    totals.into_values().collect()
}

/// How old a debt is, in days.
fn age(days: i64) -> &'static str {
    match days {
        ..=30 => "000-030",
        31..=60 => "031-060",
        61..=90 => "061-090",
        _ => "091-",
    }
}
