//! `postbook terms`: what draft terms would give for a sample of facts.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use postbook_projections::{
    rows::{ConversionRow, EarningLine},
    sample,
};
use postbook_schemas::{Currency, Envelope, Slug};
use serde::Serialize;

use super::{
    apply::parse,
    exit::{CliError, Exit},
    global::Global,
    output, reader,
};
use crate::{
    commands::programme::{Known, apply::read_files, plan},
    store::Filter,
};

/// How much of the log is read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// Tries terms before they are published.
#[derive(Debug, Args)]
pub(super) struct Terms {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(Check),
}

/// Prices a sample of facts by draft terms and shows the lines.
#[derive(Debug, Args)]
struct Check {
    /// Files, or directories of which all *.toml are taken in order
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The sample as NDJSON, as `postbook events` prints it; `-` is standard input; the log if absent
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

/// One line of one conversion.
#[derive(Debug, Serialize)]
struct Line<'a> {
    conversion: &'a ConversionRow,
    line: &'a EarningLine,
}

/// What a partner would earn.
#[derive(Debug, Serialize)]
struct Total<'a> {
    partner: &'a Slug,
    currency: Currency,
    amount_minor: i128,
}

impl Terms {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let Verb::Check(check) = self.verb;
        check.run(global).await
    }
}

impl Check {
    async fn run(self, global: &Global) -> Result<(), CliError> {
        let mut texts = Vec::new();
        for path in &self.paths {
            let read = read_files(path);
            texts.extend(read.map_err(|error| unreadable(path, &error))?);
        }
        let files = parse(&texts)?;
        let facts = match &self.facts {
            Some(path) => decode(read_facts(path)?.lines().map(str::as_bytes))?,
            None => read_log(global).await?,
        };
        let mut known = Known::default();
        for fact in &facts {
            known.fold(fact.clone());
        }
        let plan = plan(files, &known).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            CliError::new(Exit::Refused, problems.join("\n"))
        })?;
        let drafts = plan.changes.into_iter().map(|change| change.fact).collect();
        let rows = sample::price(&facts, drafts).map_err(CliError::failed)?;
        show(&rows, global.json)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!("{} cannot be read: {error}", path.display()))
}

fn read_facts(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    read.map_err(|error| unreadable(path, &error))
}

async fn read_log(global: &Global) -> Result<Vec<Envelope>, CliError> {
    let store = reader::open_log(global).await?;
    let head = store.head();
    let (mut from, mut facts) = (1, Vec::new());
    while from <= head {
        let page = store.read(from, head, Filter::ALL, PAGE_BYTES).await?;
        facts.extend(decode(page.lines().map(|(_, line)| line))?);
        from = page.next.max(from + 1);
    }
    store.close().await;
    Ok(facts)
}

fn decode<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Envelope>, CliError> {
    let lines = (1..)
        .zip(lines)
        .filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(number, line)| {
            let wrong =
                |error| CliError::new(Exit::Refused, format!("fact {number} is not one: {error}"));
            Envelope::decode(line).map_err(wrong)
        })
        .collect()
}

fn show(rows: &[ConversionRow], as_json: bool) -> Result<(), CliError> {
    let lines = rows.iter().flat_map(|conversion| {
        let lines = conversion.earnings.iter();
        lines.map(move |line| Line { conversion, line })
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let totals = totals(&lines);
    if as_json {
        return output::json(&serde_json::json!({"lines": lines, "totals": totals}));
    }
    let headers = &[
        "happened", "event", "txn", "amount", "partner", "rule", "gives", "state",
    ];
    let cells = lines.iter().map(cells);
    output::line(&output::table(headers, cells, headers.len()))?;
    for total in &totals {
        // A total beyond 64 bits is shown in minor units.
        let amount = i64::try_from(total.amount_minor).map_or_else(
            |_| format!("{} minor units of", total.amount_minor),
            |minor| total.currency.format_major(minor),
        );
        output::line(&format!("{} {amount} {}", total.partner, total.currency))?;
    }
    Ok(())
}

fn cells(Line { conversion, line }: &Line<'_>) -> Vec<String> {
    let amount =
        |minor: i64, currency: Currency| format!("{} {currency}", currency.format_major(minor));
    let own = |minor| amount(minor, conversion.currency);
    let state = line
        .reason
        .map_or(line.state.code(), |reason| reason.code());
    vec![
        conversion.occurred_at.to_string(),
        conversion.kind.to_string(),
        conversion.txn_id.clone().unwrap_or_default(),
        conversion.amount_minor.map_or_else(String::new, own),
        line.partner
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        line.rule.as_deref().unwrap_or_default().to_owned(),
        line.currency
            .map_or_else(String::new, |currency| amount(line.amount_minor, currency)),
        state.to_owned(),
    ]
}

fn totals<'a>(lines: &[Line<'a>]) -> Vec<Total<'a>> {
    let mut sums = BTreeMap::<(&Slug, Currency), i128>::new();
    for Line { line, .. } in lines {
        if let (Some(partner), Some(currency)) = (&line.partner, line.currency) {
            *sums.entry((partner, currency)).or_default() += i128::from(line.amount_minor);
        }
    }
    sums.into_iter()
        .map(|((partner, currency), amount_minor)| Total {
            partner,
            currency,
            amount_minor,
        })
        .collect()
}
