//! Conversions that belong together: of one customer or one click at one offer.

use postbook_schemas::{Instant, Kind, Slug};
use smallvec::SmallVec;

use crate::{
    conversion::{Abused, Changed},
    numbers::ConversionNumber,
    order::OrderKey,
};

/// The conversions of one customer, click or transaction, and what was said about them together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its conversions, in order of arrival.
    pub conversions: SmallVec<[ConversionNumber; 2]>,
    /// What was said besides, of few.
    said: Option<Box<Said>>,
    /// When the first conversion of each kind happened that counts.
    pub firsts: Firsts,
    /// Whom the customer is bound to.
    pub bond: Option<Box<Bond>>,
}

/// What was said of a group besides its conversions.
#[derive(Clone, Debug, Default)]
struct Said {
    changes: Vec<Changed>,
    abuses: Vec<Abused>,
}

/// When the first conversion of each kind happened: few kinds, of very many groups.
#[derive(Clone, Debug, Default)]
pub struct Firsts(Vec<(Kind, Instant)>);

impl Firsts {
    /// When the first of a kind happened.
    pub fn get(&self, kind: &Kind) -> Option<Instant> {
        let mut all = self.0.iter();
        all.find(|(known, _)| known == kind).map(|(_, at)| *at)
    }

    /// When the first of each kind happened.
    pub fn values(&self) -> impl Iterator<Item = Instant> {
        self.0.iter().map(|(_, at)| *at)
    }

    /// Notes when the first of a kind happened, or that there is none.
    pub fn set(&mut self, kind: &Kind, first: Option<Instant>) {
        let place = self.0.iter().position(|(known, _)| known == kind);
        match (place.and_then(|place| self.0.get_mut(place)), first) {
            (Some(known), Some(at)) => known.1 = at,
            (None, Some(at)) => push_tight(&mut self.0, (kind.clone(), at)),
            (_, None) => self.0.retain(|(known, _)| known != kind),
        }
    }
}

/// Adds to a list that mostly stays short: a list makes room for four at once by itself.
fn push_tight<T>(list: &mut Vec<T>, item: T) {
    if list.len() < 4 {
        list.reserve_exact(1);
    }
    list.push(item);
}

impl Group {
    /// Adds a conversion.
    pub fn add(&mut self, number: ConversionNumber) {
        self.conversions.push(number);
    }

    /// Changes that name this transaction, or only this customer or click.
    pub fn changes(&self) -> &[Changed] {
        self.said.as_ref().map_or(&[], |said| &said.changes)
    }

    /// Misbehaviour that was reported under this key.
    pub fn abuses(&self) -> &[Abused] {
        self.said.as_ref().map_or(&[], |said| &said.abuses)
    }

    /// Adds a change unless it is known; the earlier of two under one dedupe key stays.
    pub fn add_change(&mut self, change: Changed) -> bool {
        let changes = &mut self.said.get_or_insert_default().changes;
        let twin = changes.iter_mut().find(|known| {
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
                push_tight(changes, change);
                true
            }
        }
    }

    /// Adds misbehaviour unless it is known.
    pub fn add_abuse(&mut self, abuse: Abused) -> bool {
        let abuses = &mut self.said.get_or_insert_default().abuses;
        if abuses.iter().any(|known| known.order.id == abuse.order.id) {
            return false;
        }
        abuses.push(abuse);
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
