//! `postbook schema`: the generated JSON Schemas, and the presets of mappings.

use std::{fs, path::PathBuf};

use clap::Args;
use postbook_schemas::{json_schema, mapping::presets};

use super::{
    exit::{CliError, Exit},
    output,
};
use crate::http::v1::openapi;

/// Prints or writes the JSON Schemas of facts and programme files, and the OpenAPI description.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// One schema: a fact's type (`ftd.reported`), `programme` or `openapi`; or `presets`, or one
    /// preset as `presets.everflow`; a list of all if absent
    name: Option<String>,
    /// Write all of them below this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
}

/// All generated documents: path and content.
fn documents() -> Vec<(String, String)> {
    let openapi = ("openapi.json".to_owned(), openapi::document());
    json_schema::files().into_iter().chain([openapi]).collect()
}

impl Schema {
    /// Runs the verb.
    pub(super) fn run(&self) -> Result<(), CliError> {
        let documents = documents();
        if let Some(directory) = &self.write {
            for (path, content) in &documents {
                let path = directory.join(path);
                let failed = |error| {
                    CliError::failed(format!("{} cannot be written: {error}", path.display()))
                };
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(failed)?;
                }
                fs::write(&path, content).map_err(failed)?;
            }
            output::note(&format!(
                "{} files written below {}",
                documents.len(),
                directory.display()
            ));
            return Ok(());
        }
        let Some(name) = &self.name else {
            let names = documents.iter().map(|(path, _)| name_of(path));
            let names = names.chain(["presets".to_owned()]);
            return names
                .collect::<Vec<_>>()
                .iter()
                .try_for_each(|name| output::line(name));
        };
        if name == "presets" {
            let mut presets = presets::ALL.iter();
            return presets.try_for_each(|preset| {
                output::line(&format!("{:<10}{}", preset.name, preset.title()))
            });
        }
        if let Some(preset) = name.strip_prefix("presets.").and_then(presets::find) {
            return output::line(preset.text.trim_end());
        }
        let found = documents.iter().find(|(path, _)| name_of(path) == *name);
        let (_, content) = found.ok_or_else(|| {
            CliError::new(
                Exit::NotFound,
                format!("there is no schema `{name}`; `postbook schema` lists them"),
            )
        })?;
        output::line(content.trim_end())
    }
}

/// `facts/ftd.reported.v1.schema.json` is called `ftd.reported`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.strip_suffix(".json").unwrap_or(file);
    let name = name.strip_suffix(".schema").unwrap_or(name);
    match name.rsplit_once(".v") {
        Some((name, version)) if version.bytes().all(|b| b.is_ascii_digit()) => name.to_owned(),
        _ => name.to_owned(),
    }
}
