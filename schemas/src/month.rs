//! Calendar months: the periods that books are closed by.

use std::{borrow::Cow, fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};
use thiserror::Error;

use crate::Instant;

/// A calendar month, written `YYYY-MM`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

/// A text that is no month.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a month: write YYYY-MM")]
pub struct MonthError;

impl Month {
    /// January of year 1.
    pub const MIN: Self = Self(12);
    /// December of year 9999.
    pub const MAX: Self = Self(119_999);

    /// The month of a date, `month` from 1.
    pub fn of_date(date: &impl Datelike) -> Self {
        let months = date.year().saturating_mul(12);
        let month = i32::try_from(date.month0()).unwrap_or(0);
        Self(months.saturating_add(month).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The month that an instant falls in, in UTC.
    pub fn of(at: Instant) -> Self {
        Self::of_date(&at.to_chrono())
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1).min(Self::MAX.0))
    }

    /// The year.
    pub const fn year(self) -> i32 {
        self.0.div_euclid(12)
    }

    /// The month of the year, from 1.
    pub const fn number(self) -> u32 {
        self.0.rem_euclid(12).unsigned_abs().saturating_add(1)
    }

    /// Its first instant in UTC.
    pub fn start(self) -> Instant {
        DateTime::<Utc>::from_naive_utc_and_offset(self.midnight(), Utc).into()
    }

    /// Where the clocks stand when it begins.
    fn midnight(self) -> NaiveDateTime {
        let first = NaiveDate::from_ymd_opt(self.year(), self.number(), 1).unwrap_or_default();
        first.and_hms_opt(0, 0, 0).unwrap_or_default()
    }

    /// The first instant after it in a time zone.
    pub fn end_in(self, zone: Tz) -> Instant {
        let midnight = self.next().midnight();
        // Where clocks are put forward at midnight, the month begins with the first hour there is.
        let hour_later = midnight.checked_add_signed(TimeDelta::hours(1));
        let at = |clock: NaiveDateTime| zone.from_local_datetime(&clock).earliest();
        let first = at(midnight).or_else(|| hour_later.and_then(at));
        first.map_or_else(|| self.end(), |first| first.with_timezone(&Utc).into())
    }

    /// The first instant after it in UTC.
    pub fn end(self) -> Instant {
        self.next().start()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.number())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let (year, month) = text.split_once('-').ok_or(MonthError)?;
        if year.len() != 4 || month.len() != 2 || !is_digits(year) || !is_digits(month) {
            return Err(MonthError);
        }
        let year = year.parse().map_err(|_| MonthError)?;
        let month = month.parse().map_err(|_| MonthError)?;
        let first = NaiveDate::from_ymd_opt(year, month, 1).ok_or(MonthError)?;
        if year == 0 {
            return Err(MonthError);
        }
        Ok(Self::of_date(&first))
    }
}

impl Serialize for Month {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Month {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Month")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_and_written() {
        for text in ["2026-01", "2026-12", "0001-01", "9999-12"] {
            let month: Month = text.parse().expect("a month");
            assert_eq!(month.to_string(), text);
            assert_eq!(Month::of(month.start()), month);
        }
        for text in [
            "2026-13", "2026-00", "2026-1", "0000-01", "+026-01", "2026", "",
        ] {
            assert_eq!(text.parse::<Month>(), Err(MonthError), "{text}");
        }
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let december: Month = "2025-12".parse().expect("a month");
        assert_eq!(december.next().to_string(), "2026-01");
        assert_eq!(december.end().to_string(), "2026-01-01T00:00:00.000000Z");
        let last = december.end().plus_micros(-1);
        assert_eq!(Month::of(last), december);
    }

    #[test]
    fn a_month_ends_at_midnight_where_its_terms_are_at_home() {
        for (month, zone, end) in [
            ("2026-05", "America/Los_Angeles", "2026-06-01T07:00:00Z"),
            ("2026-05", "Pacific/Auckland", "2026-05-31T12:00:00Z"),
            ("2026-05", "UTC", "2026-06-01T00:00:00Z"),
            // Clocks there were put forward at midnight on 1 October 2000.
            ("2000-09", "America/Asuncion", "2000-10-01T04:00:00Z"),
        ] {
            let month: Month = month.parse().expect("a month");
            let end = Instant::parse_rfc3339(end).expect("a time");
            assert_eq!(month.end_in(zone.parse().expect("a zone")), end, "{zone}");
        }
    }
}
