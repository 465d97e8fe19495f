//! Client of a media node's API ([`protocol::node`]). Invariant: a call ends within 5 s, and an error that the node
//! states arrives as the node stated it.

use crate::tls;
use protocol::{
    ConnectionId, NodeId, Problem,
    node::{Answer, NodeRecord, Publish, View},
};
use reqwest::{RequestBuilder, Response};
use serde::Serialize;
use std::time::Duration;

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
}

impl NodeClient {
    /// A client, with the identity that nodes off loopback ask for.
    pub fn new(identity: Option<&tls::Identity>) -> Result<Self, tls::Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client(identity)?)
            .connect_timeout(CONNECT_TIME)
            .timeout(CALL_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("the TLS configuration is of the version that reqwest takes");
        Ok(Self { http })
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
        send(node, self.http.delete(url(node, &path))).await.map(drop)
    }

    async fn offer(&self, node: &NodeRecord, path: &str, request: &impl Serialize) -> Result<Answer, NodeError> {
        let response = send(node, self.http.post(url(node, path)).json(request)).await?;
        let status = response.status().as_u16();
        response.json().await.map_err(|_| NodeError::Malformed { node: node.id.clone(), status })
    }
}

fn url(node: &NodeRecord, path: &str) -> String {
    format!("{}/{path}", node.url.trim_end_matches('/'))
}

async fn send(node: &NodeRecord, request: RequestBuilder) -> Result<Response, NodeError> {
    let response = request.send().await;
    let response = response.map_err(|e| NodeError::Unreachable { node: node.id.clone(), source: e.without_url() })?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let stated: Option<Problem> = response.json().await.ok();
    // The line decides; a body that says otherwise is not to be believed.
    match stated.filter(|p| p.status == status.as_u16()) {
        Some(problem) => Err(NodeError::Refused(problem)),
        None => Err(NodeError::Malformed { node: node.id.clone(), status: status.as_u16() }),
    }
}
