//! Who calls: the grant of a request's `Authorization` header (RFC 6750, section 2.1; tokens never stand in URLs).

use crate::{Signaling, failure::Failure};
use axum::http::{HeaderMap, header};
use protocol::{
    CameraId,
    grant::{Audience, CameraGrant, Claims},
};
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock, in Unix seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The bearer token of a request. The scheme's case does not matter (RFC 9110, section 11.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or(Failure::NoGrant)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Failure::NoGrant),
    }
}

impl Signaling {
    /// The claims of the caller's grant.
    pub(crate) fn claims(&self, headers: &HeaderMap, audience: Audience) -> Result<Claims, Failure> {
        Ok(self.0.verifier.verify(bearer(headers)?, audience, unix_now())?)
    }
}

/// What the grant says of a camera.
pub(crate) fn granted(claims: &Claims, camera: CameraId) -> Result<&CameraGrant, Failure> {
    claims.camera(camera).ok_or(Failure::CameraNotGranted(camera))
}
