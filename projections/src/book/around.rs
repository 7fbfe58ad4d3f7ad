//! What conditions look at besides a conversion: the customer's others.

use postbook_schemas::{
    Instant, Kind,
    terms::{Measure, Total},
};

use super::Book;
use crate::{
    conditions::{QUANTITY_DECIMALS, Surroundings},
    conversion::Conversion,
    exact::minor_rounded_down,
    groups::Group,
};

/// A conversion among those of its customer and click.
pub(super) struct Around<'a> {
    book: &'a Book,
    conversion: &'a Conversion,
    groups: [Option<&'a Group>; 2],
}

impl Surroundings for Around<'_> {
    fn registered_at(&self) -> Option<Instant> {
        self.first(Some(&Kind::Registration))
    }

    fn first_at(&self) -> Option<Instant> {
        self.first(None)
    }

    fn has(&self, kind: &Kind) -> bool {
        self.first(Some(kind)).is_some()
    }

    fn amount_minor(&self) -> Option<i64> {
        self.book.amount_in_offers(self.conversion)
    }

    fn exponent(&self) -> u32 {
        let programme = &self.book.programme;
        programme.offer_currency(&self.conversion.offer).exponent()
    }

    fn total(&self, total: &Total, from: Instant, to: Instant) -> Option<i128> {
        // The customer's conversions, else those of the click; never both, they overlap.
        let [customer, click] = self.groups;
        let members = customer
            .or(click)
            .into_iter()
            .flat_map(|group| &group.conversions);
        members
            .map(|&number| self.book.conversion(number))
            .filter(|member| member.counts && member.kind == total.kind)
            .filter(|member| (from..=to).contains(&member.occurred_at()))
            .map(|member| match total.measure() {
                Some(Measure::Count(_)) => Some(1),
                Some(Measure::Quantity(_)) => Some(
                    member
                        .quantity
                        .as_deref()
                        .map_or(0, |it| minor_rounded_down(*it, QUANTITY_DECIMALS)),
                ),
                Some(Measure::Amount(_)) | None => {
                    self.book.amount_in_offers(member).map(i128::from)
                }
            })
            .try_fold(0_i128, |sum, one| Some(sum.saturating_add(one?)))
    }
}

impl Around<'_> {
    /// When the first conversion of a kind, or of any, happened that is the customer's: that names the
    /// customer, or the click and nobody else.
    fn first(&self, kind: Option<&Kind>) -> Option<Instant> {
        let first_of = |group: &Group| match kind {
            Some(kind) => group.firsts.get(kind),
            None => group.firsts.values().min(),
        };
        let [customer, click] = self.groups;
        let (own, of_click) = (customer.and_then(first_of), click.and_then(first_of));
        let customer = self.conversion.keys.customer;
        let is_earlier = |click: Instant| own.is_none_or(|own| click < own);
        if customer.is_none() || !of_click.is_some_and(is_earlier) {
            return own.or(of_click);
        }
        let members = click.into_iter().flat_map(|group| &group.conversions);
        let of_nobody_else = members
            .map(|&number| self.book.conversion(number))
            .filter(|member| member.counts && kind.is_none_or(|kind| member.kind == *kind))
            .filter(|member| member.keys.customer.is_none() || member.keys.customer == customer)
            .map(Conversion::occurred_at);
        of_nobody_else.chain(own).min()
    }
}

impl Book {
    pub(super) fn around<'a>(&'a self, conversion: &'a Conversion) -> Around<'a> {
        let keys = conversion.keys;
        Around {
            book: self,
            conversion,
            groups: [self.group(keys.customer), self.group(keys.click)],
        }
    }

    /// A conversion's amount in the currency of its offer, at the rate of when it happened; nothing
    /// if it has none, `None` without a rate.
    fn amount_in_offers(&self, conversion: &Conversion) -> Option<i64> {
        let amount = conversion.amount_minor.unwrap_or(0);
        let to = self.programme.offer_currency(&conversion.offer);
        if conversion.currency == to || amount == 0 {
            return Some(amount);
        }
        self.exchanged(amount, conversion.currency, to, conversion.occurred_at())
    }
}
