//! A what-if as CSV (RFC 4180): a row for each line that would change.

use postbook_projections::whatif::{Reason, Row};

use super::Whatif;

const HEADERS: [&str; 20] = [
    "period",
    "closed",
    "posted_in",
    "partner",
    "offer",
    "kind",
    "conversion_id",
    "position",
    "txn_id",
    "effective_at",
    "line",
    "rule",
    "currency",
    "old",
    "new",
    "difference",
    "posting",
    "payout_id",
    "reasons",
    "credited",
];

pub(super) fn document(whatif: &Whatif) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let mut write = |row: [String; 20]| {
        writer
            .write_record(row)
            .expect("rows of one length are written to memory");
    };
    write(HEADERS.map(str::to_owned));
    for row in &whatif.report.rows {
        write(written(row));
    }
    writer
        .into_inner()
        .expect("nothing stands between the rows and memory")
}

fn written(row: &Row) -> [String; 20] {
    let major = |minor| row.currency.format_major(minor);
    [
        row.period.to_string(),
        if row.is_closed() { "yes" } else { "no" }.to_owned(),
        row.posted_in.to_string(),
        text(row.partner.as_ref()),
        text(row.offer.as_ref()),
        text(row.kind.as_ref()),
        text(row.conversion_id),
        text(row.position),
        harmless(row.txn_id.as_deref()),
        row.effective_at.to_string(),
        row.line.code().to_owned(),
        harmless(row.rule.as_deref()),
        row.currency.to_string(),
        major(row.old_minor),
        major(row.new_minor),
        major(row.difference_minor),
        text(
            row.posting
                .map(postbook_projections::rows::PostingKind::code),
        ),
        text(row.payout_id),
        reasons(row),
        credited(row),
    ]
}

/// Why, in words.
pub(super) fn reasons(row: &Row) -> String {
    let words: Vec<_> = row
        .reasons
        .iter()
        .map(|reason| Reason::code(*reason))
        .collect();
    words.join(" ")
}

/// `p1 → p2`, if somebody else would be credited.
pub(super) fn credited(row: &Row) -> String {
    let name = |partner: &Option<postbook_schemas::Slug>| {
        partner
            .as_ref()
            .map_or_else(|| "nobody".to_owned(), ToString::to_string)
    };
    let change = row.credited.as_ref();
    change.map_or_else(String::new, |(old, new)| {
        format!("{} → {}", name(old), name(new))
    })
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A text that a spreadsheet does not take for a formula.
fn harmless(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        return format!("'{text}");
    }
    text.to_owned()
}
