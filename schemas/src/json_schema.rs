//! JSON Schemas of all facts and of programme files, generated from the Rust types.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use crate::{FactType, Instant, envelope::Source, programme::Programme};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn generator() -> SchemaGenerator {
    SchemaGenerator::new(SchemaSettings::draft2020_12())
}

/// The schema of a kept line of this type, envelope included.
pub fn fact_schema(fact_type: FactType) -> Value {
    let mut generator = generator();
    let data = fact_type.data_schema(&mut generator);
    let source = generator.subschema_for::<Source>();
    let instant = generator.subschema_for::<Instant>();
    let definitions = generator.take_definitions(true);
    let mut schema = json!({
        "$schema": DIALECT,
        "title": fact_type.name(),
        "type": "object",
        "properties": {
            "id": { "type": "string", "format": "uuid", "description": "UUIDv7 of the fact" },
            "type": { "const": fact_type.name() },
            "version": { "const": fact_type.version() },
            "occurred_at": instant,
            "recorded_at": instant,
            "actor": { "type": "string", "description": "token, user or part of the system" },
            "source": source,
            "data": data,
        },
        "required": ["id", "type", "version", "occurred_at", "recorded_at", "actor", "source", "data"],
        "additionalProperties": false,
        "$defs": definitions,
    });
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(properties) = properties.filter(|_| is_definition(fact_type)) {
        let reason = json!({ "type": "string", "description": "why it is so from now on" });
        properties.insert("reason".to_owned(), reason);
    }
    schema
}

/// Whether facts of this type say beside their data why: definitions, whose data is what programme
/// files say.
fn is_definition(fact_type: FactType) -> bool {
    matches!(
        fact_type,
        FactType::BrandDefined
            | FactType::OfferDefined
            | FactType::PartnerDefined
            | FactType::LinkDefined
            | FactType::CouponDefined
            | FactType::MappingDefined
            | FactType::FxRateRecorded
            | FactType::TermsPublished
    )
}

/// The schema of a programme file.
pub fn programme_schema() -> Value {
    let schema = generator().into_root_schema_for::<Programme>();
    schema.to_value()
}

/// All generated schema files: path below `schemas/`, and content.
pub fn files() -> Vec<(String, String)> {
    let facts = FactType::ALL.iter().map(|&fact_type| {
        let path = format!(
            "facts/{}.v{}.schema.json",
            fact_type.name(),
            fact_type.version()
        );
        (path, fact_schema(fact_type))
    });
    let programme = ("programme.schema.json".to_owned(), programme_schema());
    facts
        .chain([programme])
        .map(|(path, schema)| (path, format!("{schema:#}\n")))
        .collect()
}
