//! What a customer has done in all: the measures of `total_at_least`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{Exact, Kind};

/// What the customer has done of one kind comes to at least this much. Exactly one of `amount`, `count` and
/// `quantity` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// The kind whose conversions are added.
    pub kind: Kind,
    /// Amounts of at least this much, in major units of the offer's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Exact>,
    /// At least this many conversions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Quantities of at least this much, in lots or units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Exact>,
    /// Counted over this many days from the customer's registration; without one, from the first
    /// conversion of the customer. Whenever, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_days: Option<u32>,
}

/// What a total is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Amounts, in major units of the offer's currency.
    Amount(Exact),
    /// Conversions.
    Count(u64),
    /// Lots or units.
    Quantity(Exact),
}

impl Total {
    /// What it is measured by; `None` if nothing is given.
    pub fn measure(&self) -> Option<Measure> {
        let amount = self.amount.map(Measure::Amount);
        let count = self.count.map(Measure::Count);
        amount.or(count).or(self.quantity.map(Measure::Quantity))
    }
}

/// Totals that must all be reached; one is written as a table, several as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals(pub Vec<Total>);

impl Totals {
    /// Whether nothing has to be reached.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Totals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// Reads a table or a list; unlike an untagged enum it keeps what is wrong, and where.
struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Totals;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a total, as { kind = \"deposit\", amount = \"100.00\" }, or a list of totals")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Totals, A::Error> {
        let one = Total::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Totals(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Totals, A::Error> {
        let mut totals = Vec::new();
        while let Some(total) = list.next_element()? {
            totals.push(total);
        }
        Ok(Totals(totals))
    }
}

impl JsonSchema for Totals {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Totals".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Total>();
        schemars::json_schema!({
            "description": "Totals that must all be reached: one as a table, or several as a list.",
            "anyOf": [one, { "type": "array", "items": one }]
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::terms::When;

    fn written(json: &str) -> When {
        serde_json::from_str(json).expect("conditions")
    }

    #[test]
    fn one_is_written_as_it_always_was_and_several_as_a_list() {
        for json in [
            r#"{"total_at_least":{"kind":"deposit","amount":"100.00","within_days":30}}"#,
            r#"{"total_at_least":[{"kind":"deposit","amount":"100.00"},{"kind":"trade","quantity":"2"}]}"#,
            r#"{"total_at_least":{"kind":"bet","count":5,"within_days":30}}"#,
        ] {
            let again = serde_json::to_string(&written(json)).expect("it can be written");
            assert_eq!(again, json);
        }
    }

    #[test]
    fn a_misspelt_key_in_a_total_is_named_where_it_stands() {
        let text = "total_at_least = [\n  { kind = 'deposit', amount = '1.00' },\n  { kind = 'bet', cuont = 5 },\n]";
        let error = toml::from_str::<When>(text).expect_err("a typo");
        let told = error.to_string();
        assert!(told.contains("cuont") && told.contains("line 3"), "{told}");
    }
}
