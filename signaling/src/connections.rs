//! Peer connections and their URLs, for whichever protocol they are of. Invariant: a connection is reached only by a
//! grant of the subject and session that opened it; for everybody else it is not there.

use crate::{Signaling, authorize::unix_now, failure::Failure, sdpfrag::username_fragment, turn::IceServer};
use axum::http::{HeaderValue, StatusCode};
use cluster::{Amendment, ConnectionRecord, IceSession, NodeError};
use protocol::{
    ConnectionId,
    grant::{Audience, Claims},
    node::{Answer, NodeRecord},
};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::Duration;

/// Which protocol a connection's URL is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Whip,
    Whep,
    Session,
}

impl Resource {
    pub(crate) fn audience(self) -> Audience {
        match self {
            Self::Whip => Audience::Publish,
            Self::Whep | Self::Session => Audience::View,
        }
    }

    /// The connection's URL, relative to the request (RFC 9110, section 10.2.2).
    pub(crate) fn location(self, connection: ConnectionId) -> HeaderValue {
        let base = match self {
            Self::Whip => "/whip/connections",
            Self::Whep => "/whep/connections",
            Self::Session => "/v1/sessions",
        };
        HeaderValue::try_from(format!("{base}/{connection}")).expect("a path and a UUID are visible ASCII")
    }

    /// It has ended, or it is somebody else's, or it never was.
    pub(crate) fn gone(self) -> Failure {
        match self {
            Self::Whip | Self::Whep => Failure::NoSuchConnection,
            Self::Session => Failure::NoSuchSession,
        }
    }
}

/// A connection that was made.
pub(crate) struct Opened {
    pub(crate) connection: ConnectionId,
    /// Its ICE session's entity tag.
    pub(crate) tag: HeaderValue,
    /// SDP answer.
    pub(crate) answer: String,
    /// TURN servers that it may use.
    pub(crate) turn: Option<IceServer>,
}

/// A record of a new connection on a node.
pub(crate) fn record(claims: &Claims, node: &NodeRecord) -> ConnectionRecord {
    ConnectionRecord {
        connection: random_connection(),
        session: claims.sid,
        subject: claims.sub.clone(),
        audience: claims.aud,
        node: node.id.clone(),
        until: claims.exp,
        ice: None,
    }
}

impl Signaling {
    /// Records the connection, then makes it, so that its end can never come before its record.
    pub(crate) async fn open(
        &self,
        record: ConnectionRecord,
        offer: &str,
        call: impl Future<Output = Result<Answer, NodeError>>,
    ) -> Result<Opened, Failure> {
        let (connection, session) = (record.connection, record.session);
        let theirs = username_fragment(offer).map(str::to_owned);
        tracing::debug!(%connection, node = %record.node, "connecting");
        let lease = lease(record.until);
        self.0.directory.put_connection(record, lease).await?;
        let answered = match call.await {
            Ok(Answer { answer }) => {
                username_fragment(&answer).map(str::to_owned).zip(Some(answer)).ok_or(Failure::Answer)
            }
            Err(error) => Err(error.into()),
        };
        let (ours, answer) = match answered {
            Ok(parts) => parts,
            Err(failure) => {
                // The caller is to hear of the first failure; a record that stays lapses with its lease.
                let _ = self.0.directory.remove_connection(connection).await;
                return Err(failure);
            }
        };
        let tag = entity_tag(&ours);
        self.0.directory.amend_connection(connection, Amendment::Ice(IceSession { ours, theirs })).await?;
        let turn = self.0.turn.as_ref().map(|servers| servers.for_session(session, unix_now()));
        Ok(Opened { connection, tag, answer, turn })
    }

    /// The record of a connection that these claims reach.
    pub(crate) async fn reached(
        &self,
        resource: Resource,
        id: &str,
        claims: &Claims,
    ) -> Result<ConnectionRecord, Failure> {
        let id: ConnectionId = id.parse().map_err(|_| resource.gone())?;
        let record = self.0.directory.connection(id).await?.ok_or_else(|| resource.gone())?;
        if (record.session, &record.subject, record.audience) != (claims.sid, &claims.sub, claims.aud) {
            return Err(resource.gone());
        }
        Ok(record)
    }

    /// The node that holds a connection. One that is not there any more has taken its connections with it.
    pub(crate) async fn holder(&self, resource: Resource, record: &ConnectionRecord) -> Result<NodeRecord, Failure> {
        self.live_node(record).await?.ok_or_else(|| resource.gone())
    }

    async fn live_node(&self, record: &ConnectionRecord) -> Result<Option<NodeRecord>, Failure> {
        let nodes = self.0.directory.nodes().await?;
        Ok(nodes.into_iter().find(|n| n.id == record.node))
    }

    /// What a node answers for a connection; one that it does not know is forgotten here too.
    pub(crate) async fn at_node<T>(
        &self,
        resource: Resource,
        connection: ConnectionId,
        call: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, Failure> {
        match call.await {
            Err(NodeError::Refused(problem)) if problem.status == 404 => {
                self.0.directory.remove_connection(connection).await?;
                Err(resource.gone())
            }
            other => Ok(other?),
        }
    }

    /// `DELETE` of a connection's URL.
    pub(crate) async fn close(&self, resource: Resource, id: &str, claims: &Claims) -> Result<StatusCode, Failure> {
        let record = self.reached(resource, id, claims).await?;
        let connection = record.connection;
        if let Some(node) = self.live_node(&record).await? {
            self.0.nodes.disconnect(&node, connection).await?;
        }
        self.0.directory.remove_connection(connection).await?;
        tracing::debug!(%connection, "closed by its client");
        Ok(StatusCode::OK)
    }
}

/// How long a record lasts whose grant ends then.
pub(crate) fn lease(until: u64) -> Duration {
    Duration::from_secs(until.saturating_sub(unix_now()))
}

/// Strong entity tag of an ICE session (RFC 9725, section 4.3.1): the node's username fragment, which a restart
/// changes. Its characters (RFC 8839, section 5.4) may all stand in a tag.
pub(crate) fn entity_tag(ufrag: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{ufrag}\"")).expect("a username fragment is letters, digits, '+' and '/'")
}

fn random_connection() -> ConnectionId {
    let mut bits = [0; 16];
    SystemRandom::new().fill(&mut bits).expect("the system's random source never fails once it works");
    ConnectionId::from_random(bits)
}
