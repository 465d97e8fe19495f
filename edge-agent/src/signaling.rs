//! The agent's HTTP side towards signaling: WHIP (RFC 9725).
//!
//! Invariant: the grant leaves in an `Authorization` header only, to the configured server only; redirects are refused.

use crate::{
    config::Config,
    grant::{Keeper, Unavailable},
    tls,
};
use protocol::{CameraId, Problem, node::MAX_SDP};
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use rustls::ClientConfig;
use std::{sync::Arc, time::Duration};
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where signaling is, and how to speak to it.
#[derive(Clone, Debug)]
pub struct Signaling {
    base: Url,
    http: reqwest::Client,
    tls: Arc<ClientConfig>,
    grant: Arc<Keeper>,
}

/// A WHIP session that was made.
#[derive(Debug)]
pub struct WhipSession {
    /// SDP answer.
    pub answer: String,
    /// The session's own URL, to end it with.
    pub url: Url,
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The `ca_file`.
    #[error(transparent)]
    Tls(#[from] tls::InvalidAuthority),
    /// The HTTP client.
    #[error("HTTP client: {0}")]
    Http(reqwest::Error),
}

/// A WHIP call failed.
#[derive(Debug, thiserror::Error)]
pub enum WhipError {
    /// There is no grant to show.
    #[error(transparent)]
    Grant(#[from] Unavailable),
    /// Signaling cannot be reached.
    #[error("signaling cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    /// Signaling says no, and why.
    #[error("signaling refuses ({}, {}): {}", .0.status, .0.code, .0.detail)]
    Refused(Problem),
    /// An answer that is not WHIP.
    #[error("signaling's answer is not WHIP: {0}")]
    Malformed(&'static str),
}

impl Signaling {
    /// A client for the configured server.
    pub fn new(config: &Config, grant: Arc<Keeper>) -> Result<Self, SetupError> {
        let tls = tls::client_config(config.ca_file.as_deref())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(&tls))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(SetupError::Http)?;
        Ok(Self { base: config.signaling.clone(), http, tls, grant })
    }

    /// The server's base URL.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// TLS for other connections to the same server.
    pub fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// The grant in use.
    pub fn grant(&self) -> &Keeper {
        &self.grant
    }

    /// A URL below the base.
    pub fn at(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Offers to publish a camera.
    pub async fn publish(&self, camera: CameraId, offer: String) -> Result<WhipSession, WhipError> {
        let endpoint = self.at(&["whip", &camera.to_string()]);
        let grant = self.grant.current().await?;
        let request = self.http.post(endpoint.clone()).bearer_auth(grant.secret());
        let request = request.header(CONTENT_TYPE, "application/sdp").body(offer);
        let response = request.send().await.map_err(WhipError::Unreachable)?;
        if response.status() != StatusCode::CREATED {
            return Err(WhipError::Refused(problem(response).await));
        }
        let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
        let url = location.and_then(|l| endpoint.join(l).ok()).ok_or(WhipError::Malformed("no Location"))?;
        if url.origin() != endpoint.origin() {
            return Err(WhipError::Malformed("Location is at another server"));
        }
        let answer = bounded_text(response).await.ok_or(WhipError::Malformed("the answer is too long or not text"))?;
        Ok(WhipSession { answer, url })
    }

    /// Ends a session. One that is gone already is as good.
    pub async fn unpublish(&self, session: Url) -> Result<(), WhipError> {
        let grant = self.grant.current().await?;
        let response = self.http.delete(session).bearer_auth(grant.secret()).send().await;
        let response = response.map_err(WhipError::Unreachable)?;
        match response.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            _ => Err(WhipError::Refused(problem(response).await)),
        }
    }
}

/// The problem that a response describes, or one made from its status.
async fn problem(response: reqwest::Response) -> Problem {
    let status = response.status().as_u16();
    let described = bounded_text(response).await.and_then(|text| serde_json::from_str(&text).ok());
    described.unwrap_or_else(|| Problem::new(status, "unspecified", format!("HTTP status {status}")))
}

async fn bounded_text(mut response: reqwest::Response) -> Option<String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_SDP {
            return None;
        }
    }
    String::from_utf8(body).ok()
}
