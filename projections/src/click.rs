//! What the book needs to know of a click that converted.

use std::collections::BTreeMap;

use postbook_schemas::{Instant, OfferRef, Slug, traffic::Device};

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
    /// `sub1` to `sub5`; may be left empty unless [`Book::wants_subs`](crate::Book::wants_subs) says so.
    pub subs: BTreeMap<String, String>,
}
