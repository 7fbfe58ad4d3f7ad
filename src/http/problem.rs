//! Errors as HTTP answers: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::intake::answer::{self, ProblemBody};

/// The content type of problems.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error as it is answered.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// A problem of a kind: `code` for programs, `title` for people.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            title: title.into(),
            detail: detail.into(),
            field: None,
            header: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// 404.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", detail)
    }

    /// 401: nobody is let in without a credential.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        Self::new(status, "bad_credentials", "Bad credentials", detail).header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"postbook\""),
        )
    }

    /// 403: the caller is known and may not.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
    }

    /// 405, with the methods that are allowed.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Method not allowed",
            format!("this path takes {allowed}"),
        )
        .header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// 422 for a field whose value cannot be used.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "invalid_value", "Invalid value", detail).field(field)
    }

    /// 422 for a field that is missing.
    pub fn missing(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "missing_field", "Missing field", detail).field(field)
    }

    /// 409: what is asked for contradicts what is there.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    /// 503 with `Retry-After`: nothing was done, and it may work in a second.
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "unavailable", "Try again", detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 429 with `Retry-After`: an address has asked for too much.
    pub fn rate_limited(seconds: u32) -> Self {
        let detail = "too many requests from this address";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, "rate_limited", "Too many requests", detail)
            .header(header::RETRY_AFTER, seconds.into())
    }

    /// 500: a bug of ours, whose particulars are in the log of the process only.
    pub fn internal() -> Self {
        let detail = "something went wrong here; it was logged";
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "internal", "Internal error", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = answer::json(&ProblemBody {
            field: self.field.as_deref(),
            ..ProblemBody::new(self.status.as_u16(), &self.code, &self.title, &self.detail)
        });
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Some((name, value)) = self.header.map(|header| *header) {
            headers.insert(name, value);
        }
        response
    }
}
