//! Form 2 of the page: headings with their sums, and on paper page numbers, headings that stay with
//! what follows them, and a closing that is not torn apart. It is never changed.

use postbook_schemas::{
    FactId,
    statement::{StatementIssued, StatementLine},
};

use super::{
    super::{SECTIONS, in_sections},
    escape, put, what,
};

const STYLE: &str = "\
body{font:14px/1.45 system-ui,sans-serif;color:#1a1a1a;max-width:48rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .25rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:1rem 0}\
dt{color:#555}dd{margin:0}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.section th{padding-top:1rem;border-bottom:2px solid #1a1a1a}.sum th{border-bottom:none}\
.part td{border-bottom:none;padding:.1rem .5rem .1rem 1.5rem;color:#555}\
tbody+tbody.closing .sum th{padding-top:1rem}\
tr{break-inside:avoid}.section{break-after:avoid}.closing{break-inside:avoid}\
footer{margin-top:2rem;color:#555;font-size:.85rem;overflow-wrap:anywhere;break-inside:avoid}\
@media print{body{margin:0;padding:0;max-width:none;font-size:12px}}";

pub(super) fn page(id: FactId, statement: &StatementIssued) -> String {
    let mut page = String::new();
    let name = escape(&statement.name());
    let currency = statement.currency;
    put(
        &mut page,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>Statement {name}</title>\n<style>@page{{size:A4;margin:18mm 18mm 22mm;\
             @bottom-left{{content:\"Statement {name}\";font:11px system-ui,sans-serif;color:#555}}\
             @bottom-right{{content:counter(page) \" of \" counter(pages);\
             font:11px system-ui,sans-serif;color:#555}}}}{STYLE}</style>\n</head>\n<body>\n\
             <h1>Statement {name}</h1>\n"
        ),
    );
    head(&mut page, statement);
    put(
        &mut page,
        format_args!(
            "<table>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\" class=\"n\">Postings</th>\
             <th scope=\"col\" class=\"n\">Amount in {currency}</th></tr></thead>\n<tbody>\n"
        ),
    );
    let opening = statement.opening_minor;
    row(
        &mut page,
        "sum",
        "Opening balance",
        &major(statement, opening),
    );
    put(&mut page, format_args!("</tbody>\n"));
    for title in SECTIONS {
        section(&mut page, title, statement);
    }
    closing(&mut page, statement);
    put(
        &mut page,
        format_args!(
            "</table>\n<footer>Statement id {id}; all that was recorded before position {} of the \
             log. Held and payable are as of the end of the month in UTC.</footer>\n</body>\n</html>\n",
            statement.closed_at_position
        ),
    );
    page
}

fn head(page: &mut String, statement: &StatementIssued) {
    let slug = statement.partner.as_str();
    let partner = match statement.partner_name.as_deref() {
        Some(name) => format!("{name} ({slug})"),
        None => slug.to_owned(),
    };
    let closed = statement.closed_at.to_chrono();
    put(page, format_args!("<dl>\n"));
    for (term, value) in [
        ("Partner", partner),
        ("Month", statement.period.to_string()),
        ("Currency", statement.currency.to_string()),
        ("Closed", closed.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
    ] {
        let value = escape(&value);
        put(page, format_args!("<dt>{term}</dt><dd>{value}</dd>\n"));
    }
    put(page, format_args!("</dl>\n"));
}

fn section(page: &mut String, title: &str, statement: &StatementIssued) {
    let lines = in_sections(statement);
    let own = lines.iter().filter(|(of, _)| *of == title);
    let own: Vec<&StatementLine> = own.map(|(_, line)| *line).collect();
    if own.is_empty() {
        return;
    }
    let sum: i128 = own.iter().map(|line| i128::from(line.amount_minor)).sum();
    let sum = major(statement, sum);
    put(page, format_args!("<tbody>\n"));
    row(page, "section", title, &sum);
    for line in own {
        put(
            page,
            format_args!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                escape(&what(line)),
                line.postings,
                major(statement, line.amount_minor)
            ),
        );
    }
    put(page, format_args!("</tbody>\n"));
}

fn closing(page: &mut String, statement: &StatementIssued) {
    put(page, format_args!("<tbody class=\"closing\">\n"));
    let closing = major(statement, statement.closing_minor);
    row(page, "sum", "Closing balance", &closing);
    for (title, minor) in [
        ("pending: not approved yet", statement.pending_minor),
        ("held: approved, and payable later", statement.held_minor),
        ("payable", statement.payable_minor),
    ] {
        put(
            page,
            format_args!(
                "<tr class=\"part\"><td colspan=\"2\">{title}</td><td class=\"n\">{}</td></tr>\n",
                major(statement, minor)
            ),
        );
    }
    put(page, format_args!("</tbody>\n"));
}

fn row(page: &mut String, class: &str, title: &str, amount: &str) {
    let scope = if class == "section" {
        "rowgroup"
    } else {
        "row"
    };
    put(
        page,
        format_args!(
            "<tr class=\"{class}\"><th scope=\"{scope}\" colspan=\"2\">{title}</th>\
             <th class=\"n\">{amount}</th></tr>\n"
        ),
    );
}

fn major(statement: &StatementIssued, amount_minor: impl Into<i128>) -> String {
    statement.currency.format_major(amount_minor)
}
