//! Clicks: one follow of a link, with everything known then.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{OfferRef, Slug};

/// The class of device a click came from.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A computer.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A crawler or another program.
    Bot,
    /// Anything else.
    #[default]
    Unknown,
}

impl Device {
    /// All classes; the index is the number the log's click index keeps.
    pub const ALL: &'static [Self] = &[
        Self::Desktop,
        Self::Mobile,
        Self::Tablet,
        Self::Bot,
        Self::Unknown,
    ];

    /// The word used in facts, terms and routing rules.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
        }
    }
}

/// Data of `click.recorded`. The address, truncated, is in the envelope's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Click {
    /// The id that was handed to the destination.
    pub click_id: String,
    /// The link that was followed; absent for clicks recorded elsewhere without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Slug>,
    /// The offer of the link at that time.
    pub offer: OfferRef,
    /// The partner of the link at that time.
    pub partner: Slug,
    /// The campaign of the link at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// The address the visitor was sent to, without the click id and personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// ISO 3166 country of the visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Class of device.
    #[serde(default)]
    pub device: Device,
    /// The browser's own description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The page that held the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// The parameters of the request that are kept, exactly as received but for personal data:
    /// `utm_*`, `sub1` to `sub5`, `fbclid`, `gclid`, `ttclid`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

impl Click {
    /// Whether a request parameter of this name is kept with a click.
    pub fn keeps_parameter(name: &str) -> bool {
        matches!(
            name,
            "sub1" | "sub2" | "sub3" | "sub4" | "sub5" | "fbclid" | "gclid" | "ttclid"
        ) || name.starts_with("utm_")
    }
}
