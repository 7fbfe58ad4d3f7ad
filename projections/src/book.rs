//! The book: all that the facts say, folded one by one.

use postbook_schemas::{Envelope, FactId, Instant, OfferRef, Slug, traffic::Device};
use std::collections::BTreeMap;
use thiserror::Error;

use crate::rows::Changes;

/// Why a fact cannot be folded. The fold stops there: a book that skipped a fact would be wrong in
/// silence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the fact at position {position} ({id}) cannot be folded: {what}")]
pub struct BookError {
    /// Where.
    pub position: u64,
    /// Which fact.
    pub id: FactId,
    /// What is wrong with it.
    pub what: String,
}

/// What the book needs to know of a click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickSeen {
    /// Its id.
    pub click_id: String,
    /// Where it is in the log.
    pub position: u64,
    /// The offer of its link.
    pub offer: OfferRef,
    /// The partner of its link.
    pub partner: Slug,
    /// When it happened.
    pub occurred_at: Instant,
    /// ISO 3166 country.
    pub country: Option<String>,
    /// Class of device.
    pub device: Device,
    /// `sub1` to `sub5`; may be left empty unless [`Book::wants_subs`] says so.
    pub subs: BTreeMap<String, String>,
}

/// All that the facts say, folded one by one in the order of the log.
///
/// Clicks are many and few of them convert, so the book does not ask for all of them. Before
/// [`Book::apply`] is called with a fact, whoever drives it asks [`Book::wanted_click`] and, if there
/// is such a click in the log, hands it in with [`Book::see_click`]. Facts of type `click.recorded`
/// may be applied too (or not): they change nothing but what a conversion that named them waits for.
#[derive(Clone, Debug, Default)]
pub struct Book {}

impl Book {
    /// An empty book.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of the click that applying this fact will ask for, if the book does not know it yet.
    pub fn wanted_click<'a>(&self, envelope: &'a Envelope) -> Option<&'a str> {
        _ = envelope;
        None
    }

    /// Whether `when` conditions of the offer's terms look at the subs of clicks.
    pub fn wants_subs(&self, offer: &OfferRef) -> bool {
        _ = offer;
        false
    }

    /// Tells the book of a click that a fact to come names. Nothing is derived from it yet.
    pub fn see_click(&mut self, click: ClickSeen) {
        _ = click;
    }

    /// Folds one fact, and adds the rows that change to `changes`.
    ///
    /// # Errors
    /// The fact contradicts the book (a payout of an unknown partner, a sum beyond 64 bits). The
    /// book is then unusable.
    pub fn apply(
        &mut self,
        position: u64,
        envelope: &Envelope,
        changes: &mut Changes,
    ) -> Result<(), BookError> {
        _ = (position, envelope, changes);
        Ok(())
    }
}
