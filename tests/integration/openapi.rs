//! The description of the HTTP interface says what the router does: every path, every method.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use postbook::{http::door, secrets::Role};
use serde_json::Value;

use super::{support::app::TestApp, v1::PROGRAMME};

fn described() -> Value {
    let document = postbook::http::v1::openapi::document();
    serde_json::from_str(&document).expect("OpenAPI is JSON")
}

/// Each path with its methods, in capitals.
fn operations(document: &Value) -> BTreeMap<&str, BTreeSet<String>> {
    let paths = document["paths"].as_object().expect("there are paths");
    let methods = |item: &Value| {
        let methods = item.as_object().expect("a path has methods").keys();
        methods.map(|method| method.to_uppercase()).collect()
    };
    paths
        .iter()
        .map(|(path, item)| (path.as_str(), methods(item)))
        .collect()
}

/// The paths of a router, out of what it shows of itself: `RouteId(0): "/postback"`.
fn routed(router: &axum::Router) -> BTreeSet<String> {
    let shown = format!("{router:?}");
    let routes = shown.split("RouteId(").filter_map(|text| {
        let (number, rest) = text.split_once("): \"")?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let path = rest.split('"').next()?;
        // How axum answers whatever has no route.
        let is_fallback = path == "/" || path.contains("axum_fallback");
        (is_number && !is_fallback).then(|| path.to_owned())
    });
    routes.collect()
}

#[tokio::test]
async fn every_path_of_the_router_is_described_and_no_other() {
    let app = TestApp::start(PROGRAMME).await;
    let mut routed = routed(app.door.router());
    assert!(
        routed.contains("/healthz"),
        "the router shows itself otherwise now: {routed:?}"
    );
    routed.extend(door::PATHS.map(str::to_owned));
    let document = described();
    let described = operations(&document)
        .into_keys()
        .map(str::to_owned)
        .collect();
    assert_eq!(routed, described);
}

#[tokio::test]
async fn a_method_is_described_if_and_only_if_it_is_taken() {
    let app = TestApp::start(PROGRAMME).await;
    let admin = app.as_role(Role::Admin).await;
    let document = described();
    for (path, methods) in operations(&document) {
        let real = path
            .replace("{id}", "01970000-0000-7000-8000-000000000001")
            .replace("{proposal_id}", "01970000-0000-7000-8000-000000000001")
            .replace("{period}", "2026-01")
            .replace("{format}", "csv")
            .replace("{brand}", "acme")
            .replace("{offer}", "casino")
            .replace("{click_id}", "k3p9x7qWmB")
            .replace("{slug}", "p1");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let request = admin.request(method, &real).body(Body::empty());
            let answer = app.send(request.expect("a request")).await;
            let is_taken = answer.status.as_u16() != 405;
            assert_eq!(
                is_taken,
                methods.contains(method),
                "{method} {path}: {}",
                answer.status
            );
            if is_taken {
                continue;
            }
            let allowed = answer.header(axum::http::header::ALLOW).unwrap_or_default();
            let allowed: BTreeSet<_> = allowed
                .split([',', ' '])
                .filter(|word| !word.is_empty())
                .collect();
            for method in &methods {
                assert!(
                    allowed.contains(method.as_str()),
                    "{path} allows {allowed:?}"
                );
            }
            assert_eq!(
                answer.json()["code"],
                "method_not_allowed",
                "{method} {path}"
            );
        }
    }
}

/// Everything in a document that refers to a part of it.
fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        found.insert(target);
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn what_the_description_refers_to_is_there() {
    let document = described();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for target in &found {
        let pointer = target.strip_prefix('#').expect("it refers to itself");
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
}

#[test]
fn every_operation_has_its_own_name_its_errors_and_its_credentials() {
    let document = described();
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .expect("there are some");
    let (mut names, mut ways) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("a path has methods") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name), "{name} is given twice");
            assert!(
                operation["summary"].is_string(),
                "{method} {path} has no summary"
            );
            for way in operation["security"].as_array().into_iter().flatten() {
                ways.extend(way.as_object().expect("schemes").keys());
            }
            let is_open = operation["security"].is_null();
            let answers = operation["responses"]
                .as_object()
                .expect("there are answers");
            assert_eq!(is_open, !answers.contains_key("401"), "{method} {path}");
            for (status, answer) in answers {
                let is_problem = !answer["content"]["application/problem+json"].is_null();
                assert_eq!(
                    is_problem,
                    status.as_str() >= "400",
                    "{method} {path} {status}"
                );
            }
        }
    }
    assert_eq!(ways, schemes.keys().collect());
}

#[test]
fn the_described_fields_of_a_click_are_those_that_are_taken() {
    let document = described();
    let schema = &document["components"]["schemas"]["ForeignClick"]["properties"];
    let described: BTreeSet<_> = schema
        .as_object()
        .expect("fields")
        .keys()
        .map(String::as_str)
        .collect();
    // serde names the fields that it knows.
    let refused =
        serde_json::from_str::<postbook::intake::click::foreign::ForeignClick>(r#"{"?":1}"#);
    let told = refused.expect_err("there is no such field").to_string();
    let (_, known) = told
        .split_once("expected")
        .expect("it says what it expects");
    let known: BTreeSet<_> = known.split('`').skip(1).step_by(2).collect();
    assert_eq!(described, known);
}

/// Everything that is described by a schema and has an example, with the example.
fn examples<'d>(value: &'d Value, found: &mut Vec<(&'d Value, &'d Value)>) {
    let Some(members) = value.as_object() else {
        let items = value.as_array().into_iter().flatten();
        return items.for_each(|item| examples(item, found));
    };
    // A parameter or a body beside its schema; else the schema itself.
    let schema = members.get("schema").unwrap_or(value);
    found.extend(members.get("example").map(|example| (schema, example)));
    match members.get("examples") {
        Some(Value::Array(examples)) => found.extend(examples.iter().map(|it| (schema, it))),
        Some(Value::Object(named)) => {
            let values = named.values().filter_map(|named| named.get("value"));
            found.extend(values.map(|it| (schema, it)));
        }
        _ => {}
    }
    for (name, member) in members {
        if !["example", "examples"].contains(&name.as_str()) {
            examples(member, found);
        }
    }
}

/// Clients check requests by the description before they send them: once all right addresses of a
/// brand's offer were refused by it.
#[test]
fn every_example_fits_its_own_schema() {
    let document = described();
    let mut found = Vec::new();
    examples(&document, &mut found);
    assert!(found.len() > 20, "{}", found.len());
    for (schema, example) in found {
        let mut whole = schema.clone();
        // Schemas refer to these from the document's root.
        whole["components"] = document["components"].clone();
        let schema = jsonschema::validator_for(&whole).expect("it is a schema");
        let wrong: Vec<_> = schema
            .iter_errors(example)
            .map(|it| it.to_string())
            .collect();
        assert!(wrong.is_empty(), "{example}: {wrong:?}");
    }
}
