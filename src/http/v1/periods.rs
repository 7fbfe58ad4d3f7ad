//! `/v1/periods`: which months are closed, and closing one.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use postbook_schemas::{Instant, Month};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::problem::Problem,
    context::{Actor, Reader},
    fields::{Fields, Params},
    parts::Segment,
    statements::StatementView,
};
use crate::{
    commands::{
        period::{self, Closed, Closing, Draft, Preview, Untold},
        record,
    },
    secrets::Role,
    tables::batch::ClosedPeriod,
};

/// Closed and open months.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Periods {
    items: Vec<PeriodView>,
}

/// A month with postings, or closed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Period)]
pub(super) struct PeriodView {
    period: String,
    state: &'static str,
    position: Option<u64>,
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    closed_at: Option<Instant>,
    closed_by: Option<String>,
    reason: Option<String>,
}

impl From<ClosedPeriod> for PeriodView {
    fn from(closed: ClosedPeriod) -> Self {
        Self {
            period: closed.period.to_string(),
            state: "closed",
            position: Some(closed.position),
            closed_at: Some(closed.closed_at),
            closed_by: Some(closed.actor),
            reason: Some(closed.reason),
        }
    }
}

/// Closed months, then those that are open and have postings.
#[utoipa::path(get, path = "/v1/periods", tag = "periods",
    responses((status = 200, body = Periods)))]
pub(super) async fn list(reader: Reader, params: Params) -> Result<Json<Periods>, Problem> {
    reader.require_no_offer_scope()?;
    params.done()?;
    let closed = reader.tables().closed_periods().await?;
    let last = closed.iter().map(|closed| closed.period).max();
    let mut items: Vec<PeriodView> = closed.into_iter().map(PeriodView::from).collect();
    // What a partner may not see is told by nobody: a partner's own token may not know the reason.
    if reader.sight().only_partner().is_some() {
        for item in &mut items {
            item.closed_by = None;
            item.reason = None;
        }
    } else {
        let open = reader.tables().months_with_postings(last).await?;
        items.extend(open.into_iter().map(|month| PeriodView {
            period: month.to_string(),
            state: "open",
            position: None,
            closed_at: None,
            closed_by: None,
            reason: None,
        }));
    }
    Ok(Json(Periods { items }))
}

/// How to close.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "describes the body, whose fields are taken one by one"
)]
pub(super) struct Close {
    /// Why; needed unless it only looks.
    #[schema(max_length = 1000)]
    reason: Option<String>,
    /// Only show what it would do.
    dry_run: Option<bool>,
    /// Close it although it is not over.
    early: Option<bool>,
}

/// What closing did, or would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ClosedPeriod)]
pub(super) struct ClosedView {
    period: String,
    dry_run: bool,
    position: Option<u64>,
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    closed_at: Option<Instant>,
    /// Lines of its conversions that are not approved yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_lines: Option<u64>,
    /// Lines of its conversions that wait for an exchange rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaiting_fx_lines: Option<u64>,
    statements: Vec<Told>,
    /// Partners who are told nothing, since a figure of their statement is beyond 64 bits: the next one
    /// that fits tells of the month too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    untold: Vec<UntoldView>,
}

/// A partner who cannot be told.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Untold)]
struct UntoldView {
    partner: String,
    currency: String,
    /// What the partner has coming after the month: an integer of any size.
    closing_minor: i128,
}

impl From<Untold> for UntoldView {
    fn from(untold: Untold) -> Self {
        Self {
            partner: untold.partner.to_string(),
            currency: untold.currency.to_string(),
            closing_minor: untold.closing_minor,
        }
    }
}

/// A statement that was issued, or that would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Told {
    /// It is in the log.
    Issued(StatementView),
    /// It is not.
    Drafted(DraftView),
}

/// A statement that would be issued.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = StatementDraft)]
struct DraftView {
    partner: String,
    currency: String,
    number: u64,
    opening_minor: i64,
    /// What changes it, by what it is about.
    #[schema(value_type = Object)]
    lines_minor: BTreeMap<&'static str, i128>,
    closing_minor: i64,
    pending_minor: i64,
    held_minor: i64,
    payable_minor: i64,
}

impl From<Draft> for DraftView {
    fn from(draft: Draft) -> Self {
        Self {
            lines_minor: draft.summary(),
            partner: draft.partner.to_string(),
            currency: draft.currency.to_string(),
            number: draft.number,
            opening_minor: draft.opening_minor,
            closing_minor: draft.closing_minor,
            pending_minor: draft.pending_minor,
            held_minor: draft.held_minor,
            payable_minor: draft.payable_minor,
        }
    }
}

/// Closes a month and issues its statements, or shows what that would do.
#[utoipa::path(post, path = "/v1/periods/{period}/close", tag = "periods", request_body = Close,
    params(("period" = String, Path),
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = ClosedView), (status = 200, body = ClosedView, description = "only looked"),
        (status = 409, description = "not over, closed before, or not the next in turn")))]
pub(super) async fn close(
    actor: Actor,
    Segment(period): Segment,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let author = actor.author(Role::Finance, "POST /v1/periods/{period}/close")?;
    let period: Month = period
        .parse()
        .map_err(|error: postbook_schemas::month::MonthError| {
            Problem::invalid("period", error.to_string())
        })?;
    let dry_run = fields.flag("dry_run")?;
    let early = fields.flag("early")?;
    if dry_run {
        fields.text("reason")?;
        fields.done()?;
        record::catch_up(&actor.service).await?;
        let preview = period::preview(&actor.service.tables, period).await?;
        return Ok(Json(previewed(period, preview)).into_response());
    }
    let closing = Closing {
        period,
        early,
        reason: fields.reason()?,
    };
    fields.done()?;
    let closed = period::close(&actor.service, &author, &closing).await?;
    Ok((StatusCode::CREATED, Json(done(closed))).into_response())
}

fn previewed(period: Month, preview: Preview) -> ClosedView {
    let drafts = preview.drafts.told.into_iter();
    let untold = preview.drafts.untold.into_iter();
    ClosedView {
        period: period.to_string(),
        dry_run: true,
        position: None,
        closed_at: None,
        pending_lines: Some(preview.pending_lines),
        awaiting_fx_lines: Some(preview.awaiting_fx_lines),
        statements: drafts.map(|draft| Told::Drafted(draft.into())).collect(),
        untold: untold.map(UntoldView::from).collect(),
    }
}

fn done(closed: Closed) -> ClosedView {
    let issued = closed.statements.into_iter();
    ClosedView {
        period: closed.closed.period.to_string(),
        dry_run: false,
        position: Some(closed.closed.position),
        closed_at: Some(closed.closed.closed_at),
        pending_lines: None,
        awaiting_fx_lines: None,
        statements: issued.map(|row| Told::Issued(row.into())).collect(),
        untold: closed.untold.into_iter().map(UntoldView::from).collect(),
    }
}
