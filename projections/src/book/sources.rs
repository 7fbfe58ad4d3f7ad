//! Tells what attribution looks at for a conversion, and where that is in the log.

use postbook_schemas::Slug;

use super::Book;
use crate::{conversion::Corrected, explain::trace::Source, numbers::ConversionNumber};

impl Book {
    /// What attribution looks at, with where it is.
    pub(super) fn sources(&self, number: ConversionNumber) -> Vec<Source> {
        let conversion = self.conversion(number);
        let (offer, at) = (&conversion.offer, conversion.occurred_at());
        let mut sources = Vec::new();
        let mut add = |what, says: String, position| {
            sources.push(Source {
                what,
                says,
                position,
            });
        };
        let settings = self.programme.offer(offer);
        let names: Vec<_> = settings.candidates.iter().map(|it| it.code()).collect();
        let defined = self.programme.offer_fact(offer);
        let defined = defined.and_then(|id| self.position_of(&id));
        let says = format!(
            "{offer} looks at {}, clicks of the last {} days",
            names.join(", "),
            settings.click_window_days
        );
        add("offer", says, defined);
        if let Some(click) = self.click_of(conversion) {
            let says = format!(
                "click {} of {} at {}",
                click.click_id, click.partner, click.occurred_at
            );
            add("click", says, Some(click.position));
        }
        if let Some(code) = &conversion.references.coupon_code {
            let fact = self.programme.coupon_fact(offer, code, at);
            let whose = self.programme.coupon(offer, code, at);
            let whose = whose.map_or("nobody's", Slug::as_str);
            let position = fact.and_then(|id| self.position_of(&id));
            add("coupon", format!("coupon {code} was {whose}"), position);
        }
        let group = self.group(conversion.keys.customer);
        if let Some(bond) = group.and_then(|group| group.bond.as_ref()) {
            let first = self
                .ids
                .get(&bond.order.id)
                .map(|&it| self.conversion(it).position);
            let says = format!(
                "customer bound to {} at {}",
                bond.partner, bond.order.occurred_at
            );
            add("customer", says, first);
        }
        for id in &conversion.aliases {
            for Corrected { order, partner } in self.corrections.get(id).into_iter().flatten() {
                let whom = partner.as_ref().map_or("nobody", Slug::as_str);
                let position = self.position_of(&order.id);
                add(
                    "correction",
                    format!("corrected to {whom} at {}", order.occurred_at),
                    position,
                );
            }
        }
        sources
    }
}
