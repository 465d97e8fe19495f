//! The WebSocket to signaling: wanted encodings and grants come down, health goes up (`protocol::agent`).
//!
//! Invariant: the last wanted sets stay in force while the link is down: media outlives signaling.

use crate::{
    backoff::Backoff, config::Token, grant::Unavailable, health::Board, publish::Wanted, signaling::Signaling,
};
use futures_util::{SinkExt, StreamExt};
use protocol::{
    CameraId,
    agent::{Down, MAX_MESSAGE, SUBPROTOCOL, Up, VERSION},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::WebSocketConfig,
    },
};

const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Longest time for connecting and for the welcome.
const OPENING: Duration = Duration::from_secs(10);
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
/// Changes within this time go up together.
const HEALTH_DELAY: Duration = Duration::from_millis(100);
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A peer silent for longer than this is gone.
const SILENCE: Duration = Duration::from_secs(15);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The link and what it steers.
pub struct Link {
    /// Whom to speak to.
    pub signaling: Signaling,
    /// What to say.
    pub board: Board,
    /// What is wanted of each camera.
    pub wanted: watch::Sender<BTreeMap<CameraId, Wanted>>,
}

/// Why the link is down.
#[derive(Debug, thiserror::Error)]
enum LinkDown {
    #[error(transparent)]
    Grant(#[from] Unavailable),
    #[error("WebSocket: {0}")]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("signaling does not answer")]
    Timeout,
    #[error("signaling closed the link: {0}")]
    Closed(String),
    #[error("signaling did not begin with a welcome")]
    NotWelcome,
    #[error("signaling speaks version {0} of this protocol, this agent version {VERSION}")]
    Version(u32),
    #[error("the grant is not a header value")]
    Header,
}

impl From<tungstenite::Error> for LinkDown {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

impl Link {
    /// Keeps the link up for as long as it is polled.
    pub async fn run(self) {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        loop {
            let down = match timeout(OPENING, self.open()).await {
                Ok(Ok(socket)) => {
                    tracing::info!("link to signaling is up");
                    backoff.reset();
                    match self.serve(socket).await {
                        Ok(never) => match never {},
                        Err(down) => down,
                    }
                }
                Ok(Err(down)) => down,
                Err(_) => LinkDown::Timeout,
            };
            tracing::warn!(reason = %down, "link to signaling is down");
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn open(&self) -> Result<Socket, LinkDown> {
        let mut url = self.signaling.at(&["v1", "agent"]);
        let is_secure = url.scheme() == "https";
        // Both schemes are special ones, between which a URL may change.
        let _ = url.set_scheme(if is_secure { "wss" } else { "ws" });
        let grant = self.signaling.grant().current().await?;
        let mut request = url.as_str().into_client_request()?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", grant.secret())).map_err(|_| LinkDown::Header)?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let connector = if is_secure { Connector::Rustls(self.signaling.tls()) } else { Connector::Plain };
        let (mut socket, _) = connect_async_tls_with_config(request, Some(limits), true, Some(connector)).await?;
        let hello = Up::Hello {
            version: VERSION,
            software: concat!("sunroom-edge-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
            cameras: self.board.cameras(),
        };
        say(&mut socket, &hello).await?;
        match hear(&mut socket).await? {
            Some(Down::Welcome { version }) if version + 1 >= VERSION => Ok(socket),
            Some(Down::Welcome { version }) => Err(LinkDown::Version(version)),
            _ => Err(LinkDown::NotWelcome),
        }
    }

    async fn serve(&self, mut socket: Socket) -> Result<std::convert::Infallible, LinkDown> {
        let mut changed = self.board.changed();
        let (mut health, mut ping) = (interval(HEALTH_INTERVAL), interval(PING_INTERVAL));
        health.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                message = hear(&mut socket) => {
                    heard = Instant::now();
                    if let Some(down) = message? {
                        self.obey(down).await;
                    }
                }
                _ = changed.changed() => health.reset_after(HEALTH_DELAY),
                _ = health.tick() => say(&mut socket, &Up::Health { cameras: self.board.health() }).await?,
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(LinkDown::Timeout);
                    }
                    timeout(SILENCE, socket.send(Message::Ping(Vec::new().into()))).await.map_err(|_| LinkDown::Timeout)??;
                }
            }
        }
    }

    async fn obey(&self, down: Down) {
        match down {
            Down::Wanted { camera, encodings, audio } => {
                tracing::debug!(%camera, ?encodings, audio, "wanted");
                self.wanted.send_if_modified(|all| all.get_mut(&camera).is_some_and(|w| w.replace(encodings, audio)));
            }
            Down::Grant { token } => match self.signaling.grant().renew(Token::from(token)).await {
                Ok(()) => tracing::info!("grant renewed"),
                Err(error) => tracing::warn!(%error, "the renewed grant is in use, but was not kept"),
            },
            Down::Welcome { .. } | Down::Unknown => {}
        }
    }
}

async fn say(socket: &mut Socket, up: &Up) -> Result<(), LinkDown> {
    let text = serde_json::to_string(up).expect("plain values are always JSON");
    timeout(SILENCE, socket.send(Message::text(text))).await.map_err(|_| LinkDown::Timeout)??;
    Ok(())
}

/// The next message; `None` for one that says nothing to the agent (a pong, or a message of a later version).
async fn hear(socket: &mut Socket) -> Result<Option<Down>, LinkDown> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
            Ok(down) => Ok(Some(down)),
            Err(error) => {
                tracing::warn!(%error, "a message from signaling was not understood");
                Ok(None)
            }
        },
        Some(Ok(Message::Close(frame))) => {
            Err(LinkDown::Closed(frame.map_or_else(|| "no reason given".into(), |f| f.reason.to_string())))
        }
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(error.into()),
        None => Err(LinkDown::Closed("the connection ended".into())),
    }
}
