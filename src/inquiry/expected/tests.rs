//! What is expected beside what was received, under standard names and mappings.

use postbook_schemas::{Attempt, RawRequest, mapping::Mapping};

use super::*;

fn rejected(outcome: Outcome, field: Option<&str>, body: &str) -> Rejected {
    Rejected {
        outcome,
        detail: String::new(),
        field: field.map(str::to_owned),
        offer: None,
        references: postbook_schemas::postback::References::default(),
        attempt: Attempt {
            request: RawRequest {
                method: "POST".to_owned(),
                path: "/postback".to_owned(),
                body: Some(body.to_owned()),
                ..RawRequest::default()
            },
            ..Attempt::default()
        },
    }
}

fn told(outcome: Outcome, field: Option<&str>, body: &str) -> Vec<String> {
    told_under(Under::Standard, outcome, field, body)
}

fn told_under(under: Under<'_>, outcome: Outcome, field: Option<&str>, body: &str) -> Vec<String> {
    let rows = beside_received(&rejected(outcome, field, body), None, under);
    let line = |row: Expected| {
        let label = row.label();
        let received = row.received.unwrap_or_else(|| "nothing".to_owned());
        let mark = if row.at_fault { "!" } else { " " };
        format!("{mark}{label} ← {received}: {}", row.expected)
    };
    rows.into_iter().map(line).collect()
}

#[test]
fn the_field_at_fault_comes_first_with_what_it_should_be() {
    let rows = told(
        Outcome::InvalidValue,
        Some("amount"),
        r#"{"click_id":"a","amount":49.990}"#,
    );
    assert_eq!(
        rows,
        [
            "!amount ← 49.990: decimal major units with at most 2 decimals for USD",
            " click_id ← a: the id that the destination was handed as cid, at most 256 \
                 characters",
        ]
    );
    let yen = r#"{"currency":"JPY","amount":"1.5"}"#;
    let rows = told(Outcome::InvalidValue, Some("amount"), yen);
    assert!(rows[0].ends_with("at most 0 decimals for JPY"), "{rows:?}");
}

#[test]
fn what_is_missing_is_shown_beside_names_that_other_trackers_use() {
    let rows = told(
        Outcome::MissingField,
        Some("click_id"),
        "cid=k3&Amount=1&x=2",
    );
    assert!(rows[0].starts_with("!click_id ← nothing"), "{rows:?}");
    assert!(rows[1].starts_with(" coupon_code ← nothing"), "{rows:?}");
    assert!(rows[3].contains("amount may be meant"), "{rows:?}");
    assert!(rows[4].contains("click_id may be meant"), "{rows:?}");
    assert!(rows[5].contains("it is only kept"), "{rows:?}");
}

fn rules() -> Rules {
    let mapping: Mapping = toml::from_str(
            r#"
            offer = "acme/casino"
            fields = { amount = ["sum", "data.total"], txn_id = "tid", event = "what", status = "what", click_id = "cid", payout = [] }
            amount_unit = "minor"
            events = { dep = "ftd" }
            statuses = { "1" = "approved" }
            timestamp_format = "%d.%m.%Y"
            defaults = { currency = "EUR" }
            "#,
        )
        .expect("a mapping");
    Rules::draft(&mapping)
}

#[test]
fn under_a_mapping_its_names_units_and_words_are_expected() {
    let rules = rules();
    let under = Under::Mapping(&rules);
    let rows = told_under(
        under,
        Outcome::InvalidValue,
        Some("amount"),
        r#"{"data":{"total":"49,90","x":1},"what":"nonsense","amount":1,"transaction_id":"t","when":"x","timestamp":"1.2.26"}"#,
    );
    assert_eq!(
        rows,
        [
            "!data.total (amount) ← 49,90: whole minor units of USD, without a point",
            " amount ← 1: nothing: the mapping reads amount from sum or data.total",
            " data.x ← 1: nothing: no field has this name, it is only kept",
            " timestamp ← 1.2.26: a time written as %d.%m.%Y; at most a day ahead",
            " transaction_id ← t: nothing: no field has this name, txn_id may be meant (the \
                 mapping reads it from tid)",
            " what (event, status) ← nonsense: event: dep (ftd), or one of registration, lead, \
                 install, kyc, ftd, deposit, sale, subscription, renewal, revenue, trade, \
                 challenge_purchase, reactivation, or a change as refund or status; without it: \
                 sale; status: 1 (approved), or pending, approved, rejected, reversed or a common \
                 synonym",
            " when ← x: nothing: no field has this name, it is only kept",
        ]
    );
    let rows = told_under(under, Outcome::MissingField, Some("click_id"), "x=1");
    assert!(rows[0].starts_with("!cid (click_id) ← nothing"), "{rows:?}");
    let rows = told_under(under, Outcome::InvalidValue, Some("payout"), "x=1");
    assert_eq!(
        rows[0],
        "!payout ← nothing: nothing: the mapping reads payout from nowhere"
    );
}

#[test]
fn a_mapping_that_is_not_kept_is_not_guessed_at() {
    let rows = told_under(
        Under::Unkept,
        Outcome::InvalidValue,
        Some("amount"),
        r#"{"Total":"4,9"}"#,
    );
    assert_eq!(
        rows,
        [
            format!("!amount ← nothing: {UNKEPT}"),
            format!(" Total ← 4,9: {UNKEPT}")
        ]
    );
}
