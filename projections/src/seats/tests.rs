//! Seats against a plain list that is searched from the front.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "small numbers, and places that were found"
)]

use postbook_schemas::{FactId, Instant};
use proptest::prelude::*;

use super::*;

type Placed = (OrderKey, Seat);

fn seat(at: u16, own_minor: i64, is_member: bool) -> Seat {
    Seat {
        conversion: usize::from(at),
        own_minor,
        reach: (own_minor.min(0), own_minor.max(0)),
        is_member,
    }
}

fn order(at: u16) -> OrderKey {
    OrderKey::plain(
        Instant::from_micros(i64::from(at)),
        FactId::from_u128(u128::from(at)),
    )
}

fn plain_before(list: &[Placed], order: &OrderKey) -> Before {
    let members = list
        .iter()
        .filter(|(place, seat)| place < order && seat.is_member);
    members.fold(Before::default(), |before, (_, seat)| Before {
        count: before.count + 1,
        sum: before.sum + i128::from(seat.own_minor),
    })
}

fn plain_visit(list: &[Placed], from: &OrderKey, window: &Window) -> Vec<usize> {
    let mut before = Before::default();
    let mut found = Vec::new();
    for (place, seat) in list {
        let is_met = match window {
            Window::Places(places) => places.contains(&before.count),
            Window::Sums(sums) => {
                let end = before.sum + i128::from(seat.own_minor);
                before.sum.min(end) <= *sums.end() && before.sum.max(end) >= *sums.start()
            }
        };
        if is_met && place >= from {
            found.push(seat.conversion);
        }
        if seat.is_member {
            before.count += 1;
            before.sum += i128::from(seat.own_minor);
        }
    }
    found
}

/// Seats and the plain list after some steps: who sits where, and of every fifth step or so who leaves.
fn played(steps: &[(u16, i64, bool, u8)]) -> (Seats, Vec<Placed>) {
    let (mut seats, mut list) = (Seats::default(), Vec::<Placed>::new());
    for &(at, own, is_member, step) in steps {
        let found = list.binary_search_by(|(place, _)| place.cmp(&order(at)));
        let new = seat(at, own, is_member);
        match found {
            Ok(place) if step == 0 => {
                seats.remove(&order(at));
                list.remove(place);
            }
            Ok(place) => {
                seats.replace(&order(at), new);
                list[place].1 = new;
            }
            Err(_) if step == 0 => seats.remove(&order(at)),
            Err(place) => {
                seats.add(&order(at), new);
                list.insert(place, (order(at), new));
            }
        }
    }
    (seats, list)
}

fn check(
    (seats, list): (&Seats, &[Placed]),
    from: u16,
    windows: &[Window],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(seats.total(), plain_before(list, &order(u16::MAX)));
    let sits = list.iter().find(|(place, _)| *place == order(from));
    let looked = (
        plain_before(list, &order(from)),
        sits.map(|(_, seat)| *seat),
    );
    prop_assert_eq!(seats.look(&order(from)), looked);
    let mut all = Vec::new();
    seats.each(&mut |seat| all.push(seat.conversion));
    let plain: Vec<_> = list.iter().map(|(_, seat)| seat.conversion).collect();
    prop_assert_eq!(all, plain);
    let members = list.iter().filter(|(_, seat)| seat.is_member);
    let members: Vec<_> = members.map(|(_, seat)| *seat).collect();
    for place in [0, members.len() / 2, members.len()] {
        prop_assert_eq!(seats.member(place), members.get(place).copied());
    }
    for window in windows {
        let mut found = Vec::new();
        seats.visit(&order(from), window, &mut |seat| {
            found.push(seat.conversion);
        });
        prop_assert_eq!(found, plain_visit(list, &order(from), window));
    }
    Ok(())
}

proptest! {
    #[test]
    fn seats_say_what_a_plain_list_says(
        steps in proptest::collection::vec((0_u16..300, -50_i64..100, any::<bool>(), 0_u8..5), 1..200),
        from in 0_u16..300, place in 0_usize..60, sum in -100_i128..900, wide in 0_i128..60,
    ) {
        let windows = [Window::Places(place..=place + 1), Window::Sums(sum..=sum + wide)];
        for end in 1..=steps.len() {
            let is_sampled = end % 20 == 0 || end == steps.len();
            if is_sampled {
                let (seats, list) = played(&steps[..end]);
                check((&seats, &list), from, &windows)?;
            }
        }
    }

    /// Deep trees that grow in order, backwards or anywhere, and shrink again to nothing.
    #[test]
    fn seats_grow_and_shrink_in_any_order(
        count in 1_u16..4_000, way in 0_u8..3, keep in 0_u16..40, from in 0_u16..4_000, sum in 0_i128..9_000,
    ) {
        let place = |number: u16| match way {
            0 => number,
            1 => count - 1 - number,
            _ => u16::try_from(u32::from(number) * 7_919 % u32::from(count)).expect("below count"),
        };
        let seated = |number| (place(number), i64::from(number % 5) - 1, number % 7 != 0, 1);
        let mut steps: Vec<_> = (0..count).map(seated).collect();
        let windows = [Window::Places(20..=23), Window::Sums(sum..=sum + 3)];
        let (seats, list) = played(&steps);
        check((&seats, &list), from, &windows)?;
        steps.extend((keep..count).rev().map(|number| (place(number), 0, false, 0)));
        let (seats, list) = played(&steps);
        check((&seats, &list), from, &windows)?;
    }
}
