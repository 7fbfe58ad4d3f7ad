//! A statement as CSV (RFC 4180), form 1: a row for the opening, one per line, one for the closing.

use postbook_schemas::statement::StatementIssued;

use super::in_sections;

const HEADERS: [&str; 14] = [
    "statement",
    "partner",
    "period",
    "currency",
    "section",
    "entry",
    "corrects",
    "offer",
    "rule",
    "subject_id",
    "at",
    "note",
    "postings",
    "amount",
];

pub(super) fn document(statement: &StatementIssued) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let mut write = |row: [String; 14]| {
        writer
            .write_record(row)
            .expect("rows of one length are written to memory");
    };
    let row = |section: &str, amount_minor: i64| -> [String; 14] {
        let mut row: [String; 14] = Default::default();
        row[0] = statement.name();
        row[1] = statement.partner.to_string();
        row[2] = statement.period.to_string();
        row[3] = statement.currency.to_string();
        section.clone_into(&mut row[4]);
        row[13] = statement.currency.format_major(amount_minor);
        row
    };
    write(HEADERS.map(str::to_owned));
    write(row("Opening", statement.opening_minor));
    for (title, line) in in_sections(statement) {
        let mut written = row(title, line.amount_minor);
        line.entry.code().clone_into(&mut written[5]);
        written[6] = text(line.corrects);
        written[7] = text(line.offer.as_ref());
        written[8] = harmless(line.rule.as_deref());
        written[9] = text(line.subject_id);
        written[10] = text(line.at);
        written[11] = harmless(line.note.as_deref());
        written[12] = line.postings.to_string();
        write(written);
    }
    write(row("Closing", statement.closing_minor));
    write(row("Closing, of this pending", statement.pending_minor));
    write(row("Closing, of this held", statement.held_minor));
    write(row("Closing, of this payable", statement.payable_minor));
    writer
        .into_inner()
        .expect("nothing stands between the rows and memory")
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn harmless(text: Option<&str>) -> String {
    super::harmless(text.unwrap_or_default())
}
