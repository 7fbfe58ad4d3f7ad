//! A statement as a page to read, print or save as PDF: without scripts, fonts or pictures from
//! anywhere. Each form has a file of its own; what they share here is held by the golden files of all.

mod form_1;
mod form_2;

use std::fmt::Write;

use postbook_schemas::{
    FactId,
    statement::{StatementIssued, StatementLine},
};

pub(super) fn document(id: FactId, statement: &StatementIssued) -> String {
    match statement.form {
        1 => form_1::page(id, statement),
        // Form 3 differs in which section a line stands only.
        _ => form_2::page(id, statement),
    }
}

/// What a line is about, in words.
fn what(line: &StatementLine) -> String {
    let mut words = vec![line.entry.code().replace('_', " ")];
    words.extend(line.corrects.map(|month| format!("corrects {month}")));
    words.extend(line.offer.as_ref().map(ToString::to_string));
    words.extend(line.rule.as_ref().map(|rule| format!("rule {rule}")));
    let day = |at: postbook_schemas::Instant| at.to_chrono().format("%Y-%m-%d").to_string();
    words.extend(line.at.map(day));
    words.extend(line.note.clone());
    words.join(" · ")
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a text takes more text");
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
