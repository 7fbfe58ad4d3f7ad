//! `postbook explain`: everything behind an amount, as a tree: of a conversion, a balance, a payout, a statement.

use clap::Args;
use postbook_projections::{explain::Explanation, rows::ConversionRow};
use postbook_schemas::{FactId, Instant, Slug};

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
};
use crate::{
    clock::{Clock, SystemClock},
    commands::{
        explain::{self, Sources},
        explain_sums,
    },
    tables::{
        Tables,
        query::{Slice, balances::AsOf, conversions::ConversionFilter},
    },
};

/// How many conversions of one transaction are explained at most: one of each kind.
const CONVERSIONS_MAX: u32 = 100;

/// Explains what a conversion earns, zeros too; a balance, a payout, the lines of a statement.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The id of a conversion, a transaction, a payout or a statement; or a partner, for its balances
    #[arg(value_name = "ID|PARTNER")]
    id: String,
    /// Of a statement, only this line, from 0
    #[arg(long, value_name = "N")]
    line: Option<usize>,
}

impl Explain {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::deriving(global).await?;
        let explained = explain(&reader, &self, global.json).await;
        reader.close().await;
        explained?.iter().try_for_each(|text| output::line(text))
    }
}

async fn explain(reader: &Reader, asked: &Explain, as_json: bool) -> Result<Vec<String>, CliError> {
    let sources = Sources {
        store: &*reader.store,
        tables: &reader.tables,
        click_ids: &reader.click_ids,
        projector: reader.projector.as_ref(),
    };
    let mut explained = Vec::new();
    for conversion in find(&reader.tables, &reader.pseudonyms.id(&asked.id)).await? {
        explained.push(explain::conversion(sources, conversion, None).await?);
    }
    if explained.is_empty() {
        explained = sums(sources, asked).await?;
    }
    let texts = explained.iter().map(|explanation| {
        if as_json {
            serde_json::to_string_pretty(explanation).map_err(CliError::failed)
        } else {
            Ok(explanation.to_string().trim_end().to_owned())
        }
    });
    texts.collect()
}

/// The payout, statement or balances of what is no conversion.
async fn sums(sources: Sources<'_>, asked: &Explain) -> Result<Vec<Explanation>, CliError> {
    if let Ok(id) = asked.id.parse::<FactId>()
        && let Some(found) = explain_sums::of_id(sources, id, asked.line).await?
    {
        return Ok(found);
    }
    if let Ok(partner) = Slug::try_new(&asked.id)
        && sources.tables.has_partner(&partner).await?
    {
        let now = AsOf {
            effective: SystemClock.now(),
            known: Instant::MAX,
        };
        return Ok(explain_sums::balances(sources, &partner, None, now).await?);
    }
    let message = format!(
        "there is no conversion, transaction, payout, statement or partner `{}`",
        asked.id
    );
    Err(CliError::new(Exit::NotFound, message))
}

async fn find(tables: &Tables, id: &str) -> Result<Vec<ConversionRow>, CliError> {
    if let Ok(id) = id.parse::<FactId>()
        && let Some(conversion) = tables.conversion(id).await?
    {
        return Ok(vec![conversion]);
    }
    let filter = ConversionFilter {
        txn_id: Some(id.to_owned()),
        sandbox: true,
        ..ConversionFilter::default()
    };
    let slice = Slice {
        after: 0,
        limit: CONVERSIONS_MAX,
    };
    Ok(tables.conversions(&filter, slice).await?)
}
