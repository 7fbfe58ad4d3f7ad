//! The HTTP front: which path leads where.

pub mod auth;
mod body;
mod bulk;
mod clicks;
mod connection;
pub mod forwarded;
mod gate;
mod in_flight;
mod ops;
mod pace;
mod peer;
mod postback;
pub mod problem;
mod redirect;
pub mod server;
pub mod v1;

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use tower_http::{catch_panic::CatchPanicLayer, timeout::RequestBodyTimeoutLayer};

pub use self::peer::PeerAddress;
use self::{in_flight::InFlight, problem::Problem};
use crate::service::{ServerOptions, Service};

/// What the handlers of intake share; one reference, since it is counted several times a request.
type Front = Arc<Shared>;

#[derive(Debug)]
struct Shared {
    service: Arc<Service>,
    options: ServerOptions,
    in_flight: Arc<InFlight>,
}

/// The whole service as one router.
pub fn router(service: Arc<Service>, options: ServerOptions) -> Router {
    if let Some(rate) = options.rate_limit_per_address {
        service.limits.limit_addresses(rate);
    }
    let body_time = RequestBodyTimeoutLayer::new(options.network.body_time);
    let front = Arc::new(Shared {
        service: Arc::clone(&service),
        in_flight: Arc::new(InFlight::new(options.network.in_flight_bytes)),
        options,
    });
    let intake = Router::new()
        .route("/postback", any(postback::postback))
        .route(
            "/api/postback/{brand}/{offer}",
            any(postback::offer_postback),
        )
        .route("/{slug}", any(redirect::follow))
        .with_state(front);
    let ops = Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .with_state(Arc::clone(&service));
    let api = clicks::router(Arc::clone(&service)).merge(v1::router(service));
    intake
        .merge(ops)
        .merge(api.layer(body_time))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(caught))
}

/// Which methods a path takes, the router says in `Allow`.
async fn method_not_allowed() -> Problem {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let detail = "this path takes another method";
    Problem::new(status, "method_not_allowed", "Method not allowed", detail)
}

async fn not_found() -> Problem {
    Problem::not_found("there is nothing at this path")
}

/// A panic is a bug of ours: it costs one request, not the process.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn caught(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(panic = what, "a request ended in a panic");
    Problem::internal().into_response()
}
