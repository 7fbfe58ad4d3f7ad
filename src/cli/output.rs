//! What is printed: tables for people, JSON for programs. Data goes to standard output, everything
//! else to standard error.
//!
//! Much of it senders wrote: whatever a terminal would obey and not show is escaped, here and for all
//! verbs.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use postbook_schemas::{Currency, Instant};
use serde::Serialize;
use serde_json::Value;

use super::exit::CliError;

/// Prints a line for people on standard output. Line feeds and tabs in it are the program's own:
/// what a sender wrote comes by [`table`] or [`indented`].
pub(super) fn line(text: &str) -> Result<(), CliError> {
    document(&visible(text, &['\n', '\t']))
}

/// A text with all that controls a terminal, or turns the direction of writing around, as `\u{1b}`;
/// `kept` stays.
fn visible<'t>(text: &'t str, kept: &[char]) -> Cow<'t, str> {
    escaped(text, kept, |c, escaped| {
        _ = write!(escaped, "{}", c.escape_unicode());
    })
}

/// A JSON text that means the same, and commands no terminal.
fn visible_json(text: &str) -> Cow<'_, str> {
    // Between its tokens there may be line feeds, within its texts not.
    escaped(text, &['\n', '\r', '\t'], |c, escaped| {
        _ = write!(escaped, "\\u{:04x}", u32::from(c));
    })
}

fn escaped<'t>(text: &'t str, kept: &[char], escape: impl Fn(char, &mut String)) -> Cow<'t, str> {
    let is_escaped = |c: char| is_command(c) && !kept.contains(&c);
    if !text.contains(is_escaped) {
        return text.into();
    }
    let mut visible = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if is_escaped(c) {
            escape(c, &mut visible);
        } else {
            visible.push(c);
        }
    }
    visible.into()
}

/// Whether terminals obey a character: control characters, those for the direction of writing, and
/// other ends of lines.
fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text under a heading of so many columns: its further lines begin where the first does, so that
/// none of them looks like one of ours.
pub(super) fn indented(text: &str, columns: usize) -> String {
    text.replace('\n', &format!("\n{:columns$}", ""))
}

/// Prints a document for programs on standard output, as it is.
///
/// A reader that has gone (`| head`) ends the program quietly, as other tools end.
pub(super) fn document(text: &str) -> Result<(), CliError> {
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
    document(&visible_json(&text))
}

/// Prints a kept line of JSON: byte for byte into a file or to another program, which may hash it.
pub(super) fn kept_line(text: &str) -> Result<(), CliError> {
    if io::stdout().is_terminal() {
        return document(&visible_json(text));
    }
    document(text)
}

/// Tells people something that is not the answer.
#[expect(clippy::print_stderr, reason = "this is where people are told things")]
pub(super) fn note(text: &str) {
    if !text.is_empty() {
        eprintln!("{}", visible(text, &['\n', '\t']));
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
        table.add_row(row.iter().map(|cell| visible(cell, &[])));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (text, shown) in [
            ("plain, ünïcode, 漢字, 🙂", "plain, ünïcode, 漢字, 🙂"),
            ("a\u{1b}[2J\u{7}b", "a\\u{1b}[2J\\u{7}b"),
            ("\u{9b}31m\u{7f}\r", "\\u{9b}31m\\u{7f}\\u{d}"),
            ("abc\u{202e}cba\u{2066}", "abc\\u{202e}cba\\u{2066}"),
            ("one\n\ttwo\u{2028}", "one\n\ttwo\\u{2028}"),
        ] {
            assert_eq!(visible(text, &['\n', '\t']), shown);
        }
        assert_eq!(visible("a\n\tb", &[]), "a\\u{a}\\u{9}b");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a\u{1b}": "\u{9b}\u{7f}\u{202e}\n", "b": [1, "é"] });
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let shown = visible_json(&text);
        assert!(
            !shown.contains(|c: char| is_command(c) && c != '\n'),
            "{shown}"
        );
        let read: Value = serde_json::from_str(&shown).expect("it is JSON");
        assert_eq!(read, value);
    }

    #[test]
    fn no_cell_makes_a_row_and_no_text_a_line_of_ours() {
        let rows = [vec!["1".to_owned(), "x\n2  accepted\u{1b}[A".to_owned()]];
        let text = table(&["n", "detail"], rows, 2);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.ends_with("x\\u{a}2  accepted\\u{1b}[A"), "{text}");
        assert_eq!(indented("{\n\"a\":1}", 4), "{\n    \"a\":1}");
    }
}
