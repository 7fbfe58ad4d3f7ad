//! Many clicks made elsewhere, appended in groups.

use crate::{
    intake::click::foreign::{self, ForeignClick, Recorded},
    service::Service,
};

use super::{BulkResult, Line, LineAnswer, Sending};

/// Where clicks come in, as facts name it.
const ENDPOINT: &str = "/v1/clicks";

/// Records one click a line, all that can be taken in one commit.
///
/// # Errors
/// The log could not be read or written; sent again, lines that are there already are told so.
pub async fn record(service: &Service, sending: &Sending, lines: Vec<Line>) -> BulkResult {
    let mut answers: Vec<LineAnswer> = Vec::with_capacity(lines.len());
    let (mut places, mut clicks) = (Vec::new(), Vec::new());
    for line in lines {
        let parsed = line.text.map_err(str::to_owned).and_then(|text| {
            serde_json::from_str::<ForeignClick>(&text).map_err(|error| error.to_string())
        });
        match parsed {
            Ok(click) => {
                places.push(answers.len());
                answers.push(LineAnswer {
                    line: line.number,
                    click_id: Some(click.click_id.clone()).filter(|id| !id.is_empty()),
                    ..LineAnswer::default()
                });
                clicks.push(click);
            }
            Err(detail) => answers.push(LineAnswer::malformed(line.number, detail)),
        }
    }
    let endpoint = sending.file.as_ref().map(super::File::source);
    let endpoint = endpoint.as_deref().unwrap_or(ENDPOINT);
    let recorded = if sending.dry_run.is_some() {
        foreign::preview(service, &sending.caller, &clicks).await?
    } else {
        foreign::record(service, &sending.caller, clicks, endpoint).await?
    };
    for (place, recorded) in places.into_iter().zip(recorded) {
        answer(&mut answers[place], &recorded);
    }
    Ok(answers)
}

fn answer(answer: &mut LineAnswer, recorded: &Recorded) {
    match recorded {
        Recorded::New { position } => {
            "recorded".clone_into(&mut answer.outcome);
            answer.http_status = 201;
            answer.position = *position;
        }
        Recorded::Known { position } => {
            "duplicate".clone_into(&mut answer.outcome);
            answer.http_status = 200;
            answer.position = *position;
        }
        Recorded::Refused(fault) => {
            let outcome = if fault.missing {
                "missing_field"
            } else {
                "invalid_value"
            };
            outcome.clone_into(&mut answer.outcome);
            answer.http_status = 422;
            answer.field = Some(fault.field.to_owned());
            answer.detail = Some(fault.detail.to_owned());
        }
    }
}
