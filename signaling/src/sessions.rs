//! Viewers' sessions (`/v1/sessions`): up to 16 slots over one transport, changed without renegotiation. Invariant: a call
//! that names a camera beyond its grant changes nothing.

use crate::{
    Signaling,
    authorize::{Caller, granted, show},
    body,
    connections::{Opened, Resource, lease, record},
    failure::Failure,
    sdpfrag,
    turn::IceServer,
};
use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use cluster::{Amendment, ConnectionRecord, placement};
use protocol::{
    CameraId, Rid,
    grant::{Audience, Claims},
    node::{Change, Listen, MAX_SLOTS, SlotChange, View},
};
use serde::{Deserialize, Deserializer, Serialize};

/// Body of `POST /v1/sessions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    offer: String,
    #[serde(default)]
    slots: Vec<Option<Wish>>,
    #[serde(default)]
    audio: Option<CameraId>,
}

/// What `POST /v1/sessions` is answered with.
#[derive(Serialize)]
struct Made {
    answer: String,
    #[serde(rename = "iceServers", skip_serializing_if = "Vec::is_empty")]
    ice_servers: Vec<IceServer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    camera: CameraId,
    #[serde(default)]
    rid: Option<Rid>,
    #[serde(default)]
    priority: u8,
}

/// Body of `PATCH /v1/sessions/{id}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changing {
    #[serde(default)]
    slots: Vec<SlotWish>,
    #[serde(default)]
    audio: Option<Hearing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotWish {
    slot: usize,
    #[serde(deserialize_with = "stated")]
    camera: Option<CameraId>,
    #[serde(default)]
    rid: Option<Rid>,
    #[serde(default)]
    priority: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hearing {
    #[serde(deserialize_with = "stated")]
    camera: Option<CameraId>,
}

/// `null` empties a slot; a key that was forgotten is an error.
fn stated<'de, D: Deserializer<'de>>(d: D) -> Result<Option<CameraId>, D::Error> {
    Option::deserialize(d)
}

/// `POST /v1/sessions`.
pub(crate) async fn open(
    State(service): State<Signaling>,
    caller: Caller,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.admitted(&caller, Audience::View)?;
    let Opening { offer, slots, audio: listen } = body::json(request).await?;
    body::check_offer(&offer)?;
    if slots.len() > MAX_SLOTS {
        return Err(Failure::TooManySlots);
    }
    let wished = |wish: Option<Wish>| wish.map(|w| show(&claims, w.camera, w.rid, w.priority)).transpose();
    let show = slots.into_iter().map(wished).collect::<Result<Vec<_>, _>>()?;
    if let Some(camera) = listen {
        granted(&claims, camera)?;
    }
    let shown: Vec<CameraId> = show.iter().flatten().map(|s| s.camera).chain(listen).collect();
    let nodes = service.0.directory.nodes().await?;
    let cameras = service.origins(&claims, shown).await?;
    let node = placement::session(&cameras, &nodes).ok_or(Failure::NoNode)?;
    let record = record(&claims, node);
    let (connection, session, until) = (record.connection, claims.sid, claims.exp);
    let request = View { connection, session, granted: claims.cameras, slots: MAX_SLOTS, show, listen, until, offer };
    let opened = service.open(record, &request.offer, service.0.nodes.view(node, &request)).await?;
    let Opened { connection, tag, answer, turn } = opened;
    let headers = [(header::LOCATION, Resource::Session.location(connection)), (header::ETAG, tag)];
    Ok((StatusCode::CREATED, headers, Json(Made { answer, ice_servers: turn.into_iter().collect() })).into_response())
}

/// `PATCH /v1/sessions/{id}`.
pub(crate) async fn patch(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
    request: Request,
) -> Result<Response, Failure> {
    let claims = service.claims(&caller, Audience::View)?;
    let record = service.reached(Resource::Session, &id, &claims).await?;
    service.within(service.0.limits.session(record.connection))?;
    if body::is(sdpfrag::MEDIA_TYPE, request.headers()) {
        return service.patch_ice(Resource::Session, &record, request).await;
    }
    let changing = body::json(request).await?;
    service.change(&record, claims, changing).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /v1/sessions/{id}`.
pub(crate) async fn leave(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    service.close(Resource::Session, &id, &service.claims(&caller, Audience::View)?).await
}

impl Signaling {
    /// The cameras that a session's node is chosen for, with their origins: those shown first, or else those it may
    /// come to show.
    async fn origins(
        &self,
        claims: &Claims,
        mut cameras: Vec<CameraId>,
    ) -> Result<Vec<(CameraId, Option<protocol::NodeId>)>, Failure> {
        if cameras.is_empty() {
            cameras.extend(claims.cameras.iter().take(MAX_SLOTS).map(|c| c.id));
        }
        if cameras.is_empty() {
            return Err(Failure::NothingGranted);
        }
        let known = self.0.directory.cameras(&cameras).await?;
        Ok(cameras.into_iter().zip(known).map(|(id, known)| (id, known.origin.map(|o| o.node))).collect())
    }

    async fn change(&self, record: &ConnectionRecord, claims: Claims, changing: Changing) -> Result<(), Failure> {
        if changing.slots.len() > MAX_SLOTS {
            return Err(Failure::TooManySlots);
        }
        let mut slots = Vec::new();
        for wish in changing.slots {
            if wish.slot >= MAX_SLOTS {
                return Err(Failure::NoSuchSlot(wish.slot));
            }
            let show = wish.camera.map(|camera| show(&claims, camera, wish.rid, wish.priority)).transpose()?;
            slots.push(SlotChange { slot: wish.slot, show });
        }
        let listen = changing.audio.map(|Hearing { camera }| Listen { camera });
        if let Some(Listen { camera: Some(camera) }) = listen {
            granted(&claims, camera)?;
        }
        let (connection, until) = (record.connection, claims.exp);
        let node = self.holder(Resource::Session, record).await?;
        let change = Change { granted: claims.cameras, until, slots, listen };
        let call = self.0.nodes.change(&node, connection, &change);
        self.at_node(Resource::Session, connection, call).await?;
        self.0.directory.amend_connection(connection, Amendment::Grant { until, lease: lease(until) }).await?;
        Ok(())
    }
}
