//! The node API (`protocol::node`), health and metrics, on the internal listener.

use crate::node::Node;
use axum::extract::{DefaultBodyLimit, Path, State, rejection::JsonRejection};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use protocol::node::{Answer, Change, MAX_SDP, Publish, Restarted, View};
use protocol::{ConnectionId, Problem};
use std::sync::Arc;
use std::time::Duration;

/// How often a stream of events without any says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// SDP in JSON may grow by escapes.
const MAX_BODY: usize = 2 * MAX_SDP;

pub(crate) fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/v1/publishers", post(publish))
        .route("/v1/viewers", post(view))
        .route("/v1/viewers/{id}", patch(change))
        .route("/v1/viewers/{id}/events", get(events))
        .route("/v1/connections/{id}", delete(end))
        .route("/v1/connections/{id}/restart", post(restart))
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

async fn change(
    State(node): State<Arc<Node>>,
    Path(id): Path<ConnectionId>,
    ask: Result<Json<Change>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    node.change(id, &ask?.0)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restart(State(node): State<Arc<Node>>, Path(id): Path<ConnectionId>) -> Result<Json<Restarted>, Refusal> {
    Ok(Json(node.restart(id)?))
}

async fn events(State(node): State<Arc<Node>>, Path(id): Path<ConnectionId>) -> Result<impl IntoResponse, Refusal> {
    let (present, mut coming) = node.events(id)?;
    let coming = futures_util::stream::poll_fn(move |context| coming.poll_recv(context));
    let all = futures_util::stream::iter(present).chain(coming).map(|event| SseEvent::default().json_data(event));
    Ok(Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn end(State(node): State<Arc<Node>>, Path(id): Path<ConnectionId>) -> StatusCode {
    node.end(id);
    StatusCode::NO_CONTENT
}

async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], node.metrics_text())
}
