//! Client of a media node's API ([`protocol::node`]). Invariant: a call is answered within 5 s, a stream of events ends
//! once it falls silent, and an error that the node states arrives as the node stated it.

use crate::tls;
use axum::{Router, body::Body, http};
use bytes::Bytes;
use protocol::{
    ConnectionId, NodeId, Problem,
    node::{Answer, Change, NodeRecord, Publish, Restarted, View},
};
use reqwest::{RequestBuilder, Response};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tower::ServiceExt;

const CONNECT_TIME: Duration = Duration::from_secs(2);
const CALL_TIME: Duration = Duration::from_secs(5);

/// Why a node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The node refuses, and says why.
    #[error("the node refuses: {} ({})", .0.detail, .0.code)]
    Refused(Problem),
    /// The node cannot be reached, or does not answer in time.
    #[error("node {node} cannot be reached: {source}")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// What went wrong; the URL is left out.
        source: reqwest::Error,
    },
    /// The node takes too long over an answer, or a stream of events has fallen silent.
    #[error("node {node} has said nothing for {} s", .time.as_secs())]
    Silent {
        /// Which node.
        node: NodeId,
        /// For how long.
        time: Duration,
    },
    /// The answer is not one of the node API.
    #[error("node {node} answers {status} without a body of the node API")]
    Malformed {
        /// Which node.
        node: NodeId,
        /// HTTP status of the answer.
        status: u16,
    },
}

/// Calls nodes. Cheap to clone; connections are kept and shared.
#[derive(Clone, Debug)]
pub struct NodeClient {
    http: reqwest::Client,
    /// The APIs of nodes in this process, by their URLs.
    here: Arc<RwLock<HashMap<String, Router>>>,
}

/// Keeps a node of this process within reach without the network, until it is dropped.
#[derive(Debug)]
pub struct Here {
    client: NodeClient,
    url: String,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.client.here.write().unwrap_or_else(PoisonError::into_inner).remove(&self.url);
    }
}

impl NodeClient {
    /// A client, with the identity that nodes off loopback ask for.
    pub fn new(identity: Option<&tls::Identity>) -> Result<Self, tls::Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client(identity)?)
            .connect_timeout(CONNECT_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("the TLS configuration is of the version that reqwest takes");
        Ok(Self { http, here: Arc::default() })
    }

    /// Calls the node at this URL, which is of this process, by its API itself from now on: no socket lies between.
    pub fn reach(&self, url: &str, api: Router) -> Here {
        self.here.write().unwrap_or_else(PoisonError::into_inner).insert(url.to_owned(), api);
        Here { client: self.clone(), url: url.to_owned() }
    }

    /// Connects a publisher.
    pub async fn publish(&self, node: &NodeRecord, request: &Publish) -> Result<Answer, NodeError> {
        self.offer(node, "v1/publishers", request).await
    }

    /// Connects a viewer.
    pub async fn view(&self, node: &NodeRecord, request: &View) -> Result<Answer, NodeError> {
        self.offer(node, "v1/viewers", request).await
    }

    /// Ends a connection; one that is gone already is no error.
    pub async fn disconnect(&self, node: &NodeRecord, connection: ConnectionId) -> Result<(), NodeError> {
        let path = format!("v1/connections/{connection}");
        self.send(node, self.http.delete(url(node, &path))).await.map(drop)
    }

    /// Changes what a viewer's slots show, and its grant.
    pub async fn change(&self, node: &NodeRecord, connection: ConnectionId, change: &Change) -> Result<(), NodeError> {
        let path = format!("v1/viewers/{connection}");
        self.send(node, self.http.patch(url(node, &path)).json(change)).await.map(drop)
    }

    /// Gives a connection new ICE credentials.
    pub async fn restart(&self, node: &NodeRecord, connection: ConnectionId) -> Result<Restarted, NodeError> {
        let path = format!("v1/connections/{connection}/restart");
        self.answered(node, self.http.post(url(node, &path))).await
    }

    /// A viewer's events, as they happen. The stream fails after `silence` without a byte.
    pub async fn events(
        &self,
        node: &NodeRecord,
        connection: ConnectionId,
        silence: Duration,
    ) -> Result<NodeEvents, NodeError> {
        let path = format!("v1/viewers/{connection}/events");
        let body = self.send(node, self.http.get(url(node, &path))).await?;
        Ok(NodeEvents { node: node.id.clone(), body, silence })
    }

    async fn offer(&self, node: &NodeRecord, path: &str, request: &impl Serialize) -> Result<Answer, NodeError> {
        self.answered(node, self.http.post(url(node, path)).json(request)).await
    }

    async fn answered<T: DeserializeOwned>(&self, node: &NodeRecord, request: RequestBuilder) -> Result<T, NodeError> {
        let response = self.send(node, request).await?;
        let status = response.status().as_u16();
        let body = tokio::time::timeout(CALL_TIME, response.json()).await.map_err(|_| silent(node))?;
        body.map_err(|_| NodeError::Malformed { node: node.id.clone(), status })
    }

    /// The head of a successful answer.
    async fn send(&self, node: &NodeRecord, request: RequestBuilder) -> Result<Response, NodeError> {
        let exchanged = tokio::time::timeout(CALL_TIME, self.exchange(node, request)).await;
        let response = exchanged.map_err(|_| silent(node))?.map_err(|e| unreachable(&node.id, e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let stated: Option<Problem> = tokio::time::timeout(CALL_TIME, response.json()).await.ok().and_then(Result::ok);
        // The line decides; a body that says otherwise is not to be believed.
        match stated.filter(|p| p.status == status.as_u16()) {
            Some(problem) => Err(NodeError::Refused(problem)),
            None => Err(NodeError::Malformed { node: node.id.clone(), status: status.as_u16() }),
        }
    }

    async fn exchange(&self, node: &NodeRecord, request: RequestBuilder) -> reqwest::Result<Response> {
        let here = self.here.read().unwrap_or_else(PoisonError::into_inner).get(&node.url).cloned();
        let Some(api) = here else { return request.send().await };
        let request = http::Request::<reqwest::Body>::try_from(request.build()?)?;
        let Ok(response) = api.oneshot(request.map(Body::new)).await;
        Ok(response.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())).into())
    }
}

/// A viewer's server-sent events as its node writes them, read piece by piece. Dropped, it ends at the node too.
#[derive(Debug)]
pub struct NodeEvents {
    node: NodeId,
    body: Response,
    silence: Duration,
}

impl NodeEvents {
    /// The next bytes, not aligned to events; `None` where the node has ended the stream. May be cancelled without
    /// losing a byte.
    pub async fn next(&mut self) -> Result<Option<Bytes>, NodeError> {
        match tokio::time::timeout(self.silence, self.body.chunk()).await {
            Ok(piece) => piece.map_err(|e| unreachable(&self.node, e)),
            Err(_) => Err(NodeError::Silent { node: self.node.clone(), time: self.silence }),
        }
    }
}

fn silent(node: &NodeRecord) -> NodeError {
    NodeError::Silent { node: node.id.clone(), time: CALL_TIME }
}

fn unreachable(node: &NodeId, error: reqwest::Error) -> NodeError {
    NodeError::Unreachable { node: node.clone(), source: error.without_url() }
}

fn url(node: &NodeRecord, path: &str) -> String {
    format!("{}/{path}", node.url.trim_end_matches('/'))
}
