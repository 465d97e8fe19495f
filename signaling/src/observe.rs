//! What is kept of every call: a span, a count and a time. Invariant: routes are named by their pattern and people not
//! at all; a call ends within 10 s.

use crate::{Signaling, failure::Failure};
use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::time::{Duration, Instant};
use tracing::Instrument;

const CALL_TIME: Duration = Duration::from_secs(10);

/// Ends a call that takes too long. The agents' socket is past its call once it is upgraded.
pub(crate) async fn bounded(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::Time.into_response(),
    }
}

/// Counts and times a call, and gives its log lines a span.
pub(crate) async fn observed(State(service): State<Signaling>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let method = request.method().clone();
    let start = Instant::now();
    let span = tracing::info_span!("call", %method, route);
    let response = next.run(request).instrument(span).await;
    service.0.metrics.call(route, response.status(), start.elapsed());
    response
}
