//! Names that people give: slugs of brands, offers, partners and links.

use std::{borrow::Cow, fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest slug, in characters.
const SLUG_LENGTH_MAX: usize = 64;

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}")]
pub struct NameError {
    /// The text, cut to a readable length.
    pub text: String,
    /// What was expected.
    pub expected: &'static str,
}

impl NameError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.chars().take(SLUG_LENGTH_MAX).collect(),
            expected,
        }
    }
}

const SLUG: &str =
    "a slug: 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', beginning with a letter or digit";

fn is_slug(text: &str) -> bool {
    text.len() <= SLUG_LENGTH_MAX
        && text
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// A short name in addresses: of a brand, an offer, a partner or a link. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Slug(Arc<str>);

/// An offer by brand and slug: `acme/casino`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct OfferRef(Arc<str>);

impl Slug {
    /// A slug.
    ///
    /// # Errors
    /// The text has other characters, or is empty or too long.
    pub fn try_new(text: &str) -> Result<Self, NameError> {
        if is_slug(text) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::new(text, SLUG))
        }
    }
}

impl OfferRef {
    /// An offer reference from its written form `brand/offer`.
    ///
    /// # Errors
    /// The text is not two slugs around one slash.
    pub fn try_new(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((brand, offer)) if is_slug(brand) && is_slug(offer) => Ok(Self(text.into())),
            _ => Err(NameError::new(text, "an offer: brand/offer")),
        }
    }

    /// The offer of a brand.
    pub fn new(brand: &Slug, offer: &Slug) -> Self {
        Self(format!("{brand}/{offer}").into())
    }

    /// The brand's slug.
    pub fn brand(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(brand, _)| brand)
    }

    /// The offer's own slug.
    pub fn slug(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, offer)| offer)
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'_, str>::deserialize(deserializer)?;
                Self::try_new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_newtype!(Slug);
text_newtype!(OfferRef);
