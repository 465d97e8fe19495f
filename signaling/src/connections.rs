//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04): offers in, answers and connection URLs out. Invariant: a
//! connection is reached only by a grant of the subject and session that opened it; for everybody else it is not there.

use crate::{
    Signaling,
    authorize::{granted, unix_now},
    failure::Failure,
};
use axum::{
    body::Bytes,
    extract::{FromRequest, Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cluster::{ConnectionRecord, placement};
use protocol::{
    CameraId, ConnectionId, Rid,
    grant::{Audience, CameraGrant, Claims},
    node::{Answer, NodeRecord, Publish, Show, View},
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use std::time::Duration;

/// Media type of offers and answers.
pub(crate) const SDP: &str = "application/sdp";

#[derive(Deserialize)]
struct Wish {
    rid: Option<Rid>,
}

/// `POST /whip/{camera}`.
pub(crate) async fn publish(
    State(service): State<Signaling>,
    Path(camera): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.claims(request.headers(), Audience::Publish)?;
    let camera = camera_id(camera)?;
    let CameraGrant { max, audio, .. } = granted(&claims, camera)?.clone();
    let offer = offer(request).await?;
    let nodes = service.0.directory.nodes().await?;
    let node = placement::publisher(camera, &nodes).ok_or(Failure::NoNode)?;
    let record = record(&claims, camera, node);
    let connection = record.connection;
    let request = Publish { connection, session: claims.sid, camera, max, audio, until: claims.exp, offer };
    let call = service.0.nodes.publish(node, &request);
    service.open(record, call).await
}

/// `POST /whep/{camera}`.
pub(crate) async fn view(
    State(service): State<Signaling>,
    Path(camera): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.claims(request.headers(), Audience::View)?;
    let camera = camera_id(camera)?;
    let granted = granted(&claims, camera)?.clone();
    let wish = Query::<Wish>::try_from_uri(request.uri()).map_err(|e| Failure::Query(e.body_text()))?.0;
    let max = wish.rid.filter(|rid| rid.rank() <= granted.max.rank()).unwrap_or_else(|| granted.max.clone());
    let offer = offer(request).await?;
    let nodes = service.0.directory.nodes().await?;
    let origin = service.0.directory.origin(camera).await?.map(|o| o.node);
    let node = placement::viewer(camera, origin.as_ref(), &nodes).ok_or(Failure::NoNode)?;
    let record = record(&claims, camera, node);
    let connection = record.connection;
    let listen = granted.audio.then_some(camera);
    let show = vec![Some(Show { camera, max })];
    let (session, until) = (claims.sid, claims.exp);
    let request = View { connection, session, granted: vec![granted], slots: 1, show, listen, until, offer };
    let call = service.0.nodes.view(node, &request);
    service.open(record, call).await
}

/// `DELETE /whip/connections/{connection}`.
pub(crate) async fn unpublish(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    service.close(&id, &service.claims(&headers, Audience::Publish)?).await
}

/// `DELETE /whep/connections/{connection}`.
pub(crate) async fn leave(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    service.close(&id, &service.claims(&headers, Audience::View)?).await
}

/// `GET` and `HEAD`: success without content, since these resources have no representation (WHEP, section 4.1).
pub(crate) async fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `PATCH`: neither trickle ICE nor ICE restarts.
pub(crate) async fn patch() -> Response {
    let allow = [(header::ALLOW, HeaderValue::from_static(crate::router::CONNECTION_METHODS))];
    (allow, Failure::Patch).into_response()
}

impl Signaling {
    /// Records the connection, then makes it, so that its end can never come before its record.
    async fn open(
        &self,
        record: ConnectionRecord,
        call: impl Future<Output = Result<Answer, cluster::NodeError>>,
    ) -> Result<Response, Failure> {
        let connection = record.connection;
        let base = match record.audience {
            Audience::Publish => "/whip/connections/",
            Audience::View => "/whep/connections/",
        };
        let lease = Duration::from_secs(record.until.saturating_sub(unix_now()));
        tracing::info!(%connection, camera = %record.camera, node = %record.node, "connecting");
        self.0.directory.put_connection(record, lease).await?;
        let answered = call.await.map_err(Failure::from).and_then(|a| Ok((entity_tag(&a.answer)?, a.answer)));
        let (tag, answer) = match answered {
            Ok(parts) => parts,
            Err(failure) => {
                // The caller is to hear of the first failure; a record that stays lapses with its lease.
                let _ = self.0.directory.remove_connection(connection).await;
                return Err(failure);
            }
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(SDP)),
            (header::LOCATION, text(format!("{base}{connection}"))),
            (header::ETAG, tag),
        ];
        Ok((StatusCode::CREATED, headers, answer).into_response())
    }

    async fn close(&self, id: &str, claims: &Claims) -> Result<StatusCode, Failure> {
        let id: ConnectionId = id.parse().map_err(|_| Failure::NoSuchConnection)?;
        let directory = &self.0.directory;
        let record = directory.connection(id).await?.ok_or(Failure::NoSuchConnection)?;
        if (record.session, &record.subject, record.audience) != (claims.sid, &claims.sub, claims.aud) {
            return Err(Failure::NoSuchConnection);
        }
        let nodes = directory.nodes().await?;
        // A node that is not there any more has taken its connections with it.
        if let Some(node) = nodes.iter().find(|n| n.id == record.node) {
            self.0.nodes.disconnect(node, id).await?;
        }
        directory.remove_connection(id).await?;
        tracing::info!(connection = %id, "closed by its client");
        Ok(StatusCode::OK)
    }
}

fn camera_id(text: String) -> Result<CameraId, Failure> {
    text.parse().map_err(|_| Failure::NoSuchCamera(text))
}

fn record(claims: &Claims, camera: CameraId, node: &NodeRecord) -> ConnectionRecord {
    ConnectionRecord {
        connection: random_connection(),
        session: claims.sid,
        subject: claims.sub.clone(),
        audience: claims.aud,
        node: node.id.clone(),
        camera,
        until: claims.exp,
    }
}

fn random_connection() -> ConnectionId {
    let mut bits = [0; 16];
    SystemRandom::new().fill(&mut bits).expect("the system's random source never fails once it works");
    ConnectionId::from_random(bits)
}

async fn offer(request: Request) -> Result<String, Failure> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(SDP) {
        return Err(Failure::MediaType);
    }
    let body = Bytes::from_request(request, &()).await.map_err(|e| match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge,
        _ => Failure::Offer("it ended early"),
    })?;
    let offer = String::from_utf8(body.into()).map_err(|_| Failure::Offer("it is not UTF-8"))?;
    if offer.is_empty() {
        return Err(Failure::Offer("it is empty"));
    }
    // RFC 8866, section 5: the version comes first. The node reads the rest.
    if !offer.starts_with("v=0") {
        return Err(Failure::Offer("it does not begin with 'v=0'"));
    }
    Ok(offer)
}

/// Strong entity tag of the ICE session (RFC 9725, section 4.3.1): the answer's username fragment, which a restart
/// would change. Its characters (RFC 8839, section 5.4) may all stand in a tag.
fn entity_tag(answer: &str) -> Result<HeaderValue, Failure> {
    let fragment = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).ok_or(Failure::Answer)?;
    HeaderValue::try_from(format!("\"{}\"", fragment.trim())).map_err(|_| Failure::Answer)
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("a path and a UUID are visible ASCII")
}
