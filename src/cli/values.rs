//! Values on the command line: spans of time, and times.

use postbook_schemas::{Instant, instant::DAY_US};

/// A span as `30m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its length in microseconds.
    pub(super) micros: i64,
}

/// Reads a span.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let expected = || format!("`{text}` is not a span of time: write 30m, 24h or 7d");
    let unit = text.chars().next_back().ok_or_else(expected)?;
    let unit_micros = match unit {
        's' => 1_000_000,
        'm' => 60_000_000,
        'h' => DAY_US / 24,
        'd' => DAY_US,
        _ => return Err(expected()),
    };
    let number: u32 = text
        .strip_suffix(unit)
        .and_then(|number| number.parse().ok())
        .ok_or_else(expected)?;
    let micros = i64::from(number)
        .checked_mul(unit_micros)
        .ok_or_else(expected)?;
    Ok(Span { micros })
}

/// Reads a time: RFC 3339, or a day, which means its end, so that `--as-of 2026-01-31` counts all
/// of January.
pub(super) fn time(text: &str) -> Result<Instant, String> {
    let day = format!("{text}T00:00:00Z");
    let end_of_day = || Instant::parse_rfc3339(&day).map(|start| start.plus_micros(DAY_US - 1));
    Instant::parse_rfc3339(text)
        .or_else(end_of_day)
        .ok_or_else(|| format!("`{text}` is not a time: write 2026-01-31 or 2026-01-31T12:00:00Z"))
}

/// Reads a time from which on, or before which, something is looked for: a day means its start.
pub(super) fn start(text: &str) -> Result<Instant, String> {
    Instant::parse_rfc3339(&format!("{text}T00:00:00Z")).map_or_else(|| time(text), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        let micros = |text| span(text).map(|span| span.micros).ok();
        assert_eq!(micros("90s"), Some(90_000_000));
        assert_eq!(micros("30m"), Some(1_800_000_000));
        assert_eq!(micros("24h"), micros("1d"));
        for wrong in ["", "24", "h", "-1h", "1.5h", "4294967296d", "1w"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_day_means_its_end() {
        let text = |written| time(written).map(|time| time.to_string());
        assert_eq!(
            text("2026-01-31").as_deref(),
            Ok("2026-01-31T23:59:59.999999Z")
        );
        assert_eq!(
            text("2026-01-31T12:00:00+01:00").as_deref(),
            Ok("2026-01-31T11:00:00.000000Z")
        );
        assert!(text("yesterday").is_err());
    }
}
