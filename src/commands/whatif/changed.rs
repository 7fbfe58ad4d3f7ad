//! What differs between two reports of the same drafts: what happened in between.

use std::collections::BTreeMap;

use postbook_projections::whatif::Row;
use serde_json::{Value, json};

use crate::whatif::{Whatif, row_json};

/// How many rows of each kind are shown.
const ROWS_MAX: usize = 100;

/// What differs.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// Lines that would change now, and would not have.
    pub added: Vec<Row>,
    /// Lines that would have changed, and would not now.
    pub gone: Vec<Row>,
    /// Lines that would change otherwise: before and now.
    pub other: Vec<(Row, Row)>,
    /// Whether the definitions would take the place of others now.
    pub replaces_others: bool,
}

/// What differs between a what-if and the same later.
pub fn changed(was: &Whatif, now: &Whatif) -> Changed {
    let key = |row: &Row| {
        (
            row.conversion_id,
            row.line,
            row.partner.clone(),
            row.rule.clone(),
            row.currency,
            row.conversion_id.is_none().then_some(row.effective_at),
        )
    };
    let mut before: BTreeMap<_, &Row> = was.report.rows.iter().map(|row| (key(row), row)).collect();
    let mut changed = Changed::default();
    for row in &now.report.rows {
        match before.remove(&key(row)) {
            None => changed.added.push(row.clone()),
            Some(same) if same == row => {}
            Some(other) => changed.other.push((other.clone(), row.clone())),
        }
    }
    changed.gone = before.into_values().cloned().collect();
    let replaced = |whatif: &Whatif| -> Vec<Option<u64>> {
        let definitions = whatif.report.definitions.iter();
        definitions.map(|definition| definition.replaces).collect()
    };
    changed.replaces_others = replaced(was) != replaced(now);
    changed
}

impl Changed {
    /// As answers show it: how many of each, and the first of them.
    pub fn to_json(&self) -> Value {
        let rows =
            |rows: &[Row]| -> Vec<Value> { rows.iter().take(ROWS_MAX).map(row_json).collect() };
        let other = self
            .other
            .iter()
            .take(ROWS_MAX)
            .map(|(was, now)| json!({ "was": row_json(was), "now": row_json(now) }));
        json!({
            "added_count": self.added.len(),
            "gone_count": self.gone.len(),
            "other_count": self.other.len(),
            "replaces_others": self.replaces_others,
            "added": rows(&self.added),
            "gone": rows(&self.gone),
            "other": other.collect::<Vec<_>>(),
        })
    }
}
