//! `loadtest agent`: a fleet that another machine's `loadtest run` commands, by HTTP on an internal listener (loopback, or
//! mutual TLS). The agent has a grant key of its own; a coordinator sends none.
//!
//! | call | what it does |
//! |---|---|
//! | `GET /v1/agent` | the machine's cores, the protocol's version |
//! | `POST /v1/fleet` | takes a [`Beginning`]; publishes; a fleet that was there ends |
//! | `PUT /v1/fleet/viewers` | takes [`Viewers`] |
//! | `POST /v1/fleet/tally` | the [`Tally`] since the last one |
//! | `DELETE /v1/fleet` | everybody leaves |
//!
//! A fleet that nobody has asked for its tally for 30 s ends by itself.

use crate::api::{Api, http_client};
use crate::engine::Network;
use crate::fleet::{Fleet, Share, Tally};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use cluster::listen::{self, Listener};
use protocol::Problem;
use protocol::grant::{LOADTEST_ISSUER, Signer};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use url::Url;

/// Version of these calls.
const VERSION: u32 = 1;
/// A fleet that nobody asks for ends after this time.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// Longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long a coordinator waits for an agent: publishing takes a keyframe's distance and more.
const PATIENCE: Duration = Duration::from_secs(90);

/// A fleet is to begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beginning {
    /// The server's base URL.
    pub server: Url,
    /// Number of the run: of its cameras' ids.
    pub run: u32,
    /// What to do.
    pub share: Share,
}

/// So many viewers are to be there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Viewers {
    /// How many.
    pub viewers: u32,
    /// Joins a second.
    pub rate: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Machine {
    version: u32,
    cores: usize,
}

struct Running {
    fleet: Fleet,
    asked: Instant,
}

struct Agent {
    key: Vec<u8>,
    ca: Option<PathBuf>,
    running: Mutex<Option<Running>>,
}

struct Refusal(Problem);

impl Refusal {
    fn new(status: StatusCode, code: &str, detail: impl std::fmt::Display) -> Self {
        Self(Problem::new(status.as_u16(), code, detail.to_string()))
    }

    fn no_fleet() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_fleet", "there is no fleet here; POST /v1/fleet begins one")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

/// Serves until `shutdown`. `key` signs its viewers' grants; `ca` is trusted beside the web's authorities.
pub async fn serve(
    listener: Listener,
    key: Vec<u8>,
    ca: Option<PathBuf>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let agent = Arc::new(Agent { key, ca, running: Mutex::default() });
    let router = Router::new()
        .route("/v1/agent", get(machine))
        .route("/v1/fleet", post(begin).delete(end))
        .route("/v1/fleet/viewers", put(watch))
        .route("/v1/fleet/tally", post(take))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::clone(&agent));
    let forgetting = tokio::spawn(forget(Arc::clone(&agent)));
    let served = listener.serve(router, shutdown).await;
    forgetting.abort();
    agent.end().await;
    served
}

/// Binds where `loadtest run` reaches the agent.
pub fn listener(config: &listen::Config) -> Result<Listener, listen::Error> {
    Listener::internal(config)
}

async fn forget(agent: Arc<Agent>) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    loop {
        clock.tick().await;
        let is_forgotten = agent.running.lock().await.as_ref().is_some_and(|r| r.asked.elapsed() > FORGOTTEN);
        if is_forgotten {
            tracing::warn!("nobody has asked for {FORGOTTEN:?}; the fleet ends");
            agent.end().await;
        }
    }
}

impl Agent {
    async fn end(&self) {
        let running = self.running.lock().await.take();
        if let Some(running) = running {
            running.fleet.end().await;
        }
    }
}

async fn machine() -> Json<Machine> {
    Json(Machine { version: VERSION, cores: std::thread::available_parallelism().map_or(1, usize::from) })
}

async fn begin(State(agent): State<Arc<Agent>>, Json(beginning): Json<Beginning>) -> Result<StatusCode, Refusal> {
    let invalid = |e: &dyn std::fmt::Display| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "scenario", e);
    let failed = |e: &dyn std::fmt::Display| Refusal::new(StatusCode::BAD_GATEWAY, "fleet", e);
    let Beginning { server, run, share } = beginning;
    share.scenario.check().map_err(|e| invalid(&e))?;
    let signer = Signer::new(LOADTEST_ISSUER, &agent.key).map_err(|e| failed(&e))?;
    let api = Api::new(server, agent.ca.as_deref(), signer, run, share.scenario.duration).map_err(|e| failed(&e))?;
    agent.end().await;
    let mut fleet = Fleet::new(api, share, Network::default()).map_err(|e| failed(&e))?;
    if let Err(error) = fleet.publish().await {
        fleet.end().await;
        return Err(failed(&error));
    }
    *agent.running.lock().await = Some(Running { fleet, asked: Instant::now() });
    Ok(StatusCode::CREATED)
}

async fn watch(State(agent): State<Arc<Agent>>, Json(ask): Json<Viewers>) -> Result<StatusCode, Refusal> {
    if !(ask.rate.is_finite() && ask.rate > 0.0) {
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "rate", "must be above 0"));
    }
    let running = agent.running.lock().await;
    running.as_ref().ok_or_else(Refusal::no_fleet)?.fleet.watch(ask.viewers as usize, ask.rate);
    Ok(StatusCode::NO_CONTENT)
}

async fn take(State(agent): State<Arc<Agent>>) -> Result<Json<Tally>, Refusal> {
    let mut running = agent.running.lock().await;
    let running = running.as_mut().ok_or_else(Refusal::no_fleet)?;
    running.asked = Instant::now();
    let tally = running.fleet.take().await;
    Ok(Json(tally.map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "fleet", e))?))
}

async fn end(State(agent): State<Arc<Agent>>) -> StatusCode {
    agent.end().await;
    StatusCode::NO_CONTENT
}

/// An agent that this process commands.
pub struct Remote {
    client: reqwest::Client,
    url: Url,
    cores: usize,
    beginning: Beginning,
}

/// Why an agent does not do what it is to.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It is not reached.
    #[error("agent {url}: {source}")]
    Unreachable {
        /// Which.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// It refuses.
    #[error("agent {url}: {detail}")]
    Refused {
        /// Which.
        url: Url,
        /// What it says.
        detail: String,
    },
    /// It speaks another version.
    #[error("agent {url} is of version {theirs}, this is {VERSION}; run the same release on all machines")]
    Version {
        /// Which.
        url: Url,
        /// Its version.
        theirs: u32,
    },
    /// The HTTP client cannot be had.
    #[error(transparent)]
    Client(#[from] crate::api::ApiError),
}

impl Remote {
    /// Meets the agent at this base URL, which will get this task. `identity` is shown to agents off loopback.
    pub async fn meet(
        url: Url,
        identity: Option<&cluster::tls::Identity>,
        beginning: Beginning,
    ) -> Result<Self, RemoteError> {
        let client = client(identity)?;
        let remote = Self { client, url, cores: 0, beginning };
        let response = remote.call(remote.client.get(remote.at("v1/agent"))).await?;
        let machine: Machine = response.json().await.map_err(|e| remote.unreachable(e))?;
        if machine.version != VERSION {
            return Err(RemoteError::Version { url: remote.url, theirs: machine.version });
        }
        Ok(Self { cores: machine.cores, ..remote })
    }

    /// Its machine's cores.
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// Publishes its cameras.
    pub async fn publish(&self) -> Result<(), RemoteError> {
        self.call(self.client.post(self.at("v1/fleet")).json(&self.beginning)).await.map(drop)
    }

    /// See [`Fleet::watch`].
    pub async fn watch(&self, viewers: u32, rate: f64) -> Result<(), RemoteError> {
        self.call(self.client.put(self.at("v1/fleet/viewers")).json(&Viewers { viewers, rate })).await.map(drop)
    }

    /// See [`Fleet::take`].
    pub async fn take(&self) -> Result<Tally, RemoteError> {
        let response = self.call(self.client.post(self.at("v1/fleet/tally"))).await?;
        response.json().await.map_err(|e| self.unreachable(e))
    }

    /// Everybody there leaves.
    pub async fn end(&self) -> Result<(), RemoteError> {
        self.call(self.client.delete(self.at("v1/fleet"))).await.map(drop)
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    fn unreachable(&self, source: reqwest::Error) -> RemoteError {
        RemoteError::Unreachable { url: self.url.clone(), source }
    }

    async fn call(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, RemoteError> {
        let response = call.timeout(PATIENCE).send().await.map_err(|e| self.unreachable(e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        let detail = serde_json::from_str::<Problem>(&text).map_or_else(|_| status.to_string(), |p| p.detail);
        Err(RemoteError::Refused { url: self.url.clone(), detail })
    }
}

fn client(identity: Option<&cluster::tls::Identity>) -> Result<reqwest::Client, crate::api::ApiError> {
    match identity {
        None => http_client(None::<&Path>),
        Some(_) => {
            let tls = cluster::tls::client(identity)?;
            Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).build()?)
        }
    }
}
