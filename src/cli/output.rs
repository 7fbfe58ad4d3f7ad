//! What is printed: tables for people, JSON for programs. Data goes to standard output, everything
//! else to standard error.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use postbook_schemas::{Currency, Instant};
use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;

/// Prints a line on standard output.
///
/// A reader that has gone (`| head`) ends the program quietly, as other tools end.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    match out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(gone()),
        result => result.map_err(CliError::failed),
    }
}

fn gone() -> CliError {
    CliError::failed("")
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(CliError::failed)?;
    line(&text)
}

/// Tells people something that is not the answer.
#[expect(clippy::print_stderr, reason = "this is where people are told things")]
pub(super) fn note(text: &str) {
    if !text.is_empty() {
        eprintln!("{text}");
    }
}

/// A table whose columns from number `numbers_from` on are right-aligned.
pub(super) fn table(
    headers: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
    numbers_from: usize,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headers.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index >= numbers_from {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// An amount with its currency, `-12.50 USD`.
pub(super) fn money(minor: impl Into<i128>, currency: Currency) -> String {
    currency.format_money(minor)
}

/// A sum for an answer: a number, or a text where it is beyond what a [`Value`] holds exactly.
pub(super) fn sum(minor: i128) -> Value {
    i64::try_from(minor).map_or_else(|_| minor.to_string().into(), Value::from)
}

/// A text of an answer; empty where there is none.
pub(super) fn text<'v>(answer: &'v Value, name: &str) -> &'v str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An amount of an answer, or a sum as [`sum`] writes it.
fn minor_of(answer: &Value, name: &str) -> i128 {
    let value = answer.get(name);
    let number = value.and_then(Value::as_i64).map(i128::from);
    number.unwrap_or_else(|| text(answer, name).parse().unwrap_or(0))
}

/// An amount of an answer with the answer's currency.
pub(super) fn money_of(answer: &Value, name: &str) -> String {
    let minor = minor_of(answer, name);
    let code = text(answer, "currency");
    Currency::from_code(code).map_or_else(|| format!("{minor} {code}"), |it| money(minor, it))
}

/// An amount of an answer without its currency.
pub(super) fn major_of(answer: &Value, name: &str) -> String {
    let minor = minor_of(answer, name);
    let currency = Currency::from_code(text(answer, "currency"));
    currency.map_or_else(|| minor.to_string(), |it| it.format_major(minor))
}

/// An instant of an answer to the second.
pub(super) fn time_of(answer: &Value, name: &str) -> String {
    let written = text(answer, name);
    Instant::parse_rfc3339(written).map_or_else(|| written.to_owned(), time)
}

/// An instant to the second.
pub(super) fn time(instant: Instant) -> String {
    instant.to_chrono().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A progress bar over `length` things; hidden where standard error is no terminal.
pub(super) fn progress(what: &'static str, length: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_style(style)
        .with_message(what)
}
