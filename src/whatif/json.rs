//! A what-if as JSON, as `GET /v1/whatifs/{hash}` answers it and `postbook whatif --json` prints it.

use postbook_projections::whatif::{Row, Sums, Total};
use serde_json::{Value, json};

use super::Whatif;

pub(super) fn document(whatif: &Whatif, skip: usize, limit: usize) -> Value {
    let report = &whatif.report;
    let totals = whatif.totals();
    let definitions = report.definitions.iter().map(|definition| {
        json!({
            "type": definition.fact_type,
            "subject": definition.subject,
            "details": definition.details,
            "replaces": definition.replaces,
            "data": definition.data,
        })
    });
    let all = |totals: &[Total]| totals.iter().map(total).collect::<Vec<_>>();
    let rows = report.rows.iter().skip(skip).take(limit);
    json!({
        "hash": whatif.hash,
        "at_position": report.at_position,
        "made_by": whatif.made_by,
        "made_at": whatif.made_at,
        "definitions": definitions.collect::<Vec<_>>(),
        "conversions": totals.conversions,
        "lines": report.rows.len(),
        "posted_in": totals.posted_in,
        "totals": all(&totals.all),
        "partners": all(&totals.partners),
        "offers": all(&totals.offers),
        "periods": all(&totals.periods),
        "items": rows.map(row).collect::<Vec<_>>(),
    })
}

fn total(total: &Total) -> Value {
    json!({
        "of": total.of,
        "line": total.line,
        "currency": total.currency,
        "open": sums(&total.open),
        "closed": sums(&total.closed),
    })
}

fn sums(sums: &Sums) -> Value {
    json!({
        "lines": sums.lines,
        "old_minor": sums.old_minor,
        "new_minor": sums.new_minor,
        "difference_minor": sums.difference_minor,
    })
}

/// One line that would change.
pub(crate) fn row(row: &Row) -> Value {
    let change = |old: Value, new: Value| json!({ "old": old, "new": new });
    json!({
        "position": row.position,
        "conversion_id": row.conversion_id,
        "offer": row.offer,
        "kind": row.kind.as_ref().map(postbook_schemas::Kind::code),
        "txn_id": row.txn_id,
        "effective_at": row.effective_at,
        "line": row.line,
        "partner": row.partner,
        "rule": row.rule,
        "currency": row.currency,
        "old_minor": row.old_minor,
        "new_minor": row.new_minor,
        "difference_minor": row.difference_minor,
        "posting": row.posting,
        "payout_id": row.payout_id,
        "period": row.period,
        "closed": row.is_closed(),
        "posted_in": row.posted_in,
        "reasons": row.reasons,
        "credited": row.credited.as_ref().map(|(old, new)| change(json!(old), json!(new))),
        "terms": row.terms.as_ref().map(|(old, new)| change(json!(old), json!(new))),
    })
}
