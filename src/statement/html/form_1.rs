//! Form 1 of the page. It is never changed: later statements are of a later form.

use postbook_schemas::{
    FactId,
    statement::{StatementIssued, StatementLine},
};

use super::{
    super::{SECTIONS, in_sections},
    escape, put, what,
};

const STYLE: &str = "\
@page{size:A4;margin:18mm}\
body{font:14px/1.45 system-ui,sans-serif;color:#1a1a1a;max-width:48rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .25rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:1rem 0}\
dt{color:#555}dd{margin:0}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}\
td:last-child,th:last-child{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
tr.section th{padding-top:1rem;border-bottom:2px solid #1a1a1a}tr.sum td{font-weight:600;border-bottom:none}\
tr{break-inside:avoid}footer{margin-top:2rem;color:#555;font-size:.85rem;overflow-wrap:anywhere}\
@media print{body{margin:0;max-width:none}}";

pub(super) fn page(id: FactId, statement: &StatementIssued) -> String {
    let mut page = String::new();
    let name = escape(&statement.name());
    let currency = statement.currency;
    put(
        &mut page,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>Statement {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>Statement {name}</h1>\n"
        ),
    );
    head(&mut page, statement);
    put(
        &mut page,
        format_args!(
            "<table>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\">Postings</th>\
             <th scope=\"col\">Amount in {currency}</th></tr></thead>\n<tbody>\n"
        ),
    );
    sum(
        &mut page,
        "Opening balance",
        statement,
        statement.opening_minor,
    );
    for title in SECTIONS {
        section(&mut page, title, statement);
    }
    sum(
        &mut page,
        "Closing balance",
        statement,
        statement.closing_minor,
    );
    sum(
        &mut page,
        "of this pending",
        statement,
        statement.pending_minor,
    );
    sum(&mut page, "of this held", statement, statement.held_minor);
    sum(
        &mut page,
        "of this payable",
        statement,
        statement.payable_minor,
    );
    put(
        &mut page,
        format_args!(
            "</tbody>\n</table>\n<footer>Statement id {id}; all that was recorded before position \
             {} of the log.</footer>\n</body>\n</html>\n",
            statement.closed_at_position
        ),
    );
    page
}

fn head(page: &mut String, statement: &StatementIssued) {
    let partner = statement.partner_name.as_deref();
    let partner = partner.unwrap_or(statement.partner.as_str());
    put(page, format_args!("<dl>\n"));
    for (term, value) in [
        ("Partner", format!("{partner} ({})", statement.partner)),
        ("Month", statement.period.to_string()),
        ("Currency", statement.currency.to_string()),
        ("Closed", statement.closed_at.to_string()),
    ] {
        let value = escape(&value);
        put(page, format_args!("<dt>{term}</dt><dd>{value}</dd>\n"));
    }
    put(page, format_args!("</dl>\n"));
}

fn section(page: &mut String, title: &str, statement: &StatementIssued) {
    let lines = in_sections(statement);
    let own: Vec<&StatementLine> = lines
        .iter()
        .filter(|(of, _)| *of == title)
        .map(|(_, line)| *line)
        .collect();
    if own.is_empty() {
        return;
    }
    put(
        page,
        format_args!(
            "<tr class=\"section\"><th scope=\"rowgroup\" colspan=\"3\">{title}</th></tr>\n"
        ),
    );
    for line in own {
        put(
            page,
            format_args!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&what(line)),
                line.postings,
                statement.currency.format_major(line.amount_minor)
            ),
        );
    }
}

fn sum(page: &mut String, title: &str, statement: &StatementIssued, amount_minor: i64) {
    let amount = statement.currency.format_major(amount_minor);
    put(
        page,
        format_args!("<tr class=\"sum\"><td>{title}</td><td></td><td>{amount}</td></tr>\n"),
    );
}
