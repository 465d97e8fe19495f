//! The node API (`protocol::node`), health and metrics, on the internal listener.

use crate::node::Node;
use axum::extract::{DefaultBodyLimit, Path, State, rejection::JsonRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use protocol::node::{Answer, MAX_SDP, Publish, View};
use protocol::{ConnectionId, Problem};
use std::sync::Arc;

/// SDP in JSON may grow by escapes.
const MAX_BODY: usize = 2 * MAX_SDP;

pub(crate) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/v1/publishers", post(publish))
        .route("/v1/viewers", post(view))
        .route("/v1/connections/{id}", delete(end))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(node)
}

struct Refusal(Problem);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, Problem::MEDIA_TYPE)], Json(self.0)).into_response()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(Problem::new(rejection.status().as_u16(), "body", rejection.body_text()))
    }
}

type Answered = Result<(StatusCode, Json<Answer>), Refusal>;

async fn publish(State(node): State<Arc<Node>>, ask: Result<Json<Publish>, JsonRejection>) -> Answered {
    Ok((StatusCode::CREATED, Json(node.publish(&ask?.0)?)))
}

async fn view(State(node): State<Arc<Node>>, ask: Result<Json<View>, JsonRejection>) -> Answered {
    Ok((StatusCode::CREATED, Json(node.view(&ask?.0)?)))
}

async fn end(State(node): State<Arc<Node>>, Path(id): Path<ConnectionId>) -> StatusCode {
    node.end(id);
    StatusCode::NO_CONTENT
}

async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], node.metrics_text())
}
