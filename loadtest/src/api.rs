//! The server's public API as a load sees it: WHIP for cameras, sessions for viewers (`docs/signaling.md`), with grants of
//! the load-test issuer.

use crate::client::sdp::{Answer, InvalidAnswer};
use protocol::grant::{Audience, CameraGrant, Claims, LOADTEST_ISSUER, Signer};
use protocol::{CameraId, Problem, Rid, SessionId};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;
use uuid::Uuid;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Connections that were not used for so long are closed before a server does it: it would take the next call with it.
const IDLE: Duration = Duration::from_secs(5);
/// Longest life of a grant.
const LONGEST_GRANT: Duration = Duration::from_secs(24 * 3600 - 60);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server refused.
    #[error("{} {}: {}", .0.status, .0.code, .0.detail)]
    Refused(Problem),
    /// It was not reached, or did not answer.
    #[error("{}", said(.0))]
    Unreachable(#[from] reqwest::Error),
    /// Its answer is of no use.
    #[error(transparent)]
    Answer(#[from] InvalidAnswer),
    /// Its answer lacks something.
    #[error("the answer has no {0}")]
    Incomplete(&'static str),
}

/// An HTTP client's error with its causes: the outermost says little.
fn said(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

impl CallError {
    /// Under which reason reports count it.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused(problem) => format!("{} {}", problem.status, problem.code),
            Self::Unreachable(error) if error.is_timeout() => "no answer in time".into(),
            Self::Unreachable(_) => "not reached".into(),
            Self::Answer(_) | Self::Incomplete(_) => "unusable answer".into(),
        }
    }
}

/// Why the API cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Certificates of the file cannot be used.
    #[error(transparent)]
    Tls(#[from] cluster::tls::Error),
    /// The HTTP client cannot be had.
    #[error("HTTP client: {}", said(.0))]
    Client(#[from] reqwest::Error),
}

/// What a viewer or a camera was answered.
pub struct Joined {
    /// What the server answered.
    pub answer: Answer,
    /// Its connection.
    pub session: Session,
}

/// A connection, and the grant that reaches it.
#[derive(Clone)]
pub struct Session {
    url: Url,
    grant: Arc<str>,
}

/// See the module.
pub struct Api {
    client: Client,
    server: Url,
    signer: Signer,
    run: u32,
    grant_life: Duration,
    random: SystemRandom,
}

impl Api {
    /// Of the server at this base URL, for a run of this number and length.
    pub fn new(server: Url, ca: Option<&Path>, signer: Signer, run: u32, length: Duration) -> Result<Self, ApiError> {
        let client = http_client(ca)?;
        let grant_life = (length + Duration::from_secs(600)).min(LONGEST_GRANT);
        Ok(Self { client, server, signer, run, grant_life, random: SystemRandom::new() })
    }

    /// The id of a virtual camera.
    pub fn camera(&self, number: u32) -> CameraId {
        CameraId::loadtest(self.run, number)
    }

    fn grant(&self, aud: Audience, sub: &str, cameras: impl Iterator<Item = u32>) -> Arc<str> {
        let mut sid = [0; 16];
        self.random.fill(&mut sid).expect("the system's random source never fails once it works");
        let iat = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let exp = iat + self.grant_life.as_secs();
        let camera = |number| CameraGrant { id: self.camera(number), max: Rid::high(), audio: false };
        let claims = Claims {
            iss: LOADTEST_ISSUER.into(),
            aud,
            sub: format!("{}-{sub}", self.run),
            sid: SessionId::from_random(sid),
            jti: Uuid::new_v4().to_string(),
            iat,
            exp,
            win: (aud == Audience::View).then_some(exp),
            cameras: cameras.map(camera).collect(),
        };
        self.signer.sign(&claims).into()
    }

    /// A camera is published.
    pub async fn publish(&self, camera: u32, offer: String) -> Result<Joined, CallError> {
        let grant = self.grant(Audience::Publish, &format!("camera-{camera}"), std::iter::once(camera));
        let call = self.client.post(self.url(&format!("whip/{}", self.camera(camera))));
        let call = call.header(header::CONTENT_TYPE, "application/sdp").body(offer);
        let response = send(call, &grant).await?;
        let session = self.session(&response, grant)?;
        Ok(Joined { answer: Answer::parse(&response.text().await?)?, session })
    }

    /// A viewer joins: `shown` is what its slots show, `granted` what they may come to show.
    pub async fn view(
        &self,
        viewer: u32,
        shown: &[u32],
        granted: &[u32],
        rid: &str,
        offer: String,
    ) -> Result<Joined, CallError> {
        let grant = self.grant(Audience::View, &format!("viewer-{viewer}"), granted.iter().copied());
        let slots: Vec<Value> = shown.iter().map(|n| json!({"camera": self.camera(*n), "rid": rid})).collect();
        let call = self.client.post(self.url("v1/sessions")).json(&json!({"offer": offer, "slots": slots}));
        let response = send(call, &grant).await?;
        let session = self.session(&response, grant)?;
        let body: Value = response.json().await?;
        let answer = body["answer"].as_str().ok_or(CallError::Incomplete("answer"))?;
        Ok(Joined { answer: Answer::parse(answer)?, session })
    }

    /// A viewer's slot is to show another camera.
    pub async fn switch(&self, session: &Session, slot: usize, camera: u32, rid: &str) -> Result<(), CallError> {
        let change = json!({"slots": [{"slot": slot, "camera": self.camera(camera), "rid": rid}]});
        send(self.client.patch(session.url.clone()).json(&change), &session.grant).await.map(drop)
    }

    /// A connection ends.
    pub async fn leave(&self, session: &Session) -> Result<(), CallError> {
        send(self.client.delete(session.url.clone()), &session.grant).await.map(drop)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        url
    }

    fn session(&self, response: &Response, grant: Arc<str>) -> Result<Session, CallError> {
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let url = location.and_then(|path| self.server.join(path).ok()).ok_or(CallError::Incomplete("Location"))?;
        Ok(Session { url, grant })
    }
}

/// An HTTP client that trusts the web's authorities, and those of a PEM file.
pub fn http_client(ca: Option<&Path>) -> Result<Client, ApiError> {
    let tls = cluster::tls::public_client(ca)?;
    let builder = Client::builder().tls_backend_preconfigured(tls).timeout(TIMEOUT);
    Ok(builder.pool_idle_timeout(IDLE).build()?)
}

async fn send(call: RequestBuilder, grant: &str) -> Result<Response, CallError> {
    let response = call.bearer_auth(grant).send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    let problem =
        serde_json::from_str(&text).unwrap_or_else(|_| Problem::new(status.as_u16(), "unknown", short(&text, status)));
    Err(CallError::Refused(problem))
}

fn short(text: &str, status: StatusCode) -> String {
    if text.is_empty() { status.to_string() } else { text.chars().take(200).collect() }
}
