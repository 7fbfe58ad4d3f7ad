//! The terms of generated stories.

use postbook_schemas::{Fact, configuration::TermsPublished, programme::Programme};

/// Terms with every kind of rule; the number chooses price, scope, time, carryover and levels.
pub(super) fn terms(which: u8) -> Fact {
    let pick = |choices: &[&'static str]| choices[usize::from(which) % choices.len()];
    let written = TERMS
        .replace("OFFER", if which.is_multiple_of(2) { "o0" } else { "o1" })
        .replace("SCOPE", pick(&["*", "*", "p1", "*", "p3"]))
        .replace("DAY", &(1 + which % 6).to_string())
        .replace("CARRYOVER", pick(&["carry", "reset", "reset"]))
        .replace("FENCE", pick(&["partner", "offer", "customer", "partner"]))
        .replace("ZONE", pick(&["UTC", "America/New_York", "UTC", "UTC"]))
        .replace("HIGH", high_roller(which))
        .replace("CAPPED", pick(&["month", "day", "life", "month", "day"]))
        .replace("TIERED", pick(&["month", "month", "life", "day", "month"]))
        .replace(
            "REFUND",
            pick(&["full_if_total", "full", "proportional", "keep"]),
        )
        .replace(
            "CHARGED",
            pick(&["full", "proportional", "full", "keep", "full"]),
        )
        .replace("APPROVAL", pick(&["auto", "after 3 days", "status"]))
        .replace("CPA", &(20 + which).to_string())
        .replace("CURRENCY", pick(&["USD", "EUR"]))
        .replace("MODE", pick(&["all", "all", "all", "above", "above"]))
        .replace("ADVANCE", pick(&["false", "false", "true"]))
        .replace(
            "HISTORY",
            pick(&[
                "",
                r#", requires = ["kyc"]"#,
                "",
                ", within_days_of_registration = 30",
                r#", total_at_least = { kind = "sale", count = 2 }"#,
                r#", total_at_least = [{ kind = "sale", amount = "20.00", within_days = 12 }, { kind = "trade", quantity = "2" }]"#,
                r#", total_at_least = { kind = "revenue", amount = "15.00", within_days = 20 }"#,
            ]),
        )
        .replace(
            "TRADED",
            pick(&[
                "",
                r#"when = { total_at_least = { kind = "trade", quantity = "5" } }"#,
                "",
                r#"when = { total_at_least = { kind = "sale", count = 1, within_days = 15 } }"#,
                "",
            ]),
        )
        .replace("LEVEL", pick(&["", "", "level = 1", "level = 2"]));
    let terms = Programme::parse(&written).expect("terms").terms.remove(0);
    Fact::TermsPublished(TermsPublished {
        version: format!("t-{which}"),
        terms,
    })
}

/// Where months below zero are given up and not fenced by customer, mostly all but what high rollers lose.
fn high_roller(which: u8) -> &'static str {
    match which {
        1 | 11 => r#"high_roller_from = "0.50""#,
        5 | 8 => r#"high_roller_from = "2.00""#,
        _ => "",
    }
}

const TERMS: &str = r#"
    [[terms]]
    offer = "acme/OFFER"
    partner = "SCOPE"
    effective_from = 2026-01-0DAYT00:00:00Z
    time_zone = "ZONE"
    carryover = "CARRYOVER"
    fence = "FENCE"
    HIGH

    [[terms.rule]]
    id = "ftd"
    on = "ftd"
    cpa = "CPA.50"
    advance = ADVANCE
    hold_days = 5
    when = { amount_at_least = "5.00"HISTORY }

    [[terms.rule]]
    id = "sale"
    on = "sale"
    revshare = "12.5%"
    group = "g"
    approval = "APPROVAL"
    when = { country = ["DE"] }

    [[terms.rule]]
    id = "sale-cpa"
    on = "sale"
    cpa = "10.00"
    group = "g"
    advance = ADVANCE
    currency = "CURRENCY"
    cap = { count = 2, per = "CAPPED" }
    on_refund = "REFUND"
    on_chargeback = "CHARGED"
    chargeback_fee = "1.00"
    clawback_days = 30

    [[terms.rule]]
    id = "above"
    on = "sale"
    override = "10%"
    LEVEL
    hold_days = 2

    [[terms.rule]]
    id = "revenue"
    on = "revenue"
    revshare = "30%"
    tiers = { by = "amount", per = "TIERED", mode = "MODE", steps = [{ from = "20.00", revshare = "35%" }, { from = "50.00", revshare = "40%" }] }

    [[terms.rule]]
    id = "revenue-above"
    on = "revenue"
    override = "5%"
    cap = { amount = "2.00", per = "CAPPED" }

    [[terms.rule]]
    id = "trade"
    on = "trade"
    per_unit = "4.00"
    TRADED
    tiers = { by = "count", per = "TIERED", mode = "MODE", steps = [{ from = 2, per_unit = "5.00" }] }

    [[terms.rule]]
    id = "registration"
    on = "registration"
    param = true
    max = "5.00"
    cap = { amount = "8.00", per = "life" }

    [[terms.price]]
    id = "sold"
    on = "sale"
    revshare = "50%"
    approval = "APPROVAL"
"#;
