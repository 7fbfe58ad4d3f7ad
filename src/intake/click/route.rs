//! Chooses the destination of a click by the offer's routing rules: the first match holds.

use postbook_schemas::{FactId, Instant, configuration::Route, traffic::Device};

/// What routing rules look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visitor<'a> {
    pub(super) country: Option<&'a str>,
    pub(super) device: Device,
    pub(super) now: Instant,
    /// From 0 to 99.
    pub(super) draw: u8,
}

/// A draw from 0 to 99 out of the randomness in a click's id, so that the choice can be seen again.
pub(super) fn draw(id: FactId) -> u8 {
    let (_, low) = id.as_u64_pair();
    // The two highest bits of this half are fixed by the form of the id.
    u8::try_from((low << 2 >> 2) % 100).unwrap_or(0)
}

/// The destination of the first route that fits. Weights are parts of all visitors that meet the
/// other conditions: two routes of 30 and 70 percent share them out between them.
pub(super) fn choose<'r>(routes: &'r [Route], visitor: &Visitor<'_>) -> Option<&'r str> {
    let mut shared_out = 0_u8;
    for route in routes {
        if !fits(route, visitor) {
            continue;
        }
        let Some(weight) = route.weight else {
            return Some(&route.destination);
        };
        shared_out = shared_out.saturating_add(weight);
        if visitor.draw < shared_out {
            return Some(&route.destination);
        }
    }
    None
}

fn fits(route: &Route, visitor: &Visitor<'_>) -> bool {
    let country = route.country.is_empty()
        || visitor.country.is_some_and(|own| {
            let mut countries = route.country.iter();
            countries.any(|country| country.eq_ignore_ascii_case(own))
        });
    let device = route.device.is_empty() || route.device.contains(&visitor.device);
    let time = route.from.is_none_or(|from| from <= visitor.now)
        && route.until.is_none_or(|until| visitor.now < until);
    country && device && time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: &str) -> Route {
        Route {
            destination: destination.to_owned(),
            country: Vec::new(),
            device: Vec::new(),
            from: None,
            until: None,
            weight: None,
        }
    }

    fn routes() -> Vec<Route> {
        vec![
            Route {
                country: vec!["de".to_owned()],
                device: vec![Device::Mobile],
                ..route("german phones")
            },
            Route {
                from: Some(Instant::from_micros(10)),
                until: Some(Instant::from_micros(20)),
                ..route("hour")
            },
            Route {
                weight: Some(30),
                ..route("30")
            },
            Route {
                weight: Some(50),
                ..route("50")
            },
        ]
    }

    #[test]
    fn the_first_route_that_fits_holds() {
        for (country, device, micros, draw, expected) in [
            (Some("DE"), Device::Mobile, 15, 0, Some("german phones")),
            (Some("DE"), Device::Desktop, 15, 0, Some("hour")),
            (Some("FR"), Device::Mobile, 20, 29, Some("30")),
            (None, Device::Mobile, 9, 30, Some("50")),
            (None, Device::Mobile, 9, 79, Some("50")),
            (None, Device::Mobile, 9, 80, None),
        ] {
            let visitor = Visitor {
                country,
                device,
                now: Instant::from_micros(micros),
                draw,
            };
            assert_eq!(choose(&routes(), &visitor), expected, "{visitor:?}");
        }
    }

    #[test]
    fn draws_are_spread_over_the_hundred() {
        use crate::clock::{Clock, ManualClock};

        let clock = ManualClock::new(Instant::EPOCH, 1);
        let mut seen = [0_u32; 100];
        for _ in 0..10_000 {
            seen[usize::from(draw(clock.new_id()))] += 1;
        }
        assert!(
            seen.iter().all(|&count| (50..200).contains(&count)),
            "{seen:?}"
        );
    }
}
