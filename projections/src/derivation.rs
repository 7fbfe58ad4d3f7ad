//! The versions of the derivation: what each does otherwise than the one before it.
//!
//! Facts are derived for ever as they were when they were folded first, so that a rebuild from
//! nothing ends in the postings that were made: `derivation.adopted` says from where on a version is
//! in force, and the versions before it stay here. A version is a value, and whatever differs between
//! versions is a part of it; code that derives the same in all of them knows nothing of versions.

use crate::exact::Product;

/// A version of the derivation.
#[derive(Clone, Copy, Debug)]
pub struct Derivation {
    /// Its number, from 1 on without gaps.
    pub version: u32,
    /// What it does otherwise than the one before it, for people.
    pub about: &'static str,
    /// How the exact amount of an earning line becomes a whole one; `None` if it does not fit.
    pub round: fn(&Product) -> Option<i64>,
}

const VERSION_1: Derivation = Derivation {
    version: 1,
    about: "derives as version 0.1.0 of the program",
    round: Product::rounded,
};

static FIRST: Derivation = VERSION_1;

impl Derivation {
    /// All versions that this program can derive by, oldest first.
    pub const KNOWN: &'static [Self] = &[VERSION_1];

    /// The newest version that this program can derive by.
    pub fn newest() -> &'static Self {
        newest(Self::KNOWN)
    }

    /// The version with this number, if this program can derive by it.
    pub fn find(known: &'static [Self], version: u32) -> Option<&'static Self> {
        known
            .iter()
            .find(|derivation| derivation.version == version)
    }

    /// The version that is in force where none was adopted.
    pub fn first(known: &'static [Self]) -> &'static Self {
        known.first().unwrap_or(&FIRST)
    }
}

fn newest(known: &'static [Derivation]) -> &'static Derivation {
    known.last().unwrap_or(&FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbered_from_one_without_gaps() {
        for (number, derivation) in (1..).zip(Derivation::KNOWN) {
            assert_eq!(derivation.version, number, "{}", derivation.about);
        }
        assert_eq!(Derivation::first(Derivation::KNOWN).version, 1);
        assert_eq!(
            Derivation::newest().version as usize,
            Derivation::KNOWN.len()
        );
    }
}
