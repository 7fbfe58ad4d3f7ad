//! `/{slug}`: follows a link.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use super::{Connected, Shared, peer, problem::Problem};
use crate::{
    intake::{
        click::{self, Visit},
        request::Peer,
    },
    service::ServerOptions,
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

const NO_SUCH_LINK: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Link not found</title><h1>Link not found</h1>\
    <p>This link does not exist, or no longer does.</p></html>";

/// Follows a link: records a click and leads on, with the click id in the parameter that the offer
/// names. `utm_*`, `sub1` to `sub5`, `fbclid`, `gclid` and `ttclid` are kept as received.
#[utoipa::path(get, path = "/{slug}", tag = "intake", params(("slug" = String, Path, description = "of the link")),
    responses((status = 302, description = "where it leads", headers(("Location" = String))),
        (status = 404, description = "there is no such link",
            content((String = "text/html"), (crate::intake::answer::ProblemBody<'static> = "application/problem+json"))),
        (status = 429, description = "too many requests from this address")))]
pub(super) async fn follow(front: &Shared, parts: &Parts, connected: Connected) -> Response {
    let headers = &parts.headers;
    let peer = peer::peer(connected, headers, &front.options);
    // Counted whatever the slug is, so that guessing slugs counts too.
    let now = front.service.clock.now();
    if let Some(seconds) = front.service.limits.over_address(peer.address, now) {
        return Problem::rate_limited(seconds).into_response();
    }
    let visit = Visit {
        slug: parts.uri.path().trim_start_matches('/'),
        query: parts.uri.query(),
        user_agent: text(headers, &header::USER_AGENT),
        referrer: text(headers, &header::REFERER),
        country: country(headers, &front.options, &peer),
        address: peer.address,
    };
    let service = &front.service;
    let destination = match parts.method {
        Method::GET => match click::follow(service, visit).await {
            Ok(destination) => destination,
            Err(error) => {
                tracing::error!(%error, "a click could not be kept");
                return Problem::unavailable("the click could not be kept: try again")
                    .into_response();
            }
        },
        // Whoever only looks is told where the link leads, and is no click.
        Method::HEAD => click::look(service, &visit),
        _ => return Problem::method_not_allowed("GET, HEAD").into_response(),
    };
    match destination {
        Some(destination) => found(&destination),
        None => no_such_link(headers),
    }
}

fn found(destination: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(destination) else {
        tracing::error!("a destination cannot be written as a header");
        return Problem::internal().into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, NO_STORE),
    ];
    (StatusCode::FOUND, headers).into_response()
}

fn no_such_link(headers: &HeaderMap) -> Response {
    if text(headers, &header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html")) {
        return (StatusCode::NOT_FOUND, Html(NO_SUCH_LINK)).into_response();
    }
    Problem::not_found("there is no such link").into_response()
}

fn country(headers: &HeaderMap, options: &ServerOptions, peer: &Peer) -> Option<[u8; 2]> {
    let name = options.country_header.as_ref().filter(|_| peer.by_proxy)?;
    let letters = headers.get(name)?.as_bytes().to_ascii_uppercase();
    let code = <[u8; 2]>::try_from(letters).ok()?;
    // XX and T1 are what proxies say where they do not know.
    (code.iter().all(u8::is_ascii_uppercase) && code != *b"XX").then_some(code)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}
