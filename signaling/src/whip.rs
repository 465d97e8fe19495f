//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-04): one camera a connection, offers in, answers and connection URLs
//! out.

use crate::{
    Signaling,
    authorize::{Caller, granted, show},
    body,
    connections::{Opened, Resource, record},
    failure::Failure,
    turn::IceServer,
};
use axum::{
    extract::{Path, Query, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Response},
};
use cluster::placement;
use protocol::{
    CameraId, Rid,
    grant::{Audience, CameraGrant},
    node::{Publish, View},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Wish {
    rid: Option<Rid>,
}

/// `POST /whip/{camera}`.
pub(crate) async fn publish(
    State(service): State<Signaling>,
    Path(camera): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.admitted(&caller, Audience::Publish)?;
    let camera = camera_id(camera)?;
    let CameraGrant { max, audio, .. } = granted(&claims, camera)?.clone();
    let offer = body::offer(request).await?;
    let nodes = service.0.directory.nodes().await?;
    let node = placement::publisher(camera, &nodes).ok_or(Failure::NoNode)?;
    let record = record(&claims, node);
    let (connection, session, until) = (record.connection, claims.sid, claims.exp);
    let request = Publish { connection, session, camera, max, audio, until, offer };
    let opened = service.open(record, &request.offer, service.0.nodes.publish(node, &request)).await?;
    Ok(created(Resource::Whip, opened))
}

/// `POST /whep/{camera}`.
pub(crate) async fn view(
    State(service): State<Signaling>,
    Path(camera): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.admitted(&caller, Audience::View)?;
    let camera = camera_id(camera)?;
    let grant = granted(&claims, camera)?.clone();
    let wish = Query::<Wish>::try_from_uri(request.uri()).map_err(|e| Failure::Query(e.body_text()))?.0;
    let show = vec![Some(show(&claims, camera, wish.rid, 0)?)];
    let listen = grant.audio.then_some(camera);
    let offer = body::offer(request).await?;
    let nodes = service.0.directory.nodes().await?;
    let origin = service.0.directory.origin(camera).await?.map(|o| o.node);
    let node = placement::viewer(camera, origin.as_ref(), &nodes).ok_or(Failure::NoNode)?;
    let record = record(&claims, node);
    let (connection, session, until) = (record.connection, claims.sid, claims.exp);
    let request = View { connection, session, granted: vec![grant], slots: 1, show, listen, until, offer };
    let opened = service.open(record, &request.offer, service.0.nodes.view(node, &request)).await?;
    Ok(created(Resource::Whep, opened))
}

/// `DELETE /whip/connections/{connection}`.
pub(crate) async fn unpublish(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    service.close(Resource::Whip, &id, &service.claims(&caller, Audience::Publish)?).await
}

/// `DELETE /whep/connections/{connection}`.
pub(crate) async fn leave(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    service.close(Resource::Whep, &id, &service.claims(&caller, Audience::View)?).await
}

/// `PATCH /whip/connections/{connection}`.
pub(crate) async fn patch_publisher(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Failure> {
    patch(&service, Resource::Whip, &id, &caller, request).await
}

/// `PATCH /whep/connections/{connection}`.
pub(crate) async fn patch_viewer(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Failure> {
    patch(&service, Resource::Whep, &id, &caller, request).await
}

async fn patch(
    service: &Signaling,
    resource: Resource,
    id: &str,
    caller: &Caller,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.claims(caller, resource.audience())?;
    let record = service.reached(resource, id, &claims).await?;
    service.within(service.0.limits.session(record.connection))?;
    service.patch_ice(resource, &record, request).await
}

/// `GET` and `HEAD`: success without content, since these resources have no representation (RFC 9725 and WHEP,
/// section 4.1).
pub(crate) async fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn created(resource: Resource, opened: Opened) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(body::SDP)),
        (header::LOCATION, resource.location(opened.connection)),
        (header::ETAG, opened.tag),
    ];
    let turn = AppendHeaders(opened.turn.iter().flat_map(IceServer::links).map(|link| (header::LINK, link)));
    (StatusCode::CREATED, headers, turn, opened.answer).into_response()
}

fn camera_id(text: String) -> Result<CameraId, Failure> {
    text.parse().map_err(|_| Failure::NoSuchCamera(text))
}
