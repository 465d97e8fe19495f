//! The internal listener's calls: health, readiness, metrics. Ready means that a viewer could be placed: at least one
//! node serves.

use crate::{
    Signaling,
    failure::{Failure, method_not_allowed},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Encoder, TextEncoder};
use protocol::node::NodeState;

pub(crate) fn router(service: &Signaling) -> Router {
    Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(service.clone())
}

async fn ready(State(service): State<Signaling>) -> Result<StatusCode, Failure> {
    let nodes = service.0.directory.nodes().await?;
    let serving = nodes.iter().any(|n| n.state == NodeState::Serving);
    serving.then_some(StatusCode::OK).ok_or(Failure::NoNode)
}

async fn metrics(State(service): State<Signaling>) -> Response {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&service.0.registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
