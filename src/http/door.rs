//! Where a request goes: postbacks and clicks straight to intake, everything else to the router.
//!
//! A router makes half a dozen objects on the heap for every request. Intake is most of what comes
//! in, and its three paths are told by their shape.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::Request,
    response::Response,
};
use futures_util::FutureExt;
use tower::ServiceExt;

use super::{Connected, Front, caught, front, ops, postback, redirect, routes};
use crate::{
    intake::request::Endpoint,
    service::{ServerOptions, Service},
};

/// The whole service as one function from requests to answers.
#[derive(Clone, Debug)]
pub struct Door {
    front: Front,
    router: Router,
}

/// The paths that lead straight to intake, as they are described.
pub const PATHS: [&str; 3] = ["/postback", "/api/postback/{brand}/{offer}", "/{slug}"];

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
enum Way<'p> {
    Postback,
    /// Postbacks for `brand/offer`.
    Offer(&'p str),
    Link,
    Elsewhere,
}

impl Door {
    /// The service behind its door.
    pub fn new(service: Arc<Service>, options: ServerOptions) -> Self {
        let front = front(service, options);
        let router = routes(&front);
        Self { front, router }
    }

    /// The way to everything but intake.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Answers a request; whatever goes wrong is an answer too.
    pub async fn answer<B>(&self, request: Request<B>, connected: Connected) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let answering = AssertUnwindSafe(self.lead(request, connected)).catch_unwind();
        answering.await.unwrap_or_else(caught)
    }

    async fn lead<B>(&self, request: Request<B>, connected: Connected) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let front = &self.front;
        match Way::of(request.uri().path()) {
            Way::Postback => postback::answer(front, Endpoint::Postback, request, connected).await,
            Way::Offer(name) => {
                let endpoint = Endpoint::Offer(name.to_owned());
                postback::answer(front, endpoint, request, connected).await
            }
            Way::Link => {
                // What somebody sends along is not looked at.
                let (parts, body) = request.into_parts();
                drop(body);
                redirect::follow(front, &parts, connected).await
            }
            Way::Elsewhere => {
                let answered = self.router.clone().oneshot(request.map(Body::new)).await;
                answered.unwrap_or_else(|never: Infallible| match never {})
            }
        }
    }
}

impl<'p> Way<'p> {
    /// By the patterns of [`PATHS`]. Slugs need no encoding, so an encoded one is none.
    fn of(path: &'p str) -> Self {
        if path == postback::PATH {
            return Self::Postback;
        }
        if let Some(name) = path.strip_prefix(postback::OFFER_PATH) {
            // Whatever stands in the brand's place, the attempt is kept.
            return if name.split_once('/').is_some_and(|(_, offer)| is_one(offer)) {
                Self::Offer(name)
            } else {
                Self::Elsewhere
            };
        }
        match path.strip_prefix('/') {
            Some(slug) if is_one(slug) && !ops::PATHS.contains(&path) => Self::Link,
            _ => Self::Elsewhere,
        }
    }
}

/// Whether this is one segment of a path.
fn is_one(segment: &str) -> bool {
    !segment.is_empty() && !segment.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_where_its_pattern_says() {
        for (path, way) in [
            ("/postback", Way::Postback),
            ("/postback/", Way::Elsewhere),
            ("/Postback", Way::Link),
            ("/api/postback/acme/casino", Way::Offer("acme/casino")),
            ("/api/postback/a%2Fb/c", Way::Offer("a%2Fb/c")),
            ("/api/postback/acme", Way::Elsewhere),
            ("/api/postback/acme/", Way::Elsewhere),
            ("/api/postback//casino", Way::Offer("/casino")),
            ("/api/postback/acme/casino/", Way::Elsewhere),
            ("/api/postback/acme/casino/x", Way::Elsewhere),
            ("/abc", Way::Link),
            ("/abc/", Way::Elsewhere),
            ("/v1", Way::Link),
            ("/v1/conversions", Way::Elsewhere),
            ("/healthz", Way::Elsewhere),
            ("/readyz", Way::Elsewhere),
            ("/metrics", Way::Elsewhere),
            ("/", Way::Elsewhere),
            ("", Way::Elsewhere),
            ("*", Way::Elsewhere),
        ] {
            assert_eq!(Way::of(path), way, "{path}");
        }
    }
}
