//! A what-if as a page to read and print: without scripts, fonts or pictures from anywhere.

use std::fmt::Write;

use postbook_projections::whatif::{Row, Sums, Total};

use super::{
    Whatif,
    csv::{credited, reasons},
};

/// More rows than anybody reads on a page are in the CSV file.
const ROWS_MAX: usize = 1_000;

const STYLE: &str = "\
@page{size:A4 landscape;margin:14mm}\
body{font:14px/1.45 system-ui,sans-serif;color:#1a1a1a;max-width:72rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:1.5rem 0 .25rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:1rem 0}\
dt{color:#555}dd{margin:0;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.down{color:#a11}.up{color:#161}\
tr{break-inside:avoid}thead{display:table-header-group}footer{margin-top:2rem;color:#555;font-size:.85rem}\
@media print{body{margin:0;max-width:none}}";

pub(super) fn document(whatif: &Whatif) -> String {
    let mut page = String::new();
    let totals = whatif.totals();
    put(
        &mut page,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <title>What-if {short}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>What-if {short}</h1>\n",
            short = whatif.hash.get(..12).unwrap_or(&whatif.hash)
        ),
    );
    head(&mut page, whatif);
    table(&mut page, "All", &totals.all);
    table(&mut page, "By partner", &totals.partners);
    table(&mut page, "By offer", &totals.offers);
    table(&mut page, "By month", &totals.periods);
    rows(&mut page, &whatif.report.rows);
    put(
        &mut page,
        format_args!(
            "<footer>Nothing of this is posted. Another person than {} adopts it by its hash.</footer>\n\
             </body>\n</html>\n",
            escape(&whatif.made_by)
        ),
    );
    page
}

fn head(page: &mut String, whatif: &Whatif) {
    put(page, format_args!("<dl>\n"));
    for (term, value) in [
        ("Hash", whatif.hash.clone()),
        ("Log up to", whatif.report.at_position.to_string()),
        ("Made", format!("{} by {}", whatif.made_at, whatif.made_by)),
    ] {
        put(
            page,
            format_args!("<dt>{term}</dt><dd>{}</dd>\n", escape(&value)),
        );
    }
    for definition in &whatif.report.definitions {
        let details = escape(&definition.details.join(", "));
        let subject = escape(&definition.subject);
        put(
            page,
            format_args!("<dt>Tries</dt><dd>{subject}: {details}</dd>\n"),
        );
    }
    put(page, format_args!("</dl>\n"));
}

fn table(page: &mut String, title: &str, totals: &[Total]) {
    if totals.is_empty() {
        return;
    }
    put(
        page,
        format_args!(
            "<h2>{title}</h2>\n<table>\n<thead><tr><th scope=\"col\">Of</th><th scope=\"col\">Lines of</th>\
             <th scope=\"col\">Months</th><th scope=\"col\" class=\"n\">Lines</th><th scope=\"col\" class=\"n\">Old</th>\
             <th scope=\"col\" class=\"n\">New</th><th scope=\"col\" class=\"n\">Difference</th></tr></thead>\n<tbody>\n"
        ),
    );
    for total in totals {
        for (months, sums) in [("open", &total.open), ("closed", &total.closed)] {
            if sums.lines > 0 {
                total_row(page, total, months, sums);
            }
        }
    }
    put(page, format_args!("</tbody>\n</table>\n"));
}

fn total_row(page: &mut String, total: &Total, months: &str, sums: &Sums) {
    let currency = total.currency;
    let money = |minor| format!("{} {currency}", currency.format_major(minor));
    put(
        page,
        format_args!(
            "<tr><td>{}</td><td>{}</td><td>{months}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n {}\">{}</td></tr>\n",
            escape(total.of.as_deref().unwrap_or("all")),
            total.line.code(),
            sums.lines,
            money(sums.old_minor),
            money(sums.new_minor),
            direction(sums.difference_minor),
            money(sums.difference_minor),
        ),
    );
}

fn rows(page: &mut String, rows: &[Row]) {
    put(page, format_args!("<h2>Lines</h2>\n"));
    if rows.len() > ROWS_MAX {
        let more = rows.len() - ROWS_MAX;
        put(
            page,
            format_args!("<p>{more} more lines are in the CSV file.</p>\n"),
        );
    }
    put(
        page,
        format_args!(
            "<table>\n<thead><tr><th scope=\"col\">Month</th><th scope=\"col\">Posted in</th>\
             <th scope=\"col\">Partner</th><th scope=\"col\">Conversion</th><th scope=\"col\">Rule</th>\
             <th scope=\"col\">Why</th><th scope=\"col\" class=\"n\">Old</th><th scope=\"col\" class=\"n\">New</th>\
             <th scope=\"col\" class=\"n\">Difference</th></tr></thead>\n<tbody>\n"
        ),
    );
    for row in rows.iter().take(ROWS_MAX) {
        line(page, row);
    }
    put(page, format_args!("</tbody>\n</table>\n"));
}

fn line(page: &mut String, row: &Row) {
    let money = |minor| format!("{} {}", row.currency.format_major(minor), row.currency);
    let partner = row
        .partner
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let conversion = match (&row.txn_id, row.conversion_id) {
        (Some(txn_id), _) => txn_id.clone(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "end of the month".to_owned(),
    };
    let rule = row.rule.as_deref().unwrap_or(row.line.code());
    put(
        page,
        format_args!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} {}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n {}\">{}</td></tr>\n",
            row.period,
            row.posted_in,
            escape(&partner),
            escape(&conversion),
            escape(rule),
            reasons(row),
            escape(&credited(row)),
            money(row.old_minor),
            money(row.new_minor),
            direction(row.difference_minor),
            money(row.difference_minor),
        ),
    );
}

fn direction(minor: i64) -> &'static str {
    match minor {
        1.. => "up",
        0 => "",
        _ => "down",
    }
}

fn put(page: &mut String, part: std::fmt::Arguments<'_>) {
    page.write_fmt(part).expect("a text takes any text");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
