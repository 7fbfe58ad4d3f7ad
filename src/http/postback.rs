//! `/postback` and `/api/postback/{brand}/{offer}`: HTTP in, HTTP out; intake is in between.

use axum::{
    body::{Bytes, HttpBody},
    http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    Connected, Shared, auth, body,
    in_flight::Held,
    peer,
    problem::{PROBLEM_JSON, Problem},
};
use crate::intake::{
    self,
    answer::Answer,
    request::{Endpoint, Method, Peer, Request as Postback, Sealed},
    signature::parse::Sent,
};

const SECRET: HeaderName = HeaderName::from_static("x-postback-secret");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TDS_SIGNATURE: HeaderName = HeaderName::from_static("x-tds-signature");
const TDS_TIMESTAMP: HeaderName = HeaderName::from_static("x-tds-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where postbacks with a token come in.
pub(super) const PATH: &str = "/postback";

/// The prefix of an offer's own path.
pub(super) const OFFER_PATH: &str = "/api/postback/";

/// Takes a postback in, and says what became of it.
pub(super) async fn answer<B>(
    front: &Shared,
    endpoint: Endpoint,
    request: Request<B>,
    connected: Connected,
) -> Response
where
    B: HttpBody<Data = Bytes> + Send + Unpin,
{
    let method = match *request.method() {
        HttpMethod::GET => Method::Get,
        HttpMethod::POST => Method::Post,
        _ => return Problem::method_not_allowed("GET, POST").into_response(),
    };
    // Held until the answer is there: by then it is in the log, or was not taken.
    let Some(mut held) = front.in_flight.hold(&request) else {
        body::discard(request.into_body(), front.options.network.body_time).await;
        return no_room(front);
    };
    let peer = peer::peer(connected, request.headers(), &front.options);
    match read(front, endpoint, method, request, peer, &mut held).await {
        // On the heap, or each future on the way would be as large and be moved.
        Some(postback) => {
            let taken = Box::pin(intake::postback(&front.service, &postback));
            into_response(taken.await)
        }
        None => no_room(front),
    }
}

fn no_room(front: &Shared) -> Response {
    front.service.meters.network.no_room();
    let detail = "too many postbacks are under way; nothing of this one was kept: send it again";
    Problem::unavailable(detail).into_response()
}

async fn read<B>(
    front: &Shared,
    endpoint: Endpoint,
    method: Method,
    request: Request<B>,
    peer: Peer,
    held: &mut Held<'_>,
) -> Option<Postback>
where
    B: HttpBody<Data = Bytes> + Send + Unpin,
{
    let (parts, body) = request.into_parts();
    let time_max = front.options.network.body_time;
    let body = body::read(&parts.headers, body, time_max, held).await?;
    let headers = &parts.headers;
    Some(Postback {
        endpoint,
        method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        content_type: text(headers, &header::CONTENT_TYPE),
        bearer: auth::bearer(headers).map(Sealed),
        secret: text(headers, &SECRET).map(Sealed),
        signature: signature(headers),
        idempotency_key: text(headers, &IDEMPOTENCY_KEY),
        body: body.bytes,
        body_bytes: body.length,
        body_fault: body.fault,
        peer,
        imported: None,
    })
}

/// The signatures that came along in headers; what is in the query is looked at when it is known
/// under which mapping. Its time may be in a header all the same.
fn signature(headers: &HeaderMap) -> Option<Box<Sent>> {
    let tds = text(headers, &TDS_SIGNATURE);
    let tds_timestamp = text(headers, &TDS_TIMESTAMP);
    let webhook = text(headers, &WEBHOOK_SIGNATURE);
    if tds.is_none() && tds_timestamp.is_none() && webhook.is_none() {
        return None;
    }
    Some(Box::new(Sent {
        tds,
        tds_timestamp,
        webhook,
        webhook_id: text(headers, &WEBHOOK_ID),
        webhook_timestamp: text(headers, &WEBHOOK_TIMESTAMP),
    }))
}

/// A header as text; what is not UTF-8 becomes text that fits nothing.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn into_response(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(answer.body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = if answer.is_problem {
        PROBLEM_JSON
    } else {
        JSON
    };
    headers.insert(header::CONTENT_TYPE, content_type);
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"postbook\"");
        headers.insert(header::WWW_AUTHENTICATE, scheme);
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    for warning in answer.warnings {
        // 299 is the code for warnings that are meant to be seen.
        if let Ok(value) = HeaderValue::try_from(format!("299 postbook \"{warning}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    response
}
