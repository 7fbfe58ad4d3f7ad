//! `/v1/payout-runs`, `/v1/payout-files`, `/v1/payout-results`: payouts to all partners at once, the
//! files for the bank, and what the bank says of them.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use postbook_projections::rows::PayoutState;
use postbook_schemas::Currency;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::{Actor, Reader},
    fields::{Fields, Params},
    parts::Segment,
    view::PayoutView,
};
use crate::{
    commands::payout::{self, BankLine, BankResult, FileFormat, FileRequest, Move, Proposed},
    secrets::Role,
};

/// Why all partners are paid.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct NewRun {
    #[schema(pattern = r"\S", max_length = 1000)]
    reason: String,
}

/// What became of each partner with a balance.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PayoutRun)]
pub(super) struct Run {
    payouts: Vec<PayoutView>,
    skipped: Vec<Skipped>,
}

/// A partner who is not paid, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Skipped {
    partner: String,
    currency: String,
    payable_minor: i128,
    /// `negative`, `nothing_payable` or `below_threshold`.
    why: &'static str,
}

/// Proposes payouts to all partners who have at least their threshold coming.
#[utoipa::path(post, path = "/v1/payout-runs", tag = "payouts", request_body = NewRun,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Run)))]
pub(super) async fn propose_all(actor: Actor, mut fields: Fields) -> Result<Response, Problem> {
    let author = actor.author(Role::Finance, "POST /v1/payout-runs")?;
    let reason = fields.reason()?;
    fields.done()?;
    let mut run = Run {
        payouts: Vec::new(),
        skipped: Vec::new(),
    };
    for proposed in payout::propose_all(&actor.service, &author, &reason).await? {
        match proposed {
            Proposed::Payout(row) => run.payouts.push(row.into()),
            Proposed::Skipped {
                partner,
                currency,
                payable_minor,
                why,
            } => run.skipped.push(Skipped {
                partner: partner.to_string(),
                currency: currency.to_string(),
                payable_minor,
                why: why.code(),
            }),
        }
    }
    Ok((StatusCode::CREATED, Json(run)).into_response())
}

/// The payouts in one state as a file for the bank: `csv` or `pain.001` (ISO 20022
/// pain.001.001.09). Nothing is changed.
#[utoipa::path(get, path = "/v1/payout-files/{format}", tag = "payouts", params(
    ("format" = String, Path, description = "how it is written"),
    ("state" = Option<String>, Query, description = "approved or sent; default: approved"),
    ("brand" = Option<String>, Query, description = "whose account pays; default: the only brand that has one"),
    ("execution_date" = Option<String>, Query, description = "default: today"),
), responses((status = 200, description = "the file", content((String = "text/csv"), (String = "application/xml"))),
    (status = 409, description = "a partner has no bank account, or what was approved is more than is payable by now")))]
pub(super) async fn file(
    reader: Reader,
    Segment(format): Segment,
    mut params: Params,
) -> Result<Response, Problem> {
    reader.caller.require(Role::Finance)?;
    reader.caller.require_unscoped()?;
    let missing = || Problem::not_found(format!("there are no payout files as `{format}`"));
    let format = FileFormat::from_word(&format).ok_or_else(missing)?;
    let state = params.word("state", super::payouts::state, "not a state of a payout")?;
    let request = FileRequest {
        format,
        state: state.unwrap_or(PayoutState::Approved),
        brand: params.parsed("brand")?,
        execution_date: params.word("execution_date", day, "not a day: write YYYY-MM-DD")?,
    };
    params.done()?;
    let made = payout::file(&reader.service, &request).await?;
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static(format.content_type());
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok((headers, made.bytes).into_response())
}

fn day(text: &str) -> Option<String> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    // Spaces and signs would be read as well.
    Some(day.to_string()).filter(|day| day == text)
}

/// What the bank says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct BankSays {
    items: Vec<BankSaysLine>,
    /// Why; needed unless it only looks.
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// Only show what it would do.
    dry_run: Option<bool>,
}

/// What the bank says of one payment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BankSaysLine {
    end_to_end_id: String,
    #[schema(pattern = "^(settled|failed|returned)$")]
    status: String,
    amount_minor: i64,
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: String,
    reference: Option<String>,
}

/// What became of each line, in their order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BankResults)]
pub(super) struct Results {
    items: Vec<LineResult>,
}

/// What became of a line.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BankResult)]
struct LineResult {
    end_to_end_id: String,
    /// `moved`, `would_move`, `already`, `unknown`, `amount_differs`, `currency_differs` or
    /// `not_allowed`.
    result: &'static str,
}

/// Settles, fails and returns payouts as the bank says, by end-to-end id.
#[utoipa::path(post, path = "/v1/payout-results", tag = "payouts", request_body = BankSays,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Results)))]
pub(super) async fn results(actor: Actor, mut fields: Fields) -> Result<Json<Results>, Problem> {
    let author = actor.author(Role::Finance, "POST /v1/payout-results")?;
    let dry_run = fields.flag("dry_run")?;
    let reason = if dry_run {
        fields.text("reason")?.unwrap_or_default()
    } else {
        fields.reason()?
    };
    let items = fields.value("items").unwrap_or_default();
    fields.done()?;
    let lines = lines(items)?;
    let done = payout::reconcile(&actor.service, &author, &lines, &reason, dry_run).await?;
    let items = lines
        .into_iter()
        .zip(done)
        .map(|(line, result)| LineResult {
            end_to_end_id: line.end_to_end_id,
            result: BankResult::code(result),
        });
    Ok(Json(Results {
        items: items.collect(),
    }))
}

fn lines(items: Value) -> Result<Vec<BankLine>, Problem> {
    let said: Vec<BankSaysLine> = serde_json::from_value(items)
        .map_err(|error| Problem::invalid("items", error.to_string()))?;
    said.into_iter().map(line).collect()
}

fn line(said: BankSaysLine) -> Result<BankLine, Problem> {
    let became = match said.status.as_str() {
        "settled" => Move::Settle,
        "failed" => Move::Fail,
        "returned" => Move::Return,
        other => {
            let detail = format!("`{other}` is none of settled, failed, returned");
            return Err(Problem::invalid("items.status", detail));
        }
    };
    let currency = Currency::from_code(&said.currency)
        .ok_or_else(|| Problem::invalid("items.currency", "not a currency"))?;
    Ok(BankLine {
        end_to_end_id: said.end_to_end_id,
        became,
        amount_minor: said.amount_minor,
        currency,
        reference: said.reference,
    })
}
