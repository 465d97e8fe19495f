//! Every way a call can fail, and how that is said: as problem details (RFC 9457). Invariant: each failure has one
//! status and one stable code, and says what to do.

use crate::{limits::TooMany, sdpfrag};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cluster::NodeError;
use protocol::{CameraId, Problem, grant::Refused, node::MAX_SLOTS};

/// Seconds after which a call that found no node may be made again: a node's lease, so that the directory knows better.
const RETRY_AFTER: u64 = 3;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no grant; send 'Authorization: Bearer' with one")]
    NoGrant,
    #[error(transparent)]
    Grant(#[from] Refused),
    #[error("the grant does not name camera {0}; ask for one that does")]
    CameraNotGranted(CameraId),
    #[error("'{0}' is no camera id; it is a UUID")]
    NoSuchCamera(String),
    #[error("there is no such connection, or it is not this grant's; it may have ended")]
    NoSuchConnection,
    #[error("there is nothing here; see docs/signaling.md for what is")]
    NoSuchPage,
    #[error("this method is not for this address; see the Allow header")]
    Method,
    #[error("the body is to be an SDP offer with 'Content-Type: application/sdp'")]
    NotSdp,
    #[error("the body is to be JSON with 'Content-Type: application/json'; see docs/signaling.md")]
    NotJson,
    #[error("the body is to be an SDP fragment with 'Content-Type: application/trickle-ice-sdpfrag'")]
    NotFragment,
    #[error("what is sent may have {0} bytes at most")]
    TooLarge(usize),
    #[error("the body ended early")]
    BodyLost,
    #[error("the body is not understood: {0}")]
    Json(String),
    #[error("the body is no SDP fragment: {0}")]
    Fragment(#[from] sdpfrag::Malformed),
    #[error("send 'If-Match' with the ETag of the last answer, or with * to restart ICE")]
    NoIfMatch,
    #[error("the 'If-Match' header is neither * nor a list of entity tags")]
    IfMatchMalformed,
    #[error("the ICE session is another one by now; restart ICE with 'If-Match: *'")]
    IfMatch,
    #[error("a session has {MAX_SLOTS} slots at most")]
    TooManySlots,
    #[error("there is no slot {0}; slots are numbered from 0, one for each video m-line of the offer")]
    NoSuchSlot(usize),
    #[error("the grant names no camera; ask for one that does")]
    NothingGranted,
    #[error("there is no such session, or it is not this grant's; it may have ended")]
    NoSuchSession,
    #[error("too many calls; wait {} s", seconds(.0))]
    TooMany(TooMany),
    #[error("the body is no SDP offer: {0}")]
    Offer(&'static str),
    #[error("the query is not understood: {0}")]
    Query(String),
    #[error("this address is a WebSocket: {0}")]
    NoWebSocket(String),
    #[error("no media node takes connections now; try again")]
    NoNode,
    #[error("the media node's answer is no SDP answer")]
    Answer,
    #[error("not done within 10 s; try again")]
    Time,
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Directory(#[from] cluster::Error),
}

impl Failure {
    fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::NoGrant => (401, "no_grant"),
            Self::Grant(Refused::Expired) => (401, "grant_expired"),
            Self::Grant(Refused::Audience(_)) => (403, "grant_audience"),
            Self::Grant(Refused::Invalid(_) | Refused::TooLong | Refused::RealCamera(_)) => (401, "grant_invalid"),
            Self::CameraNotGranted(_) => (403, "camera_not_granted"),
            Self::NoSuchCamera(_) => (404, "no_such_camera"),
            Self::NoSuchConnection => (404, "no_such_connection"),
            Self::NoSuchPage => (404, "not_found"),
            Self::Method => (405, "method_not_allowed"),
            Self::NotSdp => (415, "not_sdp"),
            Self::NotJson => (415, "not_json"),
            Self::NotFragment => (415, "not_sdpfrag"),
            Self::TooLarge(_) => (413, "too_large"),
            Self::BodyLost => (400, "body_lost"),
            Self::Json(_) => (400, "malformed_json"),
            Self::Fragment(_) => (400, "malformed_sdpfrag"),
            Self::NoIfMatch => (428, "precondition_required"),
            Self::IfMatchMalformed => (400, "malformed_if_match"),
            Self::IfMatch => (412, "precondition_failed"),
            Self::TooManySlots => (422, "too_many_slots"),
            Self::NoSuchSlot(_) => (422, "no_such_slot"),
            Self::NothingGranted => (403, "camera_not_granted"),
            Self::NoSuchSession => (404, "no_such_session"),
            Self::TooMany(_) => (429, "too_many_calls"),
            Self::Offer(_) => (400, "malformed_sdp"),
            Self::Query(_) => (400, "malformed_query"),
            Self::NoWebSocket(_) => (400, "not_a_websocket"),
            Self::NoNode => (503, "no_node"),
            Self::Answer | Self::Node(NodeError::Malformed { .. }) => (502, "node_answer"),
            Self::Time => (503, "too_slow"),
            Self::Node(NodeError::Unreachable { .. } | NodeError::Silent { .. }) => (503, "node_unreachable"),
            Self::Node(NodeError::Refused(_)) => (502, "node_refuses"),
            Self::Directory(_) => (503, "directory_unavailable"),
        }
    }

    fn problem(self) -> Problem {
        let (status, code) = self.status_and_code();
        match self {
            // What a node says of the caller's offer, or of its own room, is for the caller; the rest is between us.
            Self::Node(NodeError::Refused(p)) if matches!(p.status, 400 | 403 | 406 | 409 | 422 | 503) => p,
            Self::Node(NodeError::Unreachable { .. } | NodeError::Silent { .. }) => {
                Problem::new(status, code, "the media node is away; try again")
            }
            Self::Node(_) => Problem::new(status, code, "the media node fails; tell its operator, or try again"),
            Self::Directory(_) => Problem::new(status, code, "the directory of nodes is out of reach; try again"),
            other => Problem::new(status, code, other.to_string()),
        }
    }

    /// What the body may be (RFC 5789, section 3.1).
    fn accept_patch(&self) -> Option<&'static str> {
        matches!(self, Self::NotFragment).then_some(sdpfrag::MEDIA_TYPE)
    }

    /// After how many seconds the call may be made again.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany(refused) => Some(seconds(refused)),
            Self::Node(NodeError::Refused(p)) if p.status == 503 => Some(RETRY_AFTER),
            other => (other.status_and_code().0 == 503).then_some(RETRY_AFTER),
        }
    }

    /// RFC 6750, section 3.
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::NoGrant => Some("Bearer"),
            Self::Grant(Refused::Audience(_)) => Some(r#"Bearer error="insufficient_scope""#),
            Self::Grant(_) => Some(r#"Bearer error="invalid_token""#),
            _ => None,
        }
    }
}

/// Whole seconds to wait.
fn seconds(refused: &TooMany) -> u64 {
    refused.wait.as_secs() + 1
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match &self {
            Self::Node(NodeError::Refused(p)) => tracing::info!(status = p.status, code = p.code, "node refuses"),
            Self::Node(e) => tracing::warn!(error = %e, "node call failed"),
            Self::Directory(e) => tracing::error!(error = %e, "directory call failed"),
            other => tracing::debug!(reason = %other, "refused"),
        }
        let (challenge, accept_patch, retry_after) = (self.challenge(), self.accept_patch(), self.retry_after());
        let problem = self.problem();
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).expect("a problem is plain strings and a number");
        let mut response = (status, body).into_response();
        let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, Problem::MEDIA_TYPE);
        if let Some(challenge) = challenge {
            set(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(kind) = accept_patch {
            set(header::HeaderName::from_static("accept-patch"), kind);
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// 404 as problem details: the fallback of a router that has no pages.
pub async fn not_found() -> Response {
    Failure::NoSuchPage.into_response()
}

/// 405 as problem details; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    Failure::Method.into_response()
}
