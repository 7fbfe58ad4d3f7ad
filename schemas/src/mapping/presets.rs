//! Presets: how senders that were built for other trackers call. One data file each.

use super::Mapping;
use crate::OfferRef;

/// The convention of one tracker's senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name in mappings.
    pub name: &'static str,
    /// The data file, TOML: the keys of a mapping.
    pub text: &'static str,
}

/// All presets, by name.
pub const ALL: &[Preset] = &[
    preset("affise", include_str!("presets/affise.toml")),
    preset("binom", include_str!("presets/binom.toml")),
    preset("everflow", include_str!("presets/everflow.toml")),
    preset("keitaro", include_str!("presets/keitaro.toml")),
    preset("redtrack", include_str!("presets/redtrack.toml")),
    preset("tune", include_str!("presets/tune.toml")),
    preset("voluum", include_str!("presets/voluum.toml")),
];

const fn preset(name: &'static str, text: &'static str) -> Preset {
    Preset { name, text }
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

/// The names of all presets, for messages.
pub fn names() -> String {
    let names: Vec<_> = ALL.iter().map(|preset| preset.name).collect();
    names.join(", ")
}

impl Preset {
    /// The preset as a mapping; of which offer does not matter.
    ///
    /// # Panics
    /// Never: a test reads every preset.
    pub fn mapping(&self) -> Mapping {
        // The files name no offer, which every mapping has.
        let text = format!("offer = \"any/offer\"\n{}", self.text);
        toml::from_str(&text).expect("every preset is a mapping, as a test says")
    }

    /// What it is for: the first line of its file.
    pub fn title(&self) -> &'static str {
        let line = self.text.lines().next().unwrap_or_default();
        line.trim_start_matches(['#', ' '])
    }

    /// The mapping that an offer has with this preset and nothing else.
    pub fn of(&self, offer: OfferRef) -> Mapping {
        Mapping {
            offer,
            preset: Some(self.name.to_owned()),
            ..self.mapping()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, mapping::Field};

    #[test]
    fn every_preset_is_a_mapping_that_says_where_the_click_is() {
        for preset in ALL {
            let mapping = preset.mapping();
            assert!(
                mapping.fields.contains_key(&Field::ClickId),
                "{}",
                preset.name
            );
            assert!(mapping.preset.is_none(), "{}", preset.name);
            for word in mapping.events.values() {
                assert!(Event::parse(word, &[]).is_some(), "{}: {word}", preset.name);
            }
            for field in mapping.defaults.keys() {
                assert!(field.may_have_default(), "{}: {field:?}", preset.name);
            }
            assert!(!preset.title().is_empty(), "{}", preset.name);
        }
    }

    #[test]
    fn what_a_mapping_says_itself_counts_and_filling_in_twice_changes_nothing() {
        let text = "offer = \"a/b\"\npreset = \"everflow\"\nfields = { txn_id = \"tid\" }";
        let mapping: Mapping = toml::from_str(text).expect("a mapping");
        let filled = mapping.with_preset();
        let txn_id = filled.fields.get(&Field::TxnId).expect("it is mapped");
        assert_eq!(txn_id.0, ["tid"]);
        assert!(filled.fields.contains_key(&Field::ClickId));
        assert_eq!(filled.clone().with_preset(), filled);
    }
}
