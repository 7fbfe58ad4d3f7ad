//! The HTTP front: which path leads where, but for intake's own (see [`door`]).

pub mod auth;
mod body;
mod bulk;
mod clicks;
mod connection;
pub mod door;
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
    routing::get,
};
use tower_http::{catch_panic::CatchPanicLayer, timeout::RequestBodyTimeoutLayer};

pub use self::peer::Connected;
use self::{in_flight::InFlight, problem::Problem};
use crate::service::{ServerOptions, Service};

/// What the handlers of intake share.
type Front = Arc<Shared>;

#[derive(Debug)]
struct Shared {
    service: Arc<Service>,
    options: ServerOptions,
    in_flight: InFlight,
}

fn front(service: Arc<Service>, options: ServerOptions) -> Front {
    if let Some(rate) = options.rate_limit_per_address {
        service.limits.limit_addresses(rate);
    }
    Arc::new(Shared {
        in_flight: InFlight::new(options.network.in_flight_bytes),
        service,
        options,
    })
}

/// Everything but intake, which the [`door`] leads to itself.
fn routes(front: &Shared) -> Router {
    let service = Arc::clone(&front.service);
    let body_time = RequestBodyTimeoutLayer::new(front.options.network.body_time);
    let ops = Router::new()
        .route(ops::HEALTHZ, get(ops::healthz))
        .route(ops::READYZ, get(ops::readyz))
        .route(ops::METRICS, get(ops::metrics))
        .with_state(Arc::clone(&service));
    let api = clicks::router(Arc::clone(&service)).merge(v1::router(service));
    ops.merge(api.layer(body_time))
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
