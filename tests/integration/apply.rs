//! Programme files: what is refused and with which words, and that applying twice changes nothing.

use std::fmt::Write as _;

use postbook::commands::programme::{Known, Plan, Problem, ProgrammeFile, plan};
use postbook_schemas::{Envelope, Fact, Instant, Slug, Source};

const BASE: &str = include_str!("../data/programme/base.toml");
const ERRORS: &str = "tests/data/programme/errors.txt";

fn plan_text(name: &str, text: &str, known: &Known) -> Result<Plan, Vec<Problem>> {
    let file = ProgrammeFile::try_new(name, text).map_err(|problem| vec![problem])?;
    plan(vec![file], known)
}

/// What is known once a plan was applied at this time.
fn apply(known: &mut Known, plan: Plan, micros: i64) {
    for (index, change) in plan.changes.into_iter().enumerate() {
        known.fold(envelope(micros, index as u128, change.fact));
    }
}

fn envelope(micros: i64, id: u128, fact: Fact) -> Envelope {
    Envelope {
        id: uuid::Uuid::from_u128(id),
        occurred_at: Instant::from_micros(micros),
        recorded_at: Instant::from_micros(micros),
        actor: "test".to_owned(),
        source: Source::default(),
        reason: None,
        fact,
    }
}

fn base() -> Known {
    let mut known = Known::default();
    let plan = plan_text("base.toml", BASE, &known).expect("the base is right");
    apply(&mut known, plan, 1);
    known
}

#[test]
fn every_problem_is_told_with_file_line_and_key() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(ERRORS);
    let table = std::fs::read_to_string(&path).expect("the table is there");
    let mut known = base();
    known.has_history(Slug::try_new("p1").expect("a slug"));
    let (head, cases) = table.split_once("== ").expect("the table has cases");
    let mut told = head.to_owned();
    for case in cases.split("\n== ") {
        let (title, rest) = case.split_once('\n').expect("a title and a file");
        let (file, _) = rest.split_once("\n--\n").expect("a file and its problems");
        let problems = plan_text("case.toml", file, &known).expect_err(title);
        _ = writeln!(told, "== {title}\n{file}\n--");
        for problem in problems {
            _ = writeln!(told, "{problem}");
        }
        told.push('\n');
    }
    if std::env::var_os("POSTBOOK_BLESS").is_some() {
        std::fs::write(&path, format!("{}\n", told.trim_end())).expect("it can be written");
        return;
    }
    for (line, (told, expected)) in told.trim_end().lines().zip(table.lines()).enumerate() {
        assert_eq!(told, expected, "{ERRORS}:{}", line + 1);
    }
    assert_eq!(
        told.trim_end().lines().count(),
        table.trim_end().lines().count()
    );
}

#[test]
fn applying_twice_changes_nothing() {
    let known = base();
    let again = plan_text("base.toml", BASE, &known).expect("the base is right");
    assert!(again.is_empty(), "{again}");
    assert_eq!(again.unchanged, 6);
}

#[test]
fn a_change_is_shown_key_by_key() {
    let text = BASE.replace(
        "partner = \"p1\"\n",
        "partner = \"p0\"\ncampaign = \"spring\"\n",
    );
    let plan = plan_text("base.toml", &text, &base()).expect("it is right");
    assert_eq!(
        plan.to_string(),
        "~ link abc: campaign none → spring, partner p1 → p0\n= 5 unchanged"
    );
}

#[test]
fn terms_published_again_with_other_content_are_a_new_version() {
    let terms = |amount: &str| {
        format!(
            "[[terms]]\noffer = \"acme/casino\"\neffective_from = 2026-01-01T00:00:00Z\n\n\
             [[terms.rule]]\nid = \"r\"\non = \"ftd\"\ncpa = \"{amount}\"\n"
        )
    };
    let mut known = base();
    let first = plan_text("terms.toml", &terms("250.00"), &known).expect("it is right");
    assert_eq!(
        first.to_string(),
        "+ terms of acme/casino for * from 2026-01-01: version t-49eaf4496e8a, 1 rule\n= 0 unchanged"
    );
    apply(&mut known, first, 2);
    let same = plan_text("terms.toml", &terms("250.00"), &known).expect("it is right");
    assert!(same.is_empty(), "{same}");
    let other = plan_text("terms.toml", &terms("275.00"), &known).expect("it is right");
    assert_eq!(
        other.to_string(),
        "~ terms of acme/casino for * from 2026-01-01: version t-49eaf4496e8a → t-f185c3871acf, rule r cpa 250.00 → 275.00\n= 0 unchanged"
    );
    apply(&mut known, other, 3);
    let back = plan_text("terms.toml", &terms("250.00"), &known).expect("it is right");
    assert_eq!(back.changes.len(), 1, "going back is a change too: {back}");
}

#[test]
fn the_newest_definition_holds_in_whatever_order_facts_are_read() {
    let of = |campaign: &str| {
        let text = BASE.replace(
            "partner = \"p1\"\n",
            &format!("partner = \"p1\"\ncampaign = \"{campaign}\"\n"),
        );
        plan_text("base.toml", &text, &Known::default()).expect("it is right")
    };
    let mut known = Known::default();
    apply(&mut known, of("new"), 2);
    apply(&mut known, of("old"), 1);
    let text = BASE.replace(
        "partner = \"p1\"\n",
        "partner = \"p1\"\ncampaign = \"new\"\n",
    );
    let plan = plan_text("base.toml", &text, &known).expect("it is right");
    assert!(plan.is_empty(), "{plan}");
}

#[test]
fn an_offer_without_a_currency_has_that_of_its_brand() {
    let text = BASE.replace("slug = \"acme\"\n", "slug = \"acme\"\ncurrency = \"EUR\"\n");
    let plan = plan_text("base.toml", &text, &Known::default()).expect("it is right");
    let currencies: Vec<_> = plan
        .changes
        .iter()
        .filter_map(|change| match &change.fact {
            Fact::OfferDefined(offer) => Some(offer.currency.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(currencies, ["EUR", "JPY"]);
}

#[test]
fn files_may_refer_to_each_other() {
    let brand = ProgrammeFile::try_new("a.toml", "[[brand]]\nslug = \"x\"\n").expect("a file");
    let offer = "[[offer]]\nbrand = \"x\"\nslug = \"y\"\ndestination = \"https://x.example/\"\n";
    let offer = ProgrammeFile::try_new("b.toml", offer).expect("a file");
    let plan = plan(vec![offer, brand], &Known::default()).expect("they fit together");
    let subjects: Vec<_> = plan.changes.iter().map(|change| &*change.subject).collect();
    assert_eq!(subjects, ["brand x", "offer x/y"]);
}

#[test]
fn the_example_programme_is_right() {
    let text = include_str!("../../examples/programme.toml");
    let plan = plan_text("programme.toml", text, &Known::default());
    let plan = plan.unwrap_or_else(|problems| panic!("{problems:?}"));
    let count = |kind: &str| {
        let of_kind = |subject: &&str| subject.starts_with(kind);
        (plan.changes.iter().map(|change| &*change.subject))
            .filter(of_kind)
            .count()
    };
    assert_eq!(
        (count("brand"), count("offer"), count("partner")),
        (2, 4, 6)
    );
}

#[test]
fn the_plan_of_a_mapping_shows_each_field_and_word() {
    let mapping = |rest: &str| format!("[[mapping]]\noffer = \"acme/casino\"\n{rest}");
    let mut known = base();
    let shown = |text: &str, known: &Known| {
        let plan = plan_text("m.toml", text, known).expect("it is right");
        (plan.to_string(), plan)
    };
    let first = mapping(
        "preset = \"voluum\"\nfields = { txn_id = \"tid\", customer_id = [\"u\", \"cid2\"] }",
    );
    let (text, plan) = shown(&first, &known);
    assert_eq!(
        text,
        "+ mapping acme/casino: amount_unit = major, events.conversion = sale, events.deposit = deposit, \
         events.lead = lead, events.purchase = sale, events.registration = registration, \
         events.signup = registration, fields.amount = payout, fields.click_id = cid, \
         fields.currency = currency, fields.customer_id = u or cid2, fields.event = et, \
         fields.payout = nothing, fields.txn_id = tid, preset = voluum\n= 0 unchanged"
    );
    apply(&mut known, plan, 2);
    assert_eq!(shown(&first, &known).0, "= 1 unchanged");
    let second = mapping(
        "fields = { click_id = \"cid\", txn_id = \"txid\" }\nstatuses = { ja = \"approved\" }",
    );
    let (text, plan) = shown(&second, &known);
    assert!(
        text.starts_with("~ mapping acme/casino: amount_unit major → none, "),
        "{text}"
    );
    assert!(text.contains("fields.txn_id tid → txid"), "{text}");
    assert!(text.contains("statuses.ja = approved"), "{text}");
    assert!(!text.contains("fields.click_id"), "{text}");
    apply(&mut known, plan, 3);
    let (text, plan) = shown(&mapping(""), &known);
    assert_eq!(
        text,
        "~ mapping acme/casino: taken away: the standard names hold again\n= 0 unchanged"
    );
    apply(&mut known, plan, 4);
    assert_eq!(shown(&mapping(""), &known).0, "= 1 unchanged");
}
