//! Who calls: the grant of a request's `Authorization` header (RFC 6750, section 2.1; tokens never stand in URLs), and
//! the address it comes from. Invariant: a call without a good grant costs its address, so that guessing is slow, whoever's
//! grant it pretends to be.

use crate::{
    Signaling,
    failure::Failure,
    limits::{Limit, TooMany},
};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use protocol::{
    CameraId, Rid,
    grant::{Audience, CameraGrant, Claims},
    node::Show,
};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

/// Wall clock, in Unix seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The sender of a request.
pub(crate) struct Caller {
    /// Where it is. Callers of a router that is served without `ConnectInfo` are one.
    address: IpAddr,
    /// What it says of itself.
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<Signaling> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, service: &Signaling) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let peer = peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        Ok(Self { address: service.0.limits.client(peer, &parts.headers), headers: parts.headers.clone() })
    }
}

impl Caller {
    /// The bearer token. The scheme's case does not matter (RFC 9110, section 11.1).
    pub(crate) fn bearer(&self) -> Result<&str, Failure> {
        let value = self.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or(Failure::NoGrant)?;
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
            _ => Err(Failure::NoGrant),
        }
    }
}

impl Signaling {
    /// The claims of the caller's grant.
    pub(crate) fn claims(&self, caller: &Caller, audience: Audience) -> Result<Claims, Failure> {
        self.verified(caller, audience).or_else(|refused| {
            self.within(self.0.limits.address(caller.address))?;
            Err(refused)
        })
    }

    /// The claims of a caller who wants one connection more, if it may have one now. One machine of a load test stands
    /// for many viewers, so its good grants cost its address nothing.
    pub(crate) fn admitted(&self, caller: &Caller, audience: Audience) -> Result<Claims, Failure> {
        let claims = if self.0.verifier.names_loadtest(caller.bearer().unwrap_or_default()) {
            self.claims(caller, audience)?
        } else {
            self.within(self.0.limits.address(caller.address))?;
            self.verified(caller, audience)?
        };
        self.within(self.0.limits.subject(&claims.sub))?;
        Ok(claims)
    }

    /// Counts what a limit refuses.
    pub(crate) fn within(&self, limited: Result<(), TooMany>) -> Result<(), Failure> {
        limited.map_err(|refused| {
            let why = match refused.limit {
                Limit::Address => "address",
                Limit::Subject => "subject",
                Limit::Session => "session",
            };
            self.0.metrics.refused(why);
            Failure::TooMany(refused)
        })
    }

    fn verified(&self, caller: &Caller, audience: Audience) -> Result<Claims, Failure> {
        Ok(self.0.verifier.verify(caller.bearer()?, audience, unix_now())?)
    }
}

/// What the grant says of a camera.
pub(crate) fn granted(claims: &Claims, camera: CameraId) -> Result<&CameraGrant, Failure> {
    claims.camera(camera).ok_or(Failure::CameraNotGranted(camera))
}

/// What a slot may show of what is wished: a wish that is too large, or none, gets the grant's largest.
pub(crate) fn show(claims: &Claims, camera: CameraId, wish: Option<Rid>, priority: u8) -> Result<Show, Failure> {
    let granted = granted(claims, camera)?;
    let max = wish.filter(|rid| rid.rank() <= granted.max.rank()).unwrap_or_else(|| granted.max.clone());
    Ok(Show { camera, max, priority })
}
