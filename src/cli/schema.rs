//! `postbook schema`: the generated JSON Schemas, and the presets of mappings.

use std::{fs, path::PathBuf};

use clap::Args;
use postbook_schemas::{
    json_schema,
    mapping::presets::{self, Preset},
};
use serde_json::json;

use super::{
    exit::{CliError, Exit},
    global::Global,
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
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
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
            return list(&documents, global.json);
        };
        if name == "presets" {
            return list_presets(global.json);
        }
        if let Some(preset) = name.strip_prefix("presets.").and_then(presets::find) {
            return show(preset, global.json);
        }
        let found = documents.iter().find(|(path, _)| name_of(path) == *name);
        let (_, content) = found.ok_or_else(|| {
            CliError::new(
                Exit::NotFound,
                format!("there is no schema `{name}`; `postbook schema` lists them"),
            )
        })?;
        output::document(content.trim_end())
    }
}

/// The names of all documents.
fn list(documents: &[(String, String)], as_json: bool) -> Result<(), CliError> {
    let names = documents.iter().map(|(path, _)| name_of(path));
    let mut names = names.chain(["presets".to_owned()]);
    if as_json {
        let items = names.map(|name| json!({ "name": name }));
        return output::json(&json!({ "items": items.collect::<Vec<_>>() }));
    }
    names.try_for_each(|name| output::line(&name))
}

fn list_presets(as_json: bool) -> Result<(), CliError> {
    let mut presets = presets::ALL.iter();
    if as_json {
        let items = presets.map(|preset| json!({"name": preset.name, "title": preset.title()}));
        return output::json(&json!({ "items": items.collect::<Vec<_>>() }));
    }
    presets.try_for_each(|preset| output::line(&format!("{:<10}{}", preset.name, preset.title())))
}

/// Prints a preset: TOML with comments, which stays a text in JSON.
fn show(preset: &Preset, as_json: bool) -> Result<(), CliError> {
    if as_json {
        let (name, title, text) = (preset.name, preset.title(), preset.text);
        return output::json(&json!({"name": name, "title": title, "text": text}));
    }
    output::document(preset.text.trim_end())
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
