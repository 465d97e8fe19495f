//! The one room that sees `prometheus` here: the agent's figures beside signaling's, at `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use edge_agent::health::Board;
use prometheus::{Encoder, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

#[derive(Clone)]
struct Edge {
    registry: Registry,
    board: Board,
    sent: IntCounterVec,
    sending: IntGaugeVec,
}

/// Serves `/metrics`: what `registry` holds, and what the agent's board says.
pub(crate) fn router(registry: Registry, board: Board) -> prometheus::Result<Router> {
    let labels = ["camera", "rid"];
    let sent = IntCounterVec::new(
        Opts::new("sunroom_edge_sent_bytes_total", "RTP payload that the agent sent of an encoding."),
        &labels,
    )?;
    let sending =
        IntGaugeVec::new(Opts::new("sunroom_edge_sending", "1 while the agent sends an encoding, else 0."), &labels)?;
    registry.register(Box::new(sent.clone()))?;
    registry.register(Box::new(sending.clone()))?;
    Ok(Router::new().route("/metrics", get(text)).with_state(Edge { registry, board, sent, sending }))
}

async fn text(State(edge): State<Edge>) -> impl IntoResponse {
    for camera in edge.board.health() {
        for encoding in &camera.encodings {
            let labels = [camera.id.to_string(), encoding.rid.to_string()];
            let sent = edge.sent.with_label_values(&labels);
            sent.inc_by(encoding.sent_bytes.saturating_sub(sent.get()));
            edge.sending.with_label_values(&labels).set(i64::from(encoding.sending));
        }
    }
    let (encoder, mut text) = (TextEncoder::new(), Vec::new());
    if let Err(error) = encoder.encode(&edge.registry.gather(), &mut text) {
        tracing::error!(%error, "metrics cannot be written");
    }
    ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text)
}
