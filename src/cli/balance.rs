//! `postbook balance`: what partners have coming, as of any time and as known at any time.

use std::collections::BTreeMap;

use clap::Args;
use postbook_schemas::{Currency, Instant, Slug};
use serde::Serialize;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
    values,
};
use crate::{
    clock::{Clock, SystemClock},
    commands::programme::apply::known,
    tables::{
        Tables,
        query::balances::{AsOf, Balance},
    },
};

/// Shows balances.
#[derive(Debug, Args)]
pub(super) struct BalanceVerb {
    /// One partner; all if absent
    partner: Option<Slug>,
    /// Count only what took effect by then
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    as_of: Option<Instant>,
    /// Count only what was recorded by then
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    known_at: Option<Instant>,
}

type Rows = Vec<(Slug, BTreeMap<String, Balance>)>;

impl BalanceVerb {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::open(global).await?;
        let defined = known(&*reader.store).await?;
        let partners = match &self.partner {
            Some(partner) if !defined.has_partner(partner) => {
                reader.close().await;
                return Err(CliError::new(
                    Exit::NotFound,
                    format!("there is no partner `{partner}`"),
                ));
            }
            Some(partner) => vec![partner.clone()],
            None => defined.partner_slugs(),
        };
        let as_of = AsOf {
            effective: self.as_of.unwrap_or_else(|| SystemClock.now()),
            known: self.known_at.unwrap_or(Instant::MAX),
        };
        let rows = read(&reader.tables, partners, as_of).await;
        reader.close().await;
        print(&rows?, global.json)
    }
}

/// Balances of these partners.
pub(super) async fn read(
    tables: &Tables,
    partners: Vec<Slug>,
    as_of: AsOf,
) -> Result<Rows, CliError> {
    let mut rows = Vec::new();
    for partner in partners {
        let balances = tables.balances(&partner, as_of).await?;
        rows.push((partner, balances));
    }
    Ok(rows)
}

/// Prints balances.
pub(super) fn print(rows: &Rows, as_json: bool) -> Result<(), CliError> {
    let each = rows.iter().flat_map(|(partner, balances)| {
        balances
            .iter()
            .map(move |(currency, balance)| (partner, currency, balance))
    });
    if as_json {
        let items: Vec<_> = each
            .map(|(partner, currency, b)| item(partner, currency, b))
            .collect();
        return output::json(&BTreeMap::from([("items", items)]));
    }
    let table = each.map(|(partner, currency, balance)| {
        let mut row = vec![partner.to_string(), currency.clone()];
        row.extend(amounts(balance).map(|(_, minor)| in_major(currency, minor)));
        row
    });
    let headers = [
        "partner",
        "currency",
        "pending",
        "held",
        "payable",
        "paid",
        "earned",
        "reversed",
        "clawed back",
        "recovered",
        "written off",
        "outstanding",
        "adjusted",
    ];
    output::line(&output::table(&headers, table, 2))
}

fn amounts(balance: &Balance) -> impl Iterator<Item = (&'static str, i128)> {
    [
        ("pending_minor", balance.pending_minor),
        ("held_minor", balance.held_minor),
        ("payable_minor", balance.payable_minor),
        ("paid_minor", balance.paid_minor),
        ("earned_minor", balance.earned_minor),
        ("reversed_minor", balance.reversed_minor),
        ("clawed_back_minor", balance.clawed_back_minor),
        ("recovered_minor", balance.recovered_minor),
        ("written_off_minor", balance.written_off_minor),
        ("outstanding_minor", balance.outstanding_minor()),
        ("adjusted_minor", balance.adjusted_minor),
    ]
    .into_iter()
}

/// What is told of a balance. Sums may be beyond what a [`serde_json::Value`] holds.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'b> {
    Text(&'b str),
    Minor(i128),
}

fn item<'b>(
    partner: &'b Slug,
    currency: &'b str,
    balance: &Balance,
) -> BTreeMap<&'static str, Told<'b>> {
    let mut item = BTreeMap::from([
        ("partner", Told::Text(partner.as_str())),
        ("currency", Told::Text(currency)),
    ]);
    item.extend(amounts(balance).map(|(name, minor)| (name, Told::Minor(minor))));
    item
}

fn in_major(currency: &str, minor: i128) -> String {
    Currency::from_code(currency).map_or_else(|| minor.to_string(), |it| it.format_major(minor))
}
