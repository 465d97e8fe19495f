//! The viewing page, and the grant it uses until there are accounts: handed out on loopback only.

use crate::issuer;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use protocol::grant::{Audience, Signer};
use protocol::{CameraId, Problem, Rid};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use tower_http::services::ServeDir;

/// How long the page's grant lasts, in hours.
const HOURS: u64 = 12;

#[derive(Clone)]
struct Page {
    signer: Arc<Signer>,
    cameras: Arc<[CameraId]>,
}

#[derive(Serialize)]
struct Granted {
    grant: String,
    expires: u64,
}

/// Serves the page built in `web`, and `POST /v1/demo/grant`.
pub(crate) fn router(web: &Path, signer: Arc<Signer>, cameras: &[CameraId]) -> Router {
    Router::new()
        .route("/v1/demo/grant", post(grant))
        .with_state(Page { signer, cameras: cameras.into() })
        .fallback_service(ServeDir::new(web))
}

async fn grant(State(page): State<Page>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap) -> Response {
    if !is_local(peer.ip(), &headers) {
        let detail = "the demo's grant is for browsers on this machine; ask with `standalone grant` instead";
        return refuse(&Problem::new(403, "loopback_only", detail));
    }
    let max = Rid::high();
    let terms = issuer::Terms { aud: Audience::View, sub: "demo", max: &max, audio: true, hours: HOURS };
    match issuer::grant(&page.signer, &terms, &page.cameras) {
        Ok(grant) => {
            let expires = issuer::unix_now() + HOURS * 3600;
            ([(header::CACHE_CONTROL, "no-store")], Json(Granted { grant, expires })).into_response()
        }
        Err(error) => refuse(&Problem::new(500, "signing", error.to_string())),
    }
}

fn refuse(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, Problem::MEDIA_TYPE)], Json(problem)).into_response()
}

/// Whether a page on this machine asks, by this machine's name: a foreign page may make a browser here ask too, by a
/// name of its own that leads here (DNS rebinding), or across origins.
fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or_default());
    let origin_is_local =
        text(header::ORIGIN).is_none_or(|o| o.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(names_loopback)));
    let host = text(header::HOST).and_then(|h| h.parse::<Uri>().ok());
    peer.to_canonical().is_loopback() && origin_is_local && host.is_some_and(|h| h.host().is_some_and(names_loopback))
}

fn names_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
