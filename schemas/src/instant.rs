//! UTC instants with microsecond precision.

use std::{borrow::Cow, fmt};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A UTC instant, in microseconds since 1970. Written as RFC 3339 with a `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "DateTime<Utc>")]
pub struct Instant(i64);

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;

impl Instant {
    /// The start of 1970.
    pub const EPOCH: Self = Self(0);
    /// 0001-01-01, the earliest instant that is accepted.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z, the latest instant that is accepted.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant this many microseconds after the start of 1970, held within [`Self::MIN`] and
    /// [`Self::MAX`].
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Microseconds since the start of 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant `days` days of 24 hours later, held at [`Self::MAX`].
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self::from_micros(
            self.0
                .saturating_add(DAY_US.saturating_mul(i64::from(days))),
        )
    }

    /// The instant `micros` later (earlier when negative), held within the accepted range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// How much later this is than `earlier`, in microseconds; negative if it is not.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// As a chrono date and time.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// An RFC 3339 text with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        let instant = Self(time.timestamp_micros());
        (Self::MIN..=Self::MAX)
            .contains(&instant)
            .then_some(instant)
    }

    /// A sender's timestamp: RFC 3339, or whole seconds or milliseconds since 1970. Numbers of
    /// twelve digits and more are milliseconds (seconds of that size lie beyond the year 5000).
    pub fn parse_timestamp(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Self::parse_rfc3339(text);
        }
        let number: i64 = text.parse().ok()?;
        let micros = if text.len() >= 12 {
            number.checked_mul(1_000)?
        } else {
            number.checked_mul(1_000_000)?
        };
        (micros <= Self::MAX.0).then_some(Self(micros))
    }
}

impl From<DateTime<Utc>> for Instant {
    fn from(time: DateTime<Utc>) -> Self {
        Self::from_micros(time.timestamp_micros())
    }
}

impl std::ops::Add<TimeDelta> for Instant {
    type Output = Self;

    fn add(self, delta: TimeDelta) -> Self {
        Self::from_micros(
            self.0
                .saturating_add(delta.num_microseconds().unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            &self
                .to_chrono()
                .to_rfc3339_opts(SecondsFormat::Micros, true),
        )
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse_rfc3339(&text)
            .ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time with an offset"))
    }
}
