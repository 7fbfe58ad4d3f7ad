//! The two endpoints of postbacks, by GET and POST: fields, credentials, answers.

use serde_json::{Map, Value, json};

use super::parameters;
use crate::intake::fields::Name;

/// The paths with their operations.
pub(super) fn paths() -> Map<String, Value> {
    let own = ["brand", "offer"].map(|name| {
        let schema = json!({ "type": "string", "pattern": format!("^{}$", parameters::SLUG) });
        let example = if name == "brand" { "acme" } else { "casino" };
        json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
    });
    let mut paths = Map::new();
    paths.insert("/postback".to_owned(), methods(&[], &Endpoint::Postback));
    paths.insert(
        "/api/postback/{brand}/{offer}".to_owned(),
        methods(&own, &Endpoint::Offer),
    );
    paths
}

/// Which of the two.
enum Endpoint {
    Postback,
    Offer,
}

fn methods(own: &[Value], endpoint: &Endpoint) -> Value {
    let mut parameters: Vec<Value> = own.to_vec();
    parameters.extend(
        Name::ALL
            .iter()
            .filter(|name| endpoint.takes(**name))
            .map(|name| query_parameter(*name)),
    );
    parameters.extend(headers());
    let operation = json!({
        "tags": ["intake"],
        "summary": "Takes a postback.",
        "description": "Fields come in the query, a form or a JSON object, in any mixture; each at most once. A report needs one of \
            `click_id`, `coupon_code` and `customer_id`; a change needs one of these or the `txn_id` it changes. Other parameters are kept with the request.",
        "parameters": parameters,
        "security": endpoint.security(),
        "responses": endpoint.taken(),
    });
    let mut post = operation.clone();
    post["requestBody"] = body(endpoint);
    json!({ "get": operation, "post": post })
}

impl Endpoint {
    fn takes(&self, name: Name) -> bool {
        match name {
            Name::Offer => matches!(self, Self::Postback),
            // A credential, and described as such.
            Name::Secret => false,
            _ => true,
        }
    }

    fn security(&self) -> Value {
        let signed = [
            "tds_signature",
            "tds_signature_parameter",
            "standard_webhooks",
        ];
        let own: &[&str] = match self {
            Self::Postback => &["token"],
            Self::Offer => &["secret_header", "secret_parameter", "token"],
        };
        let ways = own
            .iter()
            .copied()
            .chain(signed)
            .map(|way| json!({ way: [] }));
        let mut ways: Vec<Value> = ways.collect();
        if matches!(self, Self::Offer) {
            // Of offers that say `legacy_without_secret`.
            ways.push(json!({}));
        }
        ways.into()
    }

    fn taken(&self) -> Value {
        let (schema, example) = match self {
            Self::Postback => (
                "Taken",
                json!({
                    "status": "ok", "click_id": "k3p9x7qWmB", "campaign": "spring-sale", "matched": true,
                    "conversion_id": "01970000-0000-7000-8000-000000000068",
                }),
            ),
            Self::Offer => (
                "OfferTaken",
                json!({ "data": { "status": "ok", "conversionId": "01970000-0000-7000-8000-000000000068" } }),
            ),
        };
        let answer = |description: &str, example: Option<&Value>| {
            let mut content =
                json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
            if let Some(example) = example {
                content["example"] = example.clone();
            }
            let warning = json!({ "schema": { "type": "string" }, "description": "What the sender should know all the same." });
            json!({ "description": description, "content": { "application/json": content }, "headers": { "Warning": warning } })
        };
        json!({
            "200": answer("It is in the log: `ok`, `duplicate` (it was there already) or `sandbox` (test traffic).", Some(&example)),
            "202": answer("`parked`: a change that came before its conversion; it takes effect when that arrives.", None),
        })
    }
}

fn query_parameter(name: Name) -> Value {
    let (schema, description) = field(name);
    json!({ "name": name.as_str(), "in": "query", "required": false, "schema": schema, "description": description })
}

fn headers() -> impl Iterator<Item = Value> {
    let headers = [
        (
            "Idempotency-Key",
            "Recognises a repeat where the fields give no key.",
            json!({ "type": "string", "maxLength": 256 }),
        ),
        (
            "X-TDS-Timestamp",
            "When it was signed, if that is signed as well.",
            json!({ "type": "string" }),
        ),
        (
            "webhook-id",
            "The message's own id, the same over all tries.",
            json!({ "type": "string" }),
        ),
        (
            "webhook-timestamp",
            "When it was signed, in seconds since 1970.",
            json!({ "type": "string" }),
        ),
    ];
    headers.into_iter().map(|(name, description, schema)| {
        json!({ "name": name, "in": "header", "required": false, "schema": schema, "description": description })
    })
}

fn body(endpoint: &Endpoint) -> Value {
    let fields = Name::ALL.iter().filter(|name| endpoint.takes(**name));
    let properties: Map<String, Value> = fields
        .map(|name| {
            let (mut schema, description) = field(*name);
            // JSON has values of its own; a form has texts only, and these are texts too.
            schema["type"] = json!(["string", "number", "boolean", "null"]);
            schema["description"] = description.into();
            (name.as_str().to_owned(), schema)
        })
        .collect();
    let mut json_fields = properties.clone();
    let metadata =
        json!({ "type": ["object", "null"], "description": "Kept as received; single values." });
    json_fields.insert("metadata".to_owned(), metadata);
    let examples = match endpoint {
        Endpoint::Postback => json!({
            "purchase": { "value": { "click_id": "k3p9x7qWmB", "event": "purchase", "value": 4990, "currency": "USD", "txn_id": "A-1001" } },
            "refund": { "value": { "offer": "acme/casino", "event": "refund", "txn_id": "A-1001" } },
        }),
        Endpoint::Offer => json!({
            "sale": { "value": { "click_id": "k3p9x7qWmB", "amount": "49.99", "txn_id": "order-12345" } },
        }),
    };
    json!({ "content": {
        "application/json": { "schema": { "type": "object", "properties": json_fields }, "examples": examples },
        "application/x-www-form-urlencoded": { "schema": { "type": "object", "properties": properties } },
    } })
}

/// What a field may be, and what it means.
fn field(name: Name) -> (Value, &'static str) {
    let id = || json!({ "type": "string", "maxLength": 256 });
    let sub = || json!({ "type": "string", "maxLength": 1024 });
    let number = || json!({ "type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$" });
    match name {
        Name::ClickId => (id(), "The click id that was handed on."),
        Name::Event => (
            json!({ "type": "string" }),
            "A built-in kind or a goal of the offer; default: the offer's.",
        ),
        Name::Amount => (
            number(),
            "Money in major units, with at most the decimals of its currency.",
        ),
        Name::Value => (
            json!({ "type": "string", "pattern": "^-?[0-9]+$" }),
            "Money in minor units.",
        ),
        Name::Currency => (
            json!({ "type": "string", "pattern": "^[A-Za-z]{3}$" }),
            "ISO 4217; default: the offer's.",
        ),
        Name::TxnId => (id(), "The advertiser's id of the transaction."),
        Name::EventId => (id(), "The advertiser's id of this very event."),
        Name::CustomerId => (id(), "The advertiser's id of the customer."),
        Name::Status => (
            json!({ "type": "string" }),
            "`pending`, `approved`, `rejected` or `reversed`, or a common synonym.",
        ),
        Name::Payout => (
            number(),
            "Commission that the advertiser calculated, in major units.",
        ),
        Name::Quantity => (number(), "Lots or units."),
        Name::CouponCode => (id(), "The coupon that was used."),
        Name::Sub1 | Name::Sub2 | Name::Sub3 | Name::Sub4 | Name::Sub5 => {
            (sub(), "Passed through.")
        }
        Name::Timestamp => (
            json!({ "type": "string" }),
            "When it happened: RFC 3339, or seconds or milliseconds since 1970.",
        ),
        Name::Offer => (
            parameters::offer(),
            "The offer, where neither click nor token tells it.",
        ),
        Name::Secret => (json!({ "type": "string" }), "The offer's secret."),
        Name::Test => (
            json!({ "type": "string", "enum": ["", "0", "1", "true", "false", "yes", "no"] }),
            "`1`: test traffic, kept and never counted; takes a manager's token.",
        ),
    }
}
