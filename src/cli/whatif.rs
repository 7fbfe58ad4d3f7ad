//! `postbook whatif`: what draft programme files would change, to the cent, before anybody adopts it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use postbook_schemas::Instant;
use serde_json::{Value, json};

use super::{
    apply::parse,
    exit::{CliError, Exit},
    global::Global,
    output, own,
    scratch::Scratch,
    through::{Remote, Through},
};
use crate::{
    commands::{
        programme::apply::read_files,
        whatif::{self, Drafts, WhatifError, changed},
    },
    service::Service,
    whatif::{Format, Whatif},
};

/// Tries programme files on the log: what they would change, for whom and why. Writes nothing.
#[derive(Debug, Args)]
pub(super) struct WhatifVerb {
    /// Files, or directories of which all *.toml are taken in order; or the hash of a what-if to show
    #[arg(required_unless_present = "derivation", value_name = "PATH|HASH")]
    paths: Vec<PathBuf>,
    /// As if terms and coupons in them held from then on
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Instant>,
    /// Try another version of the derivation
    #[arg(long, value_name = "VERSION")]
    derivation: Option<u32>,
    /// In which form; a table if absent
    #[arg(long, value_name = "FORM")]
    format: Option<Form>,
    #[command(flatten)]
    through: Through,
}

/// The forms besides the table.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Json,
    Csv,
    Html,
}

fn time(text: &str) -> Result<Instant, String> {
    let day = || Instant::parse_rfc3339(&format!("{text}T00:00:00Z"));
    let parsed = Instant::parse_rfc3339(text).or_else(day);
    parsed
        .ok_or_else(|| "write a day or RFC 3339, as 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())
}

impl WhatifVerb {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let form = match self.format {
            None if global.json => Some(Form::Json),
            form => form,
        };
        if let Some(remote) = self.through.remote()? {
            return self.there(&remote, form).await;
        }
        let made = match self.hash() {
            Some(hash) => kept(hash, global).await?,
            None => self.tried(global).await?,
        };
        match form {
            Some(form) => document(&made, form),
            None => show(&made.to_json(0, LINES_SHOWN)),
        }
    }

    /// Tries the files, with the service of the data directory; beside a process that has the log, with
    /// one that only reads.
    async fn tried(&self, global: &Global) -> Result<Whatif, CliError> {
        let files = read_all(&self.paths).and_then(|texts| parse(&texts))?;
        let drafts = Drafts {
            files,
            from: self.from,
            derivation: self.derivation,
        };
        match own::open(global).await {
            Ok(service) => self.tried_by(&service, drafts).await,
            Err(error) if error.exit == Exit::Unavailable => {
                let scratch = Scratch::try_new(&global.data, "whatif")?;
                let service = own::open_beside(global, scratch.path()).await?;
                output::note(
                    "note: the running server has the log, so all of it is derived again: faster with --server",
                );
                self.tried_by(&service, drafts).await
            }
            Err(error) => Err(error),
        }
    }

    async fn tried_by(&self, service: &Service, drafts: Drafts) -> Result<Whatif, CliError> {
        let author = self.through.author("postbook whatif");
        let made = match own::caught_up(service).await {
            Ok(()) => whatif::whatif(service, &author, drafts)
                .await
                .map_err(failed),
            Err(error) => Err(error),
        };
        service.shut_down().await;
        made
    }

    /// The hash of a what-if, if that is what was given.
    fn hash(&self) -> Option<&str> {
        let [only] = self.paths.as_slice() else {
            return None;
        };
        let text = only.to_str()?;
        let is_hash = (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        (is_hash && !only.exists()).then_some(text)
    }

    async fn there(&self, remote: &Remote, form: Option<Form>) -> Result<(), CliError> {
        let hash = if let Some(hash) = self.hash() {
            hash.to_owned()
        } else {
            let texts = read_all(&self.paths)?;
            let files = texts
                .iter()
                .map(|(name, text)| json!({"name": name, "text": text}));
            let files: Vec<_> = files.collect();
            let body = json!({"files": files, "from": self.from, "derivation": self.derivation});
            let made = remote.post("/v1/whatifs", &body).await?;
            let hash = made["hash"].as_str().map(str::to_owned);
            hash.ok_or_else(|| CliError::failed("the server answered no hash"))?
        };
        let suffix = match form {
            None | Some(Form::Json) => "",
            Some(Form::Csv) => ".csv",
            Some(Form::Html) => ".html",
        };
        let answer = remote.get(&format!("/v1/whatifs/{hash}{suffix}")).await?;
        match form {
            None => show(&answer.json()),
            Some(Form::Json) => output::json(&answer.json()),
            Some(Form::Csv | Form::Html) => {
                output::document(String::from_utf8_lossy(&answer.body).trim_end())
            }
        }
    }
}

/// The what-if of a hash. Neither log nor read models are needed for it.
async fn kept(hash: &str, global: &Global) -> Result<Whatif, CliError> {
    let whatifs = global.options().whatifs()?;
    whatif::find(&whatifs, hash).await.map_err(failed)
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<(String, String)>, CliError> {
    let mut texts = Vec::new();
    for path in paths {
        let read = read_files(path);
        texts.extend(read.map_err(|error| {
            CliError::failed(format!("{} cannot be read: {error}", path.display()))
        })?);
    }
    Ok(texts)
}

fn document(made: &Whatif, form: Form) -> Result<(), CliError> {
    let format = match form {
        Form::Json => return output::json(&made.to_json(0, usize::MAX)),
        Form::Csv => Format::Csv,
        Form::Html => Format::Html,
    };
    let bytes = made.document(format);
    output::document(String::from_utf8_lossy(&bytes).trim_end())
}

/// How many lines are shown to people; the others are in the other forms.
const LINES_SHOWN: usize = 50;

fn show(made: &Value) -> Result<(), CliError> {
    for definition in list(made, "definitions") {
        let details: Vec<_> = list(definition, "details")
            .filter_map(Value::as_str)
            .collect();
        output::line(&format!(
            "tries {}: {}",
            text(definition, "subject"),
            details.join(", ")
        ))?;
    }
    output::line("")?;
    let totals = list(made, "totals")
        .flat_map(total_rows)
        .chain(list(made, "partners").flat_map(total_rows));
    let headers = [
        "of",
        "lines of",
        "months",
        "lines",
        "old",
        "new",
        "difference",
    ];
    output::line(&output::table(&headers, totals, 3))?;
    output::line("")?;
    let shown = list(made, "items").take(LINES_SHOWN).map(line_row);
    let headers = [
        "month",
        "posted in",
        "partner",
        "conversion",
        "rule",
        "why",
        "old",
        "new",
        "difference",
    ];
    output::line(&output::table(&headers, shown, 6))?;
    let (count, shown) = (made["lines"].as_u64().unwrap_or(0), LINES_SHOWN as u64);
    if count > shown {
        output::line(&format!("… and {} more lines: --format csv", count - shown))?;
    }
    output::line("")?;
    output::line(&format!("hash {}", text(made, "hash")))?;
    output::note(
        "nothing was written; another person adopts it: postbook adopt HASH --reason TEXT",
    );
    Ok(())
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn total_rows(total: &Value) -> Vec<Vec<String>> {
    let of = total["of"].as_str().unwrap_or("all");
    let rows = ["open", "closed"].into_iter().filter_map(|months| {
        let sums = &total[months];
        (sums["lines"].as_u64() != Some(0)).then(|| {
            vec![
                of.to_owned(),
                text(total, "line").to_owned(),
                months.to_owned(),
                sums["lines"].to_string(),
                money(sums, "old_minor", total),
                money(sums, "new_minor", total),
                money(sums, "difference_minor", total),
            ]
        })
    });
    rows.collect()
}

fn line_row(row: &Value) -> Vec<String> {
    let conversion = row["txn_id"].as_str().or(row["conversion_id"].as_str());
    let why: Vec<_> = list(row, "reasons").filter_map(Value::as_str).collect();
    let name = |value: &Value| value.as_str().unwrap_or("nobody").to_owned();
    let credited = row.get("credited").filter(|credited| credited.is_object());
    let credited = credited.map(|it| format!(" {} → {}", name(&it["old"]), name(&it["new"])));
    vec![
        text(row, "period").to_owned(),
        text(row, "posted_in").to_owned(),
        text(row, "partner").to_owned(),
        conversion.unwrap_or("end of the month").to_owned(),
        row["rule"].as_str().unwrap_or(text(row, "line")).to_owned(),
        format!("{}{}", why.join(" "), credited.unwrap_or_default()),
        money(row, "old_minor", row),
        money(row, "new_minor", row),
        money(row, "difference_minor", row),
    ]
}

fn money(value: &Value, key: &str, of: &Value) -> String {
    let minor = value.get(key).and_then(Value::as_i64).unwrap_or(0);
    match text(of, "currency").parse() {
        Ok(currency) => output::money(minor, currency),
        Err(_) => minor.to_string(),
    }
}

/// An error of a what-if, with what has changed if the log has moved on.
pub(super) fn failed(error: WhatifError) -> CliError {
    match error {
        WhatifError::Command(error) => error.into(),
        WhatifError::Problems(_) => CliError::new(Exit::Refused, error),
        WhatifError::MovedOn { was, now } => {
            let changed = changed(&was, &now);
            let message = format!(
                "the log has moved on since: {} lines would change now that would not have, {} would not any more, {} would \
                 change otherwise\nnothing was adopted; look at it again and adopt that: postbook whatif {}",
                changed.added.len(),
                changed.gone.len(),
                changed.other.len(),
                now.hash
            );
            CliError::new(Exit::Refused, message)
        }
        WhatifError::Projector(error) => error.into(),
        WhatifError::Programme(error) => error.into(),
        WhatifError::Kept(_) | WhatifError::Unknown(_) => CliError::failed(error),
    }
}
