//! How fast one address may send: the generic cell rate algorithm over a table of fixed size.
//!
//! The table is as a processor's cache is: an address has a place in one set of eight, and a
//! newcomer takes the place that is nearest to being idle. So memory does not grow, whoever comes
//! from however many addresses, and whoever is over a limit stays known, since its place is the
//! one that is furthest from idle.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Mutex, OnceLock},
};

use postbook_schemas::{
    Instant,
    configuration::{Offer, RateLimit},
};

const SETS: usize = 8_192;
const WAYS: usize = 8;

/// Attempts over a limit that are kept, from all addresses together. Each is a fact of
/// some 80 bytes and a row of 270, so a day of this is 3 GB: what comes beyond is not taken at all.
const KEPT_PER_SECOND: u64 = 100;
const KEPT_AT_ONCE: u64 = 20_000;

/// A limit, as the algorithm needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    interval_nanos: u64,
    tolerance_nanos: u64,
}

impl Rate {
    /// So many a second in the long run, and so many at once.
    pub fn new(per_second: u64, burst: u64) -> Self {
        let interval_nanos = 1_000_000_000 / per_second.max(1);
        Self {
            interval_nanos,
            tolerance_nanos: interval_nanos.saturating_mul(burst.max(1)),
        }
    }
}

impl From<&RateLimit> for Rate {
    fn from(limit: &RateLimit) -> Self {
        let burst = limit.burst.unwrap_or(limit.per_second);
        Self::new(limit.per_second.get().into(), burst.get().into())
    }
}

/// What a limit is for, besides the address.
#[derive(Clone, Copy, Debug, Hash)]
enum Scope<'a> {
    Offer { brand: &'a str, slug: &'a str },
    Everything,
    KeptBeyondLimits,
}

/// After how many seconds to come back.
pub type RetryAfterSeconds = u32;

/// The limits of offers and addresses.
#[derive(Debug)]
pub struct Limits {
    table: Table,
    per_address: OnceLock<Rate>,
}

impl Limits {
    /// No limit but those of offers.
    pub fn new() -> Self {
        Self {
            table: Table::new(),
            per_address: OnceLock::new(),
        }
    }

    /// Limits every address, whatever it asks for. The first call holds.
    pub fn limit_addresses(&self, rate: Rate) {
        self.per_address.get_or_init(|| rate);
    }

    /// Counts a request of an address, whatever it is for.
    pub fn over_address(&self, address: IpAddr, now: Instant) -> Option<RetryAfterSeconds> {
        let rate = *self.per_address.get()?;
        self.table.take(Scope::Everything, address, rate, now)
    }

    /// Counts a postback of an address, for this offer if there is one.
    pub fn over(
        &self,
        offer: Option<&Offer>,
        address: IpAddr,
        now: Instant,
    ) -> Option<RetryAfterSeconds> {
        let over_address = self.over_address(address, now);
        if over_address.is_some() {
            return over_address;
        }
        let offer = offer?;
        let rate = Rate::from(offer.rate_limit.as_ref()?);
        let scope = Scope::Offer {
            brand: offer.brand.as_str(),
            slug: offer.slug.as_str(),
        };
        self.table.take(scope, address, rate, now)
    }

    /// Counts an attempt over its limit; false if too many of them would have to be kept.
    pub fn keeps_another(&self, now: Instant) -> bool {
        let rate = Rate::new(KEPT_PER_SECOND, KEPT_AT_ONCE);
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let over = self.table.take(Scope::KeptBeyondLimits, nobody, rate, now);
        over.is_none()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// Whose requests are counted together: an IPv4 address, or the /64 of an IPv6 address, since one
/// customer of a provider has at least that many.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[derive(Debug)]
struct Table {
    hasher: RandomState,
    sets: Box<[Mutex<[Place; WAYS]>]>,
}

/// One address in one scope, and when it would be idle again.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    key: u64,
    idle_at_nanos: u64,
}

impl Table {
    fn new() -> Self {
        let sets = (0..SETS).map(|_| Mutex::default());
        Self {
            // Keyed, so that nobody can aim at the set of somebody else.
            hasher: RandomState::new(),
            sets: sets.collect(),
        }
    }

    fn take(
        &self,
        scope: Scope<'_>,
        address: IpAddr,
        rate: Rate,
        now: Instant,
    ) -> Option<RetryAfterSeconds> {
        let hash = self.hasher.hash_one((scope, network(address)));
        let set = usize::try_from(hash % SETS as u64).unwrap_or(0);
        // Zero is the key of an empty place.
        let key = hash.max(1);
        let mut set = self.sets[set].lock().expect("no thread panics in it");
        let place = match set.iter_mut().position(|place| place.key == key) {
            Some(known) => &mut set[known],
            None => nearest_to_idle(&mut set),
        };
        if place.key != key {
            *place = Place {
                key,
                idle_at_nanos: 0,
            };
        }
        let now_nanos = u64::try_from(now.micros()).unwrap_or(0) * 1_000;
        place.take(rate, now_nanos)
    }
}

fn nearest_to_idle(set: &mut [Place; WAYS]) -> &mut Place {
    let (first, rest) = set.split_first_mut().expect("a set has places");
    rest.iter_mut().fold(first, |nearest, place| {
        if place.idle_at_nanos < nearest.idle_at_nanos {
            place
        } else {
            nearest
        }
    })
}

impl Place {
    fn take(&mut self, rate: Rate, now_nanos: u64) -> Option<RetryAfterSeconds> {
        let ceiling = now_nanos + rate.tolerance_nanos;
        // Later than the ceiling only if the clock was set back or the limit lowered: neither may
        // lock somebody out for longer than the limit says.
        let idle_at = self.idle_at_nanos.clamp(now_nanos, ceiling);
        let next = idle_at + rate.interval_nanos;
        if next <= ceiling {
            self.idle_at_nanos = next;
            return None;
        }
        self.idle_at_nanos = idle_at;
        let wait_seconds = (next - ceiling).div_ceil(1_000_000_000);
        Some(u32::try_from(wait_seconds).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000_000_000;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(START + micros)
    }

    fn allowed(table: &Table, address: &str, micros: i64, tries: usize) -> usize {
        let (address, rate) = (address.parse().unwrap(), Rate::new(10, 20));
        let tried = (0..tries).map(|_| table.take(Scope::Everything, address, rate, at(micros)));
        tried.filter(Option::is_none).count()
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let table = Table::new();
        assert_eq!(allowed(&table, "192.0.2.1", 0, 100), 20);
        assert_eq!(allowed(&table, "192.0.2.1", 1_000_000, 100), 10);
        assert_eq!(allowed(&table, "192.0.2.1", 1_050_000, 100), 0);
        assert_eq!(allowed(&table, "192.0.2.1", 1_100_000, 100), 1);
        assert_eq!(allowed(&table, "192.0.2.1", 60_000_000, 100), 20);
        assert_eq!(allowed(&table, "192.0.2.2", 60_000_000, 100), 20);
    }

    #[test]
    fn an_address_is_its_ipv4_or_the_64_bits_of_its_network() {
        let table = Table::new();
        assert_eq!(allowed(&table, "192.0.2.1", 0, 15), 15);
        assert_eq!(allowed(&table, "::ffff:192.0.2.1", 0, 15), 5);
        assert_eq!(allowed(&table, "2001:db8:1:2::1", 0, 15), 15);
        assert_eq!(allowed(&table, "2001:db8:1:2:3:4:5:6", 0, 15), 5);
        assert_eq!(allowed(&table, "2001:db8:1:3::1", 0, 15), 15);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let table = Table::new();
        assert_eq!(allowed(&table, "192.0.2.1", 3_600_000_000, 100), 20);
        allowed(&table, "192.0.2.1", 0, 1);
        assert_eq!(allowed(&table, "192.0.2.1", 1_000_000, 100), 10);
    }

    #[test]
    fn whoever_is_over_stays_known_among_a_crowd_of_newcomers() {
        let table = Table::new();
        assert_eq!(allowed(&table, "192.0.2.1", 0, 100), 20);
        let newcomers = 2 * SETS * WAYS;
        for number in 0..u64::try_from(newcomers).unwrap() {
            let address = Ipv6Addr::from_bits(u128::from(number) << 64 | 0x2001 << 112);
            allowed(&table, &address.to_string(), 0, 1);
        }
        assert_eq!(allowed(&table, "192.0.2.1", 0, 100), 0);
    }

    #[test]
    fn offers_are_counted_apart() {
        let table = Table::new();
        let (address, rate) = ("192.0.2.1".parse().unwrap(), Rate::new(1, 1));
        for slug in ["casino", "poker"] {
            let scope = Scope::Offer {
                brand: "acme",
                slug,
            };
            assert_eq!(table.take(scope, address, rate, at(0)), None);
            assert_eq!(table.take(scope, address, rate, at(0)), Some(1));
        }
    }

    #[test]
    fn attempts_over_their_limit_are_kept_up_to_a_number() {
        let limits = &Limits::new();
        let kept = |micros| (0..30_000).filter(move |_| limits.keeps_another(at(micros)));
        assert_eq!(kept(0).count(), 20_000);
        assert_eq!(kept(1_000_000).count(), 100);
    }
}
