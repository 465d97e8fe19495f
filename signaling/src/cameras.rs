//! `/v1`: what pages ask before they watch. Invariant: nothing beyond the caller's grant is told.

use crate::{Signaling, authorize::Caller, failure::Failure};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use cluster::Known;
use protocol::{
    camera::{Camera, List, Listed},
    grant::{Audience, CameraGrant},
};
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// `GET /v1/cameras`.
pub(crate) async fn list(State(service): State<Signaling>, caller: Caller) -> Result<Response, Failure> {
    let claims = service.claims(&caller, Audience::View)?;
    let ids: Vec<_> = claims.cameras.iter().map(|c| c.id).collect();
    let known = service.0.directory.cameras(&ids).await?;
    let cameras = claims.cameras.iter().zip(known).map(|(grant, known)| listed(grant, known)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(List { cameras })).into_response())
}

/// A camera that nobody has announced yet has an empty name and no encodings.
fn listed(grant: &CameraGrant, known: Known) -> Listed {
    let unknown = || Camera { id: grant.id, name: String::new(), encodings: Vec::new(), audio: None };
    let mut camera = known.description.unwrap_or_else(unknown);
    camera.encodings.retain(|e| e.rid.rank() <= grant.max.rank());
    Listed { camera, live: known.origin.is_some() }
}

#[derive(Serialize)]
struct Time {
    unix_us: u64,
}

/// `GET /v1/time`: lets a page measure how far its clock is off.
pub(crate) async fn time() -> Response {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_us = u64::try_from(now.as_micros()).expect("microseconds fit 64 bits for 500,000 years");
    ([(header::CACHE_CONTROL, "no-store")], Json(Time { unix_us })).into_response()
}
