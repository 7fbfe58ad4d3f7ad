//! `/v1`: the programming interface.

use std::sync::Arc;

use axum::Router;

use crate::service::Service;

/// The routes below `/v1`.
pub fn router(service: Arc<Service>) -> Router {
    Router::new().with_state(service)
}
