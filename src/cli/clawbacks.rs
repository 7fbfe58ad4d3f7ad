//! `postbook clawbacks`: what partners owe, and what became of it.

use clap::Args;
use postbook_schemas::{Currency, OfferRef, Slug};
use serde::Serialize;

use super::{exit::CliError, global::Global, output, reader::Reader};
use crate::{
    clock::{Clock, SystemClock},
    commands::clawbacks::{self, Clawback, ClawbackTotal},
    tables::query::clawbacks::ClawbackFilter,
};

/// Lists what was clawed back after it was paid, and what became of it.
#[derive(Debug, Args)]
pub(super) struct Clawbacks {
    /// Only of this partner
    #[arg(long, value_name = "PARTNER")]
    partner: Option<Slug>,
    /// Only of this offer
    #[arg(long, value_name = "BRAND/OFFER")]
    offer: Option<OfferRef>,
    /// Only what is neither recovered nor written off
    #[arg(long)]
    outstanding: bool,
}

impl Clawbacks {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::open(global).await?;
        let filter = ClawbackFilter {
            partner: self.partner,
            offer: self.offer,
        };
        let now = SystemClock.now();
        let found = clawbacks::list(&reader.tables, &*reader.store, &filter, now).await;
        reader.close().await;
        let mut items = found?;
        if self.outstanding {
            items.retain(|clawback| clawback.outstanding_minor != 0);
        }
        let totals = clawbacks::totals(&items);
        if global.json {
            return output::json(&Answer { items, totals });
        }
        output::line(&lines(&items))?;
        output::line(&sums(&totals))
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Answer {
    items: Vec<Clawback>,
    totals: Vec<ClawbackTotal>,
}

fn lines(items: &[Clawback]) -> String {
    let rows = items.iter().map(|item| {
        let mut row = vec![
            item.partner.clone(),
            item.offer.clone(),
            item.rule.clone(),
            item.txn_id.clone().unwrap_or_default(),
            item.reason.clone(),
            item.since.map(output::time).unwrap_or_default(),
            item.currency.clone(),
        ];
        row.extend(amounts(
            &item.currency,
            [
                item.clawed_back_minor,
                item.recovered_minor,
                item.written_off_minor,
                item.outstanding_minor,
            ],
        ));
        row
    });
    let headers = [
        "partner",
        "offer",
        "rule",
        "transaction",
        "reason",
        "since",
        "currency",
        "clawed back",
        "recovered",
        "written off",
        "outstanding",
    ];
    output::table(&headers, rows, 7)
}

fn sums(totals: &[ClawbackTotal]) -> String {
    let rows = totals.iter().map(|total| {
        let mut row = vec![
            total.by.to_owned(),
            total.name.clone(),
            total.currency.clone(),
        ];
        row.extend(amounts(
            &total.currency,
            [
                total.clawed_back_minor,
                total.recovered_minor,
                total.written_off_minor,
                total.outstanding_minor,
            ],
        ));
        row
    });
    let headers = [
        "by",
        "total",
        "currency",
        "clawed back",
        "recovered",
        "written off",
        "outstanding",
    ];
    output::table(&headers, rows, 3)
}

fn amounts(currency: &str, minor: [impl Into<i128>; 4]) -> [String; 4] {
    let currency = Currency::from_code(currency);
    let minor = minor.map(Into::into);
    minor.map(|minor: i128| currency.map_or_else(|| minor.to_string(), |it| it.format_major(minor)))
}
