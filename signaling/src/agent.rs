//! The agents' socket (`GET /v1/agent`, RFC 6455, [`protocol::agent`]): the handshake, up to the welcome. Invariant: an
//! agent is welcomed only for cameras that its publish grant names.

mod session;

use crate::{Signaling, authorize::Caller, failure::Failure};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use protocol::{
    agent::{Down, MAX_MESSAGE, SUBPROTOCOL, Up, VERSION},
    camera::Camera,
    grant::{Audience, Claims},
};
use session::Session;
use std::{collections::BTreeSet, time::Duration};
use tracing::Instrument;

/// How long an agent may take to say hello.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// How long a message to an agent may take to be taken.
const SEND_TIME: Duration = Duration::from_secs(5);
/// How long a closed agent may take to close on its side.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// The oldest version that is understood. There was none before the first.
const OLDEST: u32 = if VERSION > 1 { VERSION - 1 } else { VERSION };

/// Why a socket ends (RFC 6455, section 7.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// 1002: the peer does not keep to the protocol.
    Protocol(String),
    /// 1008: what the peer does is not allowed.
    Policy(String),
    /// 1013: this service cannot go on now.
    TryAgain(String),
    /// The peer has gone, or does not take messages; there is nobody to tell.
    Gone,
}

impl From<cluster::Error> for End {
    fn from(e: cluster::Error) -> Self {
        Self::TryAgain(e.to_string())
    }
}

/// `GET /v1/agent`.
pub(crate) async fn connect(
    State(service): State<Signaling>,
    caller: Caller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let claims = service.admitted(&caller, Audience::Publish)?;
    let token = caller.bearer()?.to_owned();
    let upgrade = upgrade.map_err(|e| Failure::NoWebSocket(e.body_text()))?;
    let upgrade = upgrade.protocols([SUBPROTOCOL]).max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    if upgrade.selected_protocol().is_none() {
        return Err(Failure::NoWebSocket(format!("ask for the subprotocol {SUBPROTOCOL}")));
    }
    let span = tracing::info_span!("agent", grant = claims.jti);
    Ok(upgrade.on_upgrade(move |socket| Box::pin(serve(service, socket, claims, token).instrument(span))))
}

async fn serve(service: Signaling, mut socket: WebSocket, claims: Claims, token: String) {
    let counted = service.0.metrics.agent();
    let end = match greeted(&mut socket, &claims).await {
        Ok(cameras) => Session::new(&service, &mut socket, claims, token, cameras).run().await,
        Err(end) => end,
    };
    drop(counted);
    close(&mut socket, end).await;
}

/// The cameras of an agent that may be welcomed.
async fn greeted(socket: &mut WebSocket, claims: &Claims) -> Result<Vec<Camera>, End> {
    let first = tokio::time::timeout(HELLO_TIME, hello(socket)).await;
    let (version, software, cameras) =
        first.map_err(|_| End::Policy(format!("no hello within {} s", HELLO_TIME.as_secs())))??;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(End::Protocol(format!("version {version} is not spoken here; {OLDEST} to {VERSION} are")));
    }
    if let Some(foreign) = cameras.iter().find(|c| claims.camera(c.id).is_none()) {
        return Err(End::Policy(format!("camera {} is not in the grant", foreign.id)));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = cameras.iter().find(|c| !seen.insert(c.id)) {
        return Err(End::Protocol(format!("camera {} is named twice", twice.id)));
    }
    tracing::info!(version, cameras = cameras.len(), "agent connected");
    tracing::debug!(software);
    Ok(cameras)
}

async fn hello(socket: &mut WebSocket) -> Result<(u32, String, Vec<Camera>), End> {
    loop {
        match received(socket.recv().await)? {
            Some(Up::Hello { version, software, cameras }) => return Ok((version, software, cameras)),
            Some(_) => return Err(End::Protocol("the first message is to be a hello".into())),
            None => {}
        }
    }
}

/// A message of the protocol, if it is one; pings and pongs are none.
fn received(message: Option<Result<Message, axum::Error>>) -> Result<Option<Up>, End> {
    match message {
        Some(Ok(Message::Text(text))) => {
            serde_json::from_str(&text).map(Some).map_err(|e| End::Protocol(format!("not understood: {e}")))
        }
        Some(Ok(Message::Binary(_))) => Err(End::Protocol("messages are text".into())),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match tokio::time::timeout(SEND_TIME, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

async fn say(socket: &mut WebSocket, down: &Down) -> Result<(), End> {
    let text = serde_json::to_string(down).expect("a message is plain strings and lists");
    send(socket, Message::Text(text.into())).await
}

async fn close(socket: &mut WebSocket, end: End) {
    let (code, mut reason) = match end {
        End::Protocol(reason) => (1002, reason),
        End::Policy(reason) => (1008, reason),
        End::TryAgain(reason) => (1013, reason),
        End::Gone => {
            tracing::info!("agent gone");
            return;
        }
    };
    tracing::info!(code, "agent's socket closed");
    tracing::debug!(reason);
    // A control frame carries 125 bytes, two of them the code (RFC 6455, section 5.5).
    reason.truncate(reason.floor_char_boundary(123));
    if send(socket, Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.is_ok() {
        // Until the peer answers: a socket that is dropped with unread bytes would take the reason with it.
        let _ = tokio::time::timeout(FAREWELL_TIME, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}
