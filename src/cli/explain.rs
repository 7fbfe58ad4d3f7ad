//! `postbook explain`: everything behind a conversion's earnings, as a tree.

use clap::Args;
use postbook_projections::rows::ConversionRow;
use postbook_schemas::FactId;

use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
    reader::Reader,
};
use crate::{
    commands::explain::{self, Sources},
    tables::{
        Tables,
        query::{Slice, conversions::ConversionFilter},
    },
};

/// How many conversions of one transaction are explained at most: one of each kind.
const CONVERSIONS_MAX: u32 = 100;

/// Explains what a conversion earns, zeros too.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// A conversion's id, or the id of a transaction
    #[arg(value_name = "ID")]
    id: String,
}

impl Explain {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let reader = Reader::deriving(global).await?;
        let explained = explain(&reader, &self.id, global.json).await;
        reader.close().await;
        explained?.iter().try_for_each(|text| output::line(text))
    }
}

async fn explain(reader: &Reader, id: &str, as_json: bool) -> Result<Vec<String>, CliError> {
    let found = find(&reader.tables, &reader.pseudonyms.id(id)).await?;
    if found.is_empty() {
        let message = format!("there is no conversion with the id or transaction `{id}`");
        return Err(CliError::new(Exit::NotFound, message));
    }
    let sources = Sources {
        store: &*reader.store,
        tables: &reader.tables,
        click_ids: &reader.click_ids,
        projector: reader.projector.as_ref(),
    };
    let mut texts = Vec::new();
    for conversion in found {
        let explanation = explain::conversion(sources, conversion, None).await?;
        texts.push(if as_json {
            serde_json::to_string_pretty(&explanation).map_err(CliError::failed)?
        } else {
            explanation.to_string().trim_end().to_owned()
        });
    }
    Ok(texts)
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
