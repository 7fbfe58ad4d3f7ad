//! Times as an offer's sender writes them.

use chrono::{
    DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone,
    format::{Item, Parsed, StrftimeItems, parse},
};
use chrono_tz::Tz;
use postbook_schemas::{Instant, mapping::Mapping};

/// How times are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFormat {
    form: Form,
    text: String,
    zone: Tz,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Whole seconds since 1970.
    Unix,
    /// Whole milliseconds since 1970.
    UnixMs,
    /// RFC 3339; without an offset if the mapping has a zone.
    Rfc3339,
    /// A strftime pattern.
    Pattern,
}

impl TimeFormat {
    /// The format of a mapping. One that names only a zone reads RFC 3339 without offsets too.
    pub fn of(mapping: &Mapping) -> Option<Self> {
        if mapping.timestamp_format.is_none() && mapping.time_zone.is_none() {
            return None;
        }
        let text = mapping.timestamp_format.as_deref().unwrap_or("rfc3339");
        let form = match text {
            "unix" => Form::Unix,
            "unix_ms" => Form::UnixMs,
            "rfc3339" => Form::Rfc3339,
            _ => Form::Pattern,
        };
        Some(Self {
            form,
            text: text.to_owned(),
            zone: mapping.time_zone.unwrap_or(Tz::UTC),
        })
    }

    /// The format as it is written in the mapping.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Why a text is no format, if it is none: what it has must lead to a day at least.
    ///
    /// # Errors
    /// The text is neither a name nor a usable pattern.
    pub fn check(text: &str) -> Result<(), &'static str> {
        if matches!(text, "unix" | "unix_ms" | "rfc3339") {
            return Ok(());
        }
        if !text.contains('%') {
            return Err("write `unix`, `unix_ms`, `rfc3339` or a pattern as `%Y-%m-%d %H:%M:%S`");
        }
        if StrftimeItems::new(text).any(|item| item == Item::Error) {
            return Err("the pattern has a specifier that is none");
        }
        // Whatever a pattern writes of an instant it must be able to read again.
        let sample = DateTime::from_timestamp(1_781_524_800, 0).unwrap_or_default();
        let written = sample.format(text).to_string();
        match pattern(&written, text, Tz::UTC) {
            Some(_) => Ok(()),
            None => Err("the pattern names no whole day, so that no time can be read by it"),
        }
    }

    /// Reads a time.
    pub fn parse(&self, text: &str) -> Option<Instant> {
        let text = text.trim();
        match self.form {
            Form::Unix => whole(text)?.checked_mul(1_000_000).and_then(in_range),
            Form::UnixMs => whole(text)?.checked_mul(1_000).and_then(in_range),
            Form::Rfc3339 => Instant::parse_rfc3339(text).or_else(|| {
                let local: NaiveDateTime = text.replacen(' ', "T", 1).parse().ok()?;
                in_zone(self.zone, local)
            }),
            Form::Pattern => pattern(text, &self.text, self.zone),
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn in_range(micros: i64) -> Option<Instant> {
    (micros <= Instant::MAX.micros()).then(|| Instant::from_micros(micros))
}

/// A time by a pattern: with the offset it has, else in the zone; a day alone is its midnight.
fn pattern(text: &str, pattern: &str, zone: Tz) -> Option<Instant> {
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(pattern)).ok()?;
    if let Ok(time) = parsed.to_datetime() {
        return in_range(time.timestamp_micros()).filter(|time| *time >= Instant::MIN);
    }
    if let Ok(local) = parsed.to_naive_datetime_with_offset(0) {
        // Seconds since 1970 are of no zone.
        let zone = parsed.timestamp().map_or(zone, |_| Tz::UTC);
        return in_zone(zone, local);
    }
    // Hours that were given and cannot be used must not become midnight.
    if parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() || parsed.minute().is_some()
    {
        return None;
    }
    let day: NaiveDate = parsed.to_naive_date().ok()?;
    in_zone(zone, day.and_time(NaiveTime::MIN))
}

/// A local time that comes twice (clocks are put back) is its first; one that never comes is none.
fn in_zone(zone: Tz, local: NaiveDateTime) -> Option<Instant> {
    let time = zone.from_local_datetime(&local).earliest()?;
    in_range(time.timestamp_micros()).filter(|time| *time >= Instant::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Option<&str>, zone: Option<&str>, text: &str) -> Option<String> {
        let mapping = Mapping {
            timestamp_format: format.map(str::to_owned),
            time_zone: zone.map(|zone| zone.parse().expect("a zone")),
            ..Mapping::none("a/b".parse().expect("an offer"))
        };
        let time = TimeFormat::of(&mapping)
            .expect("it has a format")
            .parse(text);
        time.map(|time| time.to_string().replace(".000000Z", "Z"))
    }

    #[test]
    fn times_are_read_as_their_format_says() {
        let berlin = Some("Europe/Berlin");
        for (format, zone, text, expected) in [
            (
                Some("unix"),
                None,
                "1781524800",
                Some("2026-06-15T12:00:00Z"),
            ),
            (Some("unix"), None, "1781524800000", None),
            (
                Some("unix_ms"),
                None,
                "1781524800000",
                Some("2026-06-15T12:00:00Z"),
            ),
            (Some("unix"), None, "-1", None),
            (
                Some("rfc3339"),
                None,
                "2026-06-15T14:00:00+02:00",
                Some("2026-06-15T12:00:00Z"),
            ),
            (
                None,
                berlin,
                "2026-06-15T14:00:00",
                Some("2026-06-15T12:00:00Z"),
            ),
            (
                None,
                berlin,
                "2026-01-15 14:00:00",
                Some("2026-01-15T13:00:00Z"),
            ),
            (
                Some("%d.%m.%Y %H:%M"),
                berlin,
                "15.06.2026 14:00",
                Some("2026-06-15T12:00:00Z"),
            ),
            (
                Some("%Y%m%d"),
                None,
                "20260615",
                Some("2026-06-15T00:00:00Z"),
            ),
            (
                Some("%Y-%m-%d %H:%M:%S %z"),
                berlin,
                "2026-06-15 12:00:00 +0000",
                Some("2026-06-15T12:00:00Z"),
            ),
            // The hour that never comes, and the one that comes twice.
            (Some("%Y-%m-%d %H:%M"), berlin, "2026-03-29 02:30", None),
            (
                Some("%Y-%m-%d %H:%M"),
                berlin,
                "2026-10-25 02:30",
                Some("2026-10-25T00:30:00Z"),
            ),
            (Some("%Y-%m-%d"), None, "2026-02-30", None),
            (Some("%Y-%m-%d"), None, "2026-02-03 x", None),
        ] {
            assert_eq!(
                read(format, zone, text).as_deref(),
                expected,
                "{format:?} {text}"
            );
        }
    }

    #[test]
    fn formats_that_cannot_be_read_by_are_refused() {
        for text in ["seconds", "%Q", "%H:%M", "%", "%Y-%m"] {
            assert!(TimeFormat::check(text).is_err(), "{text}");
        }
        for text in [
            "unix",
            "%Y-%m-%dT%H:%M:%S%.fZ",
            "%s",
            "%d/%m/%y %I:%M %p",
            "%d %b %Y",
        ] {
            assert_eq!(TimeFormat::check(text), Ok(()), "{text}");
        }
    }
}
