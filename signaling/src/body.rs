//! What stands in a request's body. Invariant: no more of it is read than its kind may have.

use crate::{failure::Failure, sdpfrag};
use axum::{
    Json,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use protocol::node::MAX_SDP;
use serde::de::DeserializeOwned;

/// Media type of offers and answers.
pub(crate) const SDP: &str = "application/sdp";
/// Media type of the sessions' calls.
pub(crate) const JSON: &str = "application/json";
/// Largest JSON body, in bytes: an offer of [`MAX_SDP`] with its line ends escaped, and the slots.
pub(crate) const MAX_JSON: usize = 2 * MAX_SDP;

/// Whether the body is of this media type. Its parameters do not matter, nor does its case (RFC 9110, section 8.3.1).
pub(crate) fn is(kind: &str, headers: &HeaderMap) -> bool {
    let stated = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    stated.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}

/// An SDP offer as a body.
pub(crate) async fn offer(request: Request) -> Result<String, Failure> {
    if !is(SDP, request.headers()) {
        return Err(Failure::NotSdp);
    }
    let body = read(request, MAX_SDP).await?;
    let offer = String::from_utf8(body.into()).map_err(|_| Failure::Offer("it is not UTF-8"))?;
    check_offer(&offer)?;
    Ok(offer)
}

/// What can be told of an offer without reading all of it.
pub(crate) fn check_offer(offer: &str) -> Result<(), Failure> {
    if offer.is_empty() {
        return Err(Failure::Offer("it is empty"));
    }
    if offer.len() > MAX_SDP {
        return Err(Failure::TooLarge(MAX_SDP));
    }
    // RFC 8866, section 5: the version comes first. The node reads the rest.
    if !offer.starts_with("v=0") {
        return Err(Failure::Offer("it does not begin with 'v=0'"));
    }
    Ok(())
}

/// A JSON body.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Failure> {
    if !is(JSON, request.headers()) {
        return Err(Failure::NotJson);
    }
    let body = read(request, MAX_JSON).await?;
    Json::from_bytes(&body).map(|Json(value)| value).map_err(|e| Failure::Json(e.body_text()))
}

/// The bytes of an SDP fragment.
pub(crate) async fn fragment(request: Request) -> Result<Bytes, Failure> {
    if !is(sdpfrag::MEDIA_TYPE, request.headers()) {
        return Err(Failure::NotFragment);
    }
    read(request, sdpfrag::MAX_FRAGMENT).await
}

async fn read(mut request: Request, limit: usize) -> Result<Bytes, Failure> {
    DefaultBodyLimit::max(limit).apply(&mut request);
    Bytes::from_request(request, &()).await.map_err(|e| match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge(limit),
        _ => Failure::BodyLost,
    })
}
