//! What a parameter of a name may be, wherever it is taken.

use postbook_projections::rows::PayoutState;
use postbook_schemas::{FactType, Outcome, Status};
use serde_json::{Value, json};

use super::super::fields::{LIMIT_DEFAULT, LIMIT_MAX};

/// Brands, offers, partners and links, see `postbook_schemas::Slug`.
pub(super) const SLUG: &str = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";

/// See `postbook_schemas::Month`; there is no year 0000.
const MONTH: &str = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-(0[1-9]|1[0-2])";

/// Adds to an operation's parameters what their names say.
pub(super) fn complete(path: &str, operation: &mut Value) {
    let parameters = operation.get_mut("parameters");
    for parameter in parameters
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let name = parameter["name"].as_str().unwrap_or_default();
        let known = match (path, name) {
            // A position.
            ("/v1/events", "from") => {
                let position = json!({ "type": "integer", "minimum": 1, "maximum": i64::MAX });
                Some((position, ""))
            }
            // An id, and in which form.
            ("/v1/statements/{id}", "id") => {
                let uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
                let name = format!("^{uuid}(\\.(json|csv|html))?$");
                Some((json!({ "type": "string", "pattern": name }), ""))
            }
            // At least its beginning, and in which form.
            ("/v1/whatifs/{hash}", "hash") => {
                let name = "^[0-9a-f]{8,64}(\\.(json|csv|html))?$";
                Some((json!({ "type": "string", "pattern": name }), ""))
            }
            (_, "hash") => {
                let name = "^[0-9a-f]{8,64}$";
                Some((json!({ "type": "string", "pattern": name }), ""))
            }
            ("/v1/payout-files/{format}", "format") => {
                let formats = json!({ "type": "string", "enum": ["csv", "pain.001"] });
                Some((formats, ""))
            }
            ("/v1/adjustments", "state") => {
                let states = ["proposed", "posted", "declined"];
                Some((one_of(states.into_iter()), ""))
            }
            // Of NDJSON, and not looked at otherwise.
            ("/v1/clicks", "sha256") => None,
            // A segment of the path, whose brand is the one before it.
            (_, "offer") if parameter["in"] == "path" => schema("slug"),
            // Whatever text senders have.
            (_, "Idempotency-Key") if !path.starts_with("/v1/") => None,
            _ => schema(name),
        };
        let Some((schema, description)) = known else {
            continue;
        };
        let in_query = parameter["in"] == "query" && parameter["required"] != true;
        parameter["schema"] = if in_query { or_empty(&schema) } else { schema };
        if parameter["description"].is_null() && !description.is_empty() {
            parameter["description"] = description.into();
        }
    }
}

fn schema(name: &str) -> Option<(Value, &'static str)> {
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": format!("^{pattern}$") });
    Some(match name {
        "offer" => (offer(), "brand/offer"),
        "brand" | "partner" | "slug" => (pattern(SLUG), ""),
        "id" | "conversion" | "attempt_id" | "proposal_id" => {
            (json!({ "type": "string", "format": "uuid" }), "")
        }
        "cursor" => (
            pattern("c[0-7]?[0-9a-f]{1,15}"),
            "`next_cursor` of the page before",
        ),
        "limit" => (
            json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT }),
            "most items of the page",
        ),
        "from" | "to" | "as_of" | "known_at" => (
            json!({ "anyOf": [
                { "type": "string", "format": "date-time" },
                { "type": "integer", "minimum": 0, "maximum": 253_402_300_799_999_u64 },
            ] }),
            "RFC 3339, or seconds or milliseconds since 1970",
        ),
        "sandbox" | "dry_run" | "differs" | "outstanding" => (json!({ "type": "boolean" }), ""),
        "sha256" => (pattern("[0-9a-f]{64}"), ""),
        "period" => (pattern(MONTH), "YYYY-MM"),
        "execution_date" => (json!({ "type": "string", "format": "date" }), ""),
        "outcome" => (
            one_of(Outcome::ALL.iter().map(|outcome| outcome.code())),
            "",
        ),
        "currency" => (pattern("[A-Z]{3}"), "ISO 4217"),
        "line" => (
            json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            "",
        ),
        "status" => (one_of(Status::ALL.iter().map(|status| status.code())), ""),
        "state" => (
            one_of(PayoutState::ALL.iter().map(|state| state.code())),
            "",
        ),
        "type" => (
            one_of(FactType::ALL.iter().map(|fact_type| fact_type.name())),
            "",
        ),
        "Idempotency-Key" => (
            pattern("[\\t -~]{1,256}"),
            "Makes the request recognisable when it is sent again: it is then answered as the first time.",
        ),
        _ => return None,
    })
}

/// `brand/offer`.
pub(super) fn offer() -> Value {
    json!({ "type": "string", "pattern": format!("^{SLUG}/{SLUG}$"), "examples": ["acme/casino"] })
}

fn one_of<'w>(words: impl Iterator<Item = &'w str>) -> Value {
    json!({ "type": "string", "enum": words.collect::<Vec<_>>() })
}

/// An empty value in a query counts as not given.
fn or_empty(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "maxLength": 0 }] })
}
