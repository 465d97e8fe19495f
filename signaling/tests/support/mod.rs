//! A signaling service on a real listener, with the embedded directory, a fake node and an issuer of grants.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use axum::{
    Json, Router,
    body::Body,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};
use cluster::{
    Directory, InProcess, NodeClient,
    listen::{Config, Listener},
};
use futures_util::{StreamExt, stream};
use protocol::{
    CameraId, ConnectionId, NodeId, Problem, Rid, SessionId,
    grant::{Audience, CameraGrant, Claims, Jwks, LOADTEST_ISSUER, Signer, Verifier},
    node::{Answer, Change, NodeRecord, NodeState, Publish, Restarted, View},
    session::Event,
};
use reqwest::Method;
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use serde_json::{Value, json};
use signaling::{Cors, Limits, Signaling, Terms};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{broadcast, oneshot},
    task::JoinHandle,
};

/// Smallest text that passes for an offer.
pub(crate) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:peer\r\n";
const ANSWER: &str = "v=0\r\no=- 2 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:Ab/+\r\n";

/// A password of good length.
pub(crate) const PASSWORD: &str = "0123456789abcdefghijklmn";

/// What the fake node was asked.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Publish(Publish),
    View(View),
    Change(ConnectionId, Change),
    Restart(ConnectionId),
    Disconnect(ConnectionId),
}

/// A node that records what it is asked and answers as it is told.
#[derive(Clone)]
pub(crate) struct FakeNode {
    asked: Arc<Mutex<Vec<Asked>>>,
    refusal: Arc<Mutex<Option<Problem>>>,
    /// What streams of events are to say; an empty text ends them.
    events: broadcast::Sender<String>,
}

impl Default for FakeNode {
    fn default() -> Self {
        Self { asked: Arc::default(), refusal: Arc::default(), events: broadcast::channel(64).0 }
    }
}

impl FakeNode {
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no handler panics").clone()
    }

    /// The view request that came last.
    pub(crate) fn last_view(&self) -> View {
        match self.asked().pop() {
            Some(Asked::View(view)) => view,
            other => panic!("not asked for a view last, but {other:?}"),
        }
    }

    pub(crate) fn refuse(&self, problem: Problem) {
        *self.refusal.lock().expect("no handler panics") = Some(problem);
    }

    /// The change that came last.
    pub(crate) fn last_change(&self) -> Change {
        match self.asked().pop() {
            Some(Asked::Change(_, change)) => change,
            other => panic!("not asked for a change last, but {other:?}"),
        }
    }

    /// Says something on every stream of events.
    pub(crate) fn tell(&self, event: &Event) {
        let text = serde_json::to_string(event).expect("plain data");
        // An error means that nobody listens.
        let _ = self.events.send(format!("data: {text}\n\n"));
    }

    /// Ends every stream of events.
    pub(crate) fn end_streams(&self) {
        let _ = self.events.send(String::new());
    }

    /// Streams of events that are read.
    pub(crate) fn streams(&self) -> usize {
        self.events.receiver_count()
    }

    fn answer(&self, asked: Asked) -> Response {
        let restarts = |asked: &[Asked]| asked.iter().filter(|a| matches!(a, Asked::Restart(_))).count();
        let mut all = self.asked.lock().expect("no handler panics");
        all.push(asked);
        if let Some(p) = self.refusal.lock().expect("no handler panics").clone() {
            return (StatusCode::from_u16(p.status).expect("a status"), Json(p)).into_response();
        }
        match all.last() {
            Some(Asked::Publish(_) | Asked::View(_)) => {
                (StatusCode::CREATED, Json(Answer { answer: ANSWER.into() })).into_response()
            }
            Some(Asked::Restart(_)) => {
                let fragment = format!("a=ice-lite\r\na=ice-ufrag:ice{}\r\na=ice-pwd:{PASSWORD}\r\n", restarts(&all));
                Json(Restarted { fragment }).into_response()
            }
            _ => StatusCode::NO_CONTENT.into_response(),
        }
    }

    fn stream(&self) -> Response {
        let events = stream::unfold(self.events.subscribe(), |mut events| async move {
            let text = events.recv().await.ok().filter(|text| !text.is_empty())?;
            Some((Ok::<_, Infallible>(text), events))
        });
        let first = stream::once(async { Ok(": hello\n\n".to_owned()) });
        Body::from_stream(first.chain(events)).into_response()
    }

    fn router(&self) -> Router {
        let (publish, view, disconnect) = (self.clone(), self.clone(), self.clone());
        let (change, restart, events) = (self.clone(), self.clone(), self.clone());
        let publish = |Json(p): Json<Publish>| async move { publish.answer(Asked::Publish(p)) };
        let view = |Json(v): Json<View>| async move { view.answer(Asked::View(v)) };
        let disconnect = |Path(id): Path<ConnectionId>| async move {
            disconnect.answer(Asked::Disconnect(id));
            StatusCode::NO_CONTENT
        };
        let change =
            |Path(id): Path<ConnectionId>, Json(c): Json<Change>| async move { change.answer(Asked::Change(id, c)) };
        let restart = |Path(id): Path<ConnectionId>| async move { restart.answer(Asked::Restart(id)) };
        let events = || async move { events.stream() };
        Router::new()
            .route("/v1/viewers/{id}", patch(change))
            .route("/v1/viewers/{id}/events", get(events))
            .route("/v1/connections/{id}/restart", post(restart))
            .route("/v1/publishers", post(publish))
            .route("/v1/viewers", post(view))
            .route("/v1/connections/{id}", delete(disconnect))
    }
}

/// Everything that a test of the service needs.
pub(crate) struct Stage {
    /// Base URL of the public listener.
    pub(crate) url: String,
    /// Base URL of the internal listener.
    pub(crate) internal: String,
    /// What nodes know together.
    pub(crate) directory: Arc<InProcess>,
    /// The node behind it.
    pub(crate) node: FakeNode,
    /// Signs grants.
    pub(crate) signer: Signer,
    /// Signs a load test's grants, where the service trusts it.
    pub(crate) loadtest: Signer,
    /// Makes calls.
    pub(crate) http: reqwest::Client,
    serving: Option<(oneshot::Sender<()>, JoinHandle<io::Result<()>>)>,
}

/// A header's text.
pub(crate) fn header(response: &reqwest::Response, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().expect("visible ASCII").to_owned()
}

/// Wall clock, in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// The `n`th camera.
pub(crate) fn camera(n: u8) -> CameraId {
    CameraId(SessionId::from_random([n; 16]).0)
}

/// The node's name.
pub(crate) fn node_id() -> NodeId {
    NodeId("node-1".into())
}

/// A grant as tests want it by default: one minute, for camera 1 in its small encoding, for `parent-1`.
pub(crate) fn claims(aud: Audience) -> Claims {
    let cameras = vec![CameraGrant { id: camera(1), max: Rid::low(), audio: false }];
    let (sid, iat, exp) = (SessionId::from_random([5; 16]), now(), now() + 60);
    Claims { iss: String::new(), aud, sub: "parent-1".into(), sid, jti: "g1".into(), iat, exp, win: None, cameras }
}

/// A signer with a key of its own.
pub(crate) fn signer() -> Signer {
    signer_for("https://control.test")
}

fn signer_for(issuer: &str) -> Signer {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the system has randomness");
    Signer::new(issuer, key.as_ref()).expect("a fresh key")
}

fn listener() -> Listener {
    Listener::internal(&Config::plain(SocketAddr::from(([127, 0, 0, 1], 0)))).expect("loopback may be plain")
}

/// An HTTP client without TLS.
pub(crate) fn http() -> reqwest::Client {
    let tls = cluster::tls::client(None).expect("no files to read");
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
}

impl Stage {
    /// A service and one node that serves.
    pub(crate) async fn new() -> Self {
        Self::with(Cors::default()).await
    }

    /// The same, with these origins.
    pub(crate) async fn with(cors: Cors) -> Self {
        Self::start(Terms { cors, ..Terms::default() }, false).await
    }

    /// The same, with these limits.
    pub(crate) async fn limited(limits: &Limits) -> Self {
        Self::start(Terms { limits: limits.clone(), ..Terms::default() }, false).await
    }

    /// The same, trusting a load test's issuer too.
    pub(crate) async fn of_a_test_cluster(limits: &Limits) -> Self {
        Self::start(Terms { limits: limits.clone(), ..Terms::default() }, true).await
    }

    /// The same, on these terms.
    pub(crate) async fn start(terms: Terms, trusts_loadtest: bool) -> Self {
        let (signer, loadtest) = (signer(), signer_for(LOADTEST_ISSUER));
        let verifier = Verifier::new(signer.issuer(), &Jwks { keys: vec![signer.jwk()] });
        let keys = Jwks { keys: vec![loadtest.jwk()] };
        let verifier = if trusts_loadtest { verifier.with_loadtest(&keys) } else { verifier };
        let directory = Arc::new(InProcess::new());
        let nodes = NodeClient::new(None).expect("no files to read");
        let shared: Arc<dyn Directory> = Arc::clone(&directory) as Arc<dyn Directory>;
        let registry = prometheus::Registry::new();
        let verifier = Arc::new(verifier);
        let service = Signaling::new(terms, shared, verifier, nodes, &registry);
        let service = service.expect("a fresh registry");
        let (public, internal, node) = (listener(), listener(), FakeNode::default());
        let urls = (public.url(), internal.url());
        let node_listener = listener();
        let record = record(node_listener.url());
        tokio::spawn(node_listener.serve(node.router(), std::future::pending()));
        directory.register(record.clone()).await.expect("in process");
        tokio::spawn(beat(Arc::clone(&directory), record));
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            // An error means that the stage is gone.
            let _ = stopped.await;
        };
        let serving = tokio::spawn(async move { service.serve(public, internal, stopped).await });
        let serving = Some((stop, serving));
        Self { url: urls.0, internal: urls.1, directory, node, signer, loadtest, http: http(), serving }
    }

    /// Tells the service to stop, once; gives how it ends.
    pub(crate) fn stop(&mut self) -> JoinHandle<io::Result<()>> {
        let (stop, serving) = self.serving.take().expect("it is stopped once");
        stop.send(()).expect("it serves");
        serving
    }

    /// A token with default claims, changed.
    pub(crate) fn grant(&self, aud: Audience, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = claims(aud);
        change(&mut claims);
        self.signer.sign(&claims)
    }

    /// A default view grant.
    pub(crate) fn view(&self) -> String {
        self.grant(Audience::View, |_| {})
    }

    /// Calls with a JSON body.
    pub(crate) async fn json(&self, method: Method, path: &str, token: &str, body: &Value) -> reqwest::Response {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        request.json(body).send().await.expect("answered")
    }

    /// Opens a session with a default offer; gives its URL's path.
    pub(crate) async fn session(&self, token: &str) -> String {
        let opened = self.json(Method::POST, "/v1/sessions", token, &json!({"offer": OFFER})).await;
        assert_eq!(opened.status(), 201);
        header(&opened, "location")
    }

    /// One counter or gauge of the service, by its line's start.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let metrics = self.http.get(format!("{}/metrics", self.internal)).send().await.expect("answered");
        let metrics = metrics.text().await.expect("a body");
        let value = metrics.lines().find_map(|l| l.strip_prefix(line)).unwrap_or("0");
        value.trim().parse().unwrap_or_else(|_| panic!("{line}: {value}"))
    }

    /// Posts a default offer.
    pub(crate) async fn offer(&self, path: &str, token: &str) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.url)).header("content-type", "application/sdp");
        request.bearer_auth(token).body(OFFER).send().await.expect("answered")
    }
}

/// A record of the fake node.
pub(crate) fn record(url: String) -> NodeRecord {
    NodeRecord { id: node_id(), url, state: NodeState::Serving, viewers: 0, publishers: 0, load: 0.1 }
}

/// Keeps the node alive, until something else than serving is said of it.
async fn beat(directory: Arc<InProcess>, record: NodeRecord) {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let known = directory.nodes().await.expect("in process");
        if known.first() != Some(&record) {
            return;
        }
        directory.heartbeat(record.clone()).await.expect("in process");
    }
}

/// Asserts that an answer is a problem, and gives it.
pub(crate) async fn problem(response: reqwest::Response, status: u16, code: &str) -> Problem {
    let media_type = response.headers().get("content-type").cloned();
    assert_eq!(response.status(), status);
    assert_eq!(media_type.expect("a type"), Problem::MEDIA_TYPE);
    let problem: Problem = response.json().await.expect("problem details");
    assert_eq!((problem.status, problem.code.as_str()), (status, code));
    assert!(problem.detail.len() > 10, "it says what to do: {problem:?}");
    problem
}
