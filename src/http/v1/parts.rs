//! Bodies and parts of paths, whose faults are answered as problems like all others.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::BytesRejection},
    http::{StatusCode, request::Parts},
};

use super::super::problem::Problem;

/// A whole body.
#[derive(Clone, Debug)]
pub(super) struct Whole(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|error| broken(&error))
    }
}

fn broken(error: &BytesRejection) -> Problem {
    let status = StatusCode::PAYLOAD_TOO_LARGE;
    if error.status() == status {
        let detail = "the body is larger than what is taken here";
        return Problem::new(status, "payload_too_large", "Payload too large", detail);
    }
    Problem::invalid("body", "it broke off, or did not arrive in time")
}

/// The one parameter of a path, as text. What is no text names nothing.
#[derive(Clone, Debug)]
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text))
            .map_err(|_| Problem::not_found("there is nothing at this path"))
    }
}
