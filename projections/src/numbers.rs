//! The names by which parts of the book refer to each other.

/// The number of a conversion in the book's list, in order of arrival.
pub type ConversionNumber = usize;

/// The short name of a group: of one transaction, click or customer at an offer. Never zero, so that its
/// absence takes no room.
pub type GroupKey = std::num::NonZeroU128;

/// The short name of a pool: of one partner, offer, rule and period.
pub type PoolKey = u128;
