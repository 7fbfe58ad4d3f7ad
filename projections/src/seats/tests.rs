//! Seats against a plain list that is searched from the front.
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

use postbook_schemas::{FactId, Instant};
use proptest::prelude::*;

use super::*;

fn seat(at: u8, own_minor: i64, is_member: bool) -> Seat {
    Seat {
        order: order(at),
        conversion: usize::from(at),
        own_minor,
        reach: (own_minor.min(0), own_minor.max(0)),
        is_member,
    }
}

fn order(at: u8) -> OrderKey {
    OrderKey::plain(
        Instant::from_micros(i64::from(at)),
        FactId::from_u128(u128::from(at)),
    )
}

fn plain_before(list: &[Seat], order: &OrderKey) -> Before {
    let members = list
        .iter()
        .filter(|seat| seat.order < *order && seat.is_member);
    members.fold(Before::default(), |before, seat| Before {
        count: before.count + 1,
        sum: before.sum + i128::from(seat.own_minor),
    })
}

fn plain_visit(list: &[Seat], from: &OrderKey, window: &Window) -> Vec<usize> {
    let met = |seat: &&Seat| {
        let before = plain_before(list, &seat.order);
        match window {
            Window::Places(places) => places.contains(&before.count),
            Window::Sums(sums) => {
                let end = before.sum + i128::from(seat.own_minor);
                before.sum.min(end) <= *sums.end() && before.sum.max(end) >= *sums.start()
            }
        }
    };
    let later = list.iter().filter(|seat| seat.order >= *from);
    later.filter(met).map(|seat| seat.conversion).collect()
}

proptest! {
    #[test]
    fn seats_say_what_a_plain_list_says(
        steps in proptest::collection::vec((any::<u8>(), -50_i64..100, any::<bool>(), 0_u8..5), 1..120),
        from in any::<u8>(), place in 0_usize..60, sum in -100_i128..900, wide in 0_i128..60,
    ) {
        let (mut seats, mut list) = (Seats::default(), Vec::<Seat>::new());
        for (at, own, is_member, step) in steps {
            list.retain(|seat| seat.order != order(at));
            if step == 0 {
                seats.remove(&order(at));
            } else {
                let new = seat(at, own, is_member);
                if seats.get(&order(at)).is_some() {
                    seats.replace(new);
                } else {
                    seats.add(new);
                }
                list.push(seat(at, own, is_member));
                list.sort_by(|a, b| a.order.cmp(&b.order));
            }
            prop_assert_eq!(seats.before(&order(from)), plain_before(&list, &order(from)));
            prop_assert_eq!(seats.get(&order(at)), list.iter().find(|seat| seat.order == order(at)));
        }
        let mut all: Vec<usize> = seats.iter().map(|seat| seat.conversion).collect();
        all.sort_unstable();
        prop_assert_eq!(all, list.iter().map(|seat| seat.conversion).collect::<Vec<_>>());
        for window in [Window::Places(place..=place + 1), Window::Sums(sum..=sum + wide)] {
            let mut found = Vec::new();
            seats.visit(&order(from), &window, &mut |seat| found.push(seat.conversion));
            prop_assert_eq!(found, plain_visit(&list, &order(from), &window));
        }
    }
}
