//! Conversions that belong together: of one customer or one click at one offer.

use std::collections::BTreeMap;

use postbook_schemas::{Instant, Kind, Slug};

use crate::{
    conversion::{Abused, Changed},
    numbers::ConversionNumber,
    order::OrderKey,
};

/// The conversions of one customer, click or transaction, and what was said about them together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its conversions, in order of arrival.
    pub conversions: Vec<ConversionNumber>,
    /// Changes that name this transaction, or only this customer or click.
    pub changes: Vec<Changed>,
    /// Misbehaviour that was reported under this key.
    pub abuses: Vec<Abused>,
    /// When the first conversion of each kind happened that counts.
    pub firsts: BTreeMap<Kind, Instant>,
    /// Whom the customer is bound to.
    pub bond: Option<Bond>,
}

impl Group {
    /// Adds a change unless it is known; the earlier of two under one dedupe key stays.
    pub fn add_change(&mut self, change: Changed) -> bool {
        let twin = self.changes.iter_mut().find(|known| {
            known.order.id == change.order.id
                || (!change.order.dedupe_key.is_empty()
                    && known.order.dedupe_key == change.order.dedupe_key)
        });
        match twin {
            Some(known) if known.order <= change.order => false,
            Some(known) => {
                *known = change;
                true
            }
            None => {
                self.changes.push(change);
                true
            }
        }
    }

    /// Adds misbehaviour unless it is known.
    pub fn add_abuse(&mut self, abuse: Abused) -> bool {
        if self
            .abuses
            .iter()
            .any(|known| known.order.id == abuse.order.id)
        {
            return false;
        }
        self.abuses.push(abuse);
        true
    }
}

/// The partner a customer is bound to, by the first conversion that was credited otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// The conversion that bound the customer.
    pub order: OrderKey,
    /// The partner.
    pub partner: Slug,
}
