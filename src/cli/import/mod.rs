//! `postbook import`: clicks and postbacks out of a file, each row with its own result.

mod columns;
mod file;
mod results;
mod target;

use std::{
    fs,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use postbook_schemas::OfferRef;

use self::{
    columns::{Column, Columns, Mapping},
    file::Input,
    results::{Results, State, Summary},
    target::Target,
};
use super::{
    exit::{CliError, Exit},
    global::Global,
    output,
};
use crate::rows::{Format, Rows, RowsError};

/// How many rows are sent at once; the results file is behind by at most so many.
const BATCH_ROWS: usize = 1_000;

/// How much of the file is sent at once, in bytes.
const BATCH_BYTES: usize = 4 << 20;

/// Imports clicks or postbacks from a file, row by row.
///
/// A file of results says what became of each row. Whatever stops an import, running it again goes
/// on after the last row that has a result; nothing counts twice.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// What the rows are
    kind: Kind,
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The offer of the rows; of clicks, of those without a link
    #[arg(long, value_name = "BRAND/OFFER", required_if_eq("kind", "postbacks"))]
    offer: Option<OfferRef>,
    /// How the file is written; by default as its name ends
    #[arg(long, value_name = "FORMAT")]
    format: Option<Written>,
    /// What stands between columns of CSV: one character, or `tab`
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Reads a field from a column, as `txn_id=order`; may be repeated
    #[arg(long, value_name = "FIELD=COLUMN")]
    column: Vec<Column>,
    /// A TOML file with the `[[mapping]]` of the offer that the rows are read under, or with pairs
    /// `field = "column"` below `[columns]`; or `current`: the columns are read as over HTTP
    #[arg(long, value_name = "FILE|current")]
    mapping: Option<String>,
    /// Import through the running server at this URL instead of opening the data directory
    #[arg(long, value_name = "URL", requires = "token")]
    server: Option<String>,
    /// An ingest token for the server
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// Where results are written; by default beside the file, as FILE.results.csv
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Say what would become of the rows, and keep nothing
    #[arg(long)]
    dry_run: bool,
}

/// The rows of the file.
type FileRows = Rows<BufReader<fs::File>>;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Written {
    /// Comma-separated values with a row of headers
    Csv,
    /// One JSON object a line
    Ndjson,
}

/// Reads the value of `--delimiter`.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [only] if only.is_ascii() && !b"\"\r\n".contains(only) => Ok(*only),
        _ => Err("one character, or `tab`".to_owned()),
    }
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Clicks made elsewhere, with their own ids
    Clicks,
    /// Conversions and changes, as advertisers report them
    Postbacks,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Postbacks => "postbacks",
        }
    }
}

impl Import {
    /// Runs the verb.
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let mapping = Mapping::read(self.mapping.as_deref())?;
        if self.kind == Kind::Clicks && mapping.own().is_some() {
            let message = "clicks have no [[mapping]]: name their columns below [columns]";
            return Err(CliError::new(Exit::Usage, message));
        }
        let columns = Columns::new(&self.column, &mapping);
        let format = self.format()?;
        let input = Input::open(&self.file)?;
        let rows = Rows::open(input.reader()?, format)?;
        let job = Job {
            kind: self.kind,
            offer: self.offer.as_ref(),
            columns: &columns,
            mapping: mapping.own(),
            file: input.named()?,
            is_dry_run: self.dry_run,
        };
        let target = self.target(&job, global).await?;
        let state = State {
            kind: self.kind.word().to_owned(),
            sha256: input.sha256.clone(),
            offer: self.offer.as_ref().map(ToString::to_string),
            target: Target::name(self.server.as_deref(), global),
            log: None,
            dry_run: self.dry_run,
            mapping: columns.fingerprint(&mapping),
        };
        let summary = self.go_on(&job, &target, state, (rows, input.length)).await;
        target.close().await;
        conclude(&summary?, global.json)
    }

    /// Sends the rows that have no result yet, and adds up what became of all.
    async fn go_on(
        &self,
        job: &Job<'_>,
        target: &Target,
        mut state: State,
        (mut rows, length): (FileRows, u64),
    ) -> Result<Summary, CliError> {
        state.log = target.log().await?;
        let (mut results, done_to) = Results::open(&self.results_path(), &state)?;
        rows.skip_to_after(done_to)?;
        if done_to > 0 {
            output::note(&format!("going on after row {done_to}"));
        }
        let progress = output::progress("bytes", length);
        let sent = job
            .send_all(target, &mut rows, &mut results, &progress)
            .await;
        progress.finish_and_clear();
        sent?;
        results.summary()
    }

    /// How the file is written: as is said, or as its name ends.
    fn format(&self) -> Result<Format, CliError> {
        let ending = self.file.extension().unwrap_or_default();
        let ending = ending.to_ascii_lowercase();
        let told = match ending.to_str() {
            Some("csv" | "tsv" | "txt") => Some(Written::Csv),
            Some("ndjson" | "jsonl" | "json") => Some(Written::Ndjson),
            _ => None,
        };
        match self.format.or(told) {
            Some(Written::Csv) => Ok(Format::Csv {
                delimiter: self.delimiter,
            }),
            Some(Written::Ndjson) => Ok(Format::Ndjson),
            None => {
                let message =
                    "the file's name does not say how it is written: --format csv or ndjson";
                Err(CliError::new(Exit::Usage, message))
            }
        }
    }

    async fn target(&self, job: &Job<'_>, global: &Global) -> Result<Target, CliError> {
        match self.server.as_deref().zip(self.token.as_deref()) {
            Some((url, token)) => Target::server(url, token),
            None => Target::here(job, global).await,
        }
    }

    fn results_path(&self) -> PathBuf {
        self.results.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".results.csv");
            PathBuf::from(name)
        })
    }
}

/// What is done with the rows.
#[derive(Debug)]
struct Job<'j> {
    kind: Kind,
    offer: Option<&'j OfferRef>,
    columns: &'j Columns,
    /// A programme file with the mapping of the rows.
    mapping: Option<&'j str>,
    file: crate::intake::bulk::File,
    is_dry_run: bool,
}

impl Job<'_> {
    async fn send_all(
        &self,
        target: &Target,
        rows: &mut FileRows,
        results: &mut Results,
        progress: &ProgressBar,
    ) -> Result<(), CliError> {
        let rows_max = target.rows_max(self);
        loop {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < rows_max && bytes < BATCH_BYTES {
                let Some(row) = rows.next()? else {
                    break;
                };
                let line = match self.kind {
                    Kind::Clicks => self.columns.click(&row, self.offer),
                    Kind::Postbacks => self.columns.postback(&row),
                };
                bytes += line.as_ref().map_or(0, String::len);
                batch.push((row.number, line));
            }
            if batch.is_empty() {
                return Ok(());
            }
            let answers = target.send(self, batch).await?;
            results.write(&answers)?;
            progress.set_position(rows.offset());
        }
    }
}

fn conclude(summary: &Summary, as_json: bool) -> Result<(), CliError> {
    if as_json {
        output::json(summary)?;
    } else {
        let rows = summary
            .outcomes
            .iter()
            .map(|(outcome, count)| vec![outcome.clone(), count.to_string()]);
        output::line(&output::table(&["outcome", "rows"], rows, 1))?;
        output::note(&format!(
            "results: {}",
            Path::new(&summary.results).display()
        ));
    }
    if summary.failed == 0 {
        return Ok(());
    }
    let message = format!("{} of {} rows were refused", summary.failed, summary.rows);
    Err(CliError::new(Exit::Partly, message))
}

impl From<RowsError> for CliError {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Read(_) => Self::failed(error),
            RowsError::NoHeaders | RowsError::Headers { .. } => Self::new(Exit::Usage, error),
        }
    }
}
