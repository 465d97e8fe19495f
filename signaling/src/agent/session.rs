//! A welcomed agent's socket. Invariant: it lives no longer than the grant it acts on, 15 s of silence, or the next
//! socket of the same agent, and every camera it has announced is in that grant.

use super::{End, received, say, send};
use crate::{
    Signaling,
    agents::{Agents, Command, Place},
    authorize::unix_now,
    wanted::Wish,
};
use axum::extract::ws::{Message, WebSocket};
use protocol::{
    CameraId,
    agent::{CameraHealth, Down, Up, VERSION},
    camera::Camera,
    event::Event,
    grant::{Audience, Claims},
};
use std::time::Duration;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, MissedTickBehavior, interval},
};

/// Pause between pings.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Silence after which an agent is given up.
const SILENCE: Duration = Duration::from_secs(15);
/// Most messages that an agent may send between two pings; by the protocol it sends one, and one a change of state.
const MESSAGES_PER_PING: u32 = 50;
/// How long a description outlives its agent's socket, so that a camera keeps its name while its site is away.
const DESCRIPTION_LEASE: Duration = Duration::from_secs(24 * 3600);
/// Pause between renewals of unchanged descriptions.
const RENEW_EVERY: Duration = Duration::from_secs(600);
/// Pause between requests for a renewed grant that have gone unanswered.
const ASK_AGAIN: Duration = Duration::from_secs(30);

pub(super) struct Session<'a> {
    service: &'a Signaling,
    socket: &'a mut WebSocket,
    claims: Claims,
    token: String,
    cameras: Vec<Camera>,
    heard: Instant,
    messages: u32,
    announced: Instant,
    asked: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        service: &'a Signaling,
        socket: &'a mut WebSocket,
        claims: Claims,
        token: String,
        cameras: Vec<Camera>,
    ) -> Self {
        let now = Instant::now();
        Self { service, socket, claims, token, cameras, heard: now, messages: 0, announced: now, asked: None }
    }

    pub(super) async fn run(mut self) -> End {
        let ids = self.cameras.iter().map(|c| c.id).collect();
        let agents: &Agents = &self.service.0.agents;
        let (_place, mut commands): (Place<'_>, _) = agents.enter(&self.claims.sub, ids);
        let served = match self.welcome().await {
            Ok(()) => self.converse(&mut commands).await,
            Err(end) => Err(end),
        };
        served.err().unwrap_or(End::Gone)
    }

    async fn welcome(&mut self) -> Result<(), End> {
        say(self.socket, &Down::Welcome { version: VERSION }).await?;
        self.announce().await?;
        let ids: Vec<CameraId> = self.cameras.iter().map(|c| c.id).collect();
        let known = self.service.0.directory.cameras(&ids).await?;
        for (camera, known) in ids.into_iter().zip(known) {
            if let Some(Wish { encodings, audio }) = self.service.0.wanted.of(camera, known.origin.as_ref()) {
                say(self.socket, &Down::Wanted { camera, encodings, audio }).await?;
            }
        }
        Ok(())
    }

    async fn converse(&mut self, commands: &mut Receiver<Command>) -> Result<(), End> {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let grant_left = self.grant_left();
            tokio::select! {
                message = self.socket.recv() => self.hear(received(message)?).await?,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => return Err(End::Policy("replaced by a newer socket of this agent, or too slow".into())),
                },
                _ = pings.tick() => self.tick().await?,
                () = tokio::time::sleep(grant_left) => self.check_grant()?,
            }
        }
    }

    async fn hear(&mut self, message: Option<Up>) -> Result<(), End> {
        self.heard = Instant::now();
        self.messages += 1;
        if self.messages > MESSAGES_PER_PING {
            return Err(End::Policy("too many messages; send health every 5 s and when a state changes".into()));
        }
        match message {
            Some(Up::Hello { .. }) => Err(End::Protocol("a hello comes once".into())),
            Some(Up::Health { cameras }) => self.learn(&cameras).await,
            Some(Up::Unknown) | None => Ok(()),
        }
    }

    /// Sizes of pictures, and what sound there is, become known when a stream is first seen.
    async fn learn(&mut self, health: &[CameraHealth]) -> Result<(), End> {
        let before = self.cameras.clone();
        for camera in &mut self.cameras {
            let Some(seen) = health.iter().find(|h| h.id == camera.id) else { continue };
            if seen.audio.is_some() {
                camera.audio.clone_from(&seen.audio);
            }
            for encoding in &mut camera.encodings {
                let size = seen.encodings.iter().find(|e| e.rid == encoding.rid).map(|e| (e.width, e.height));
                if let Some((Some(width), Some(height))) = size {
                    (encoding.width, encoding.height) = (Some(width), Some(height));
                }
            }
        }
        if self.cameras == before { Ok(()) } else { self.announce().await }
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Wanted(camera, Wish { encodings, audio }) => {
                say(self.socket, &Down::Wanted { camera, encodings, audio }).await
            }
            Command::Renewed(token) => self.renew(token).await,
        }
    }

    /// A token that does not verify, or is somebody else's, changes nothing.
    async fn renew(&mut self, token: String) -> Result<(), End> {
        let claims = match self.service.0.verifier.verify(&token, Audience::Publish, unix_now()) {
            Ok(claims) if claims.sub == self.claims.sub => claims,
            Ok(_) => {
                tracing::warn!("a renewed grant is for another subject");
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(%error, "a renewed grant is refused");
                return Ok(());
            }
        };
        if let Some(lost) = self.cameras.iter().find(|c| claims.camera(c.id).is_none()) {
            return Err(End::Policy(format!("camera {} is not in the renewed grant", lost.id)));
        }
        (self.claims, self.token, self.asked) = (claims, token.clone(), None);
        say(self.socket, &Down::Grant { token }).await
    }

    async fn tick(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > SILENCE {
            return Err(End::Policy(format!("nothing heard for {} s", SILENCE.as_secs())));
        }
        self.messages = 0;
        if self.announced.elapsed() >= RENEW_EVERY {
            self.announce().await?;
        }
        let unasked = self.asked.is_none_or(|at| at.elapsed() >= ASK_AGAIN);
        if unasked && self.claims.is_expiring(unix_now()) {
            self.asked = Some(Instant::now());
            let event = Event::GrantExpiring { subject: self.claims.sub.clone(), token: self.token.clone() };
            self.service.0.directory.publish(event).await?;
        }
        send(self.socket, Message::Ping(Vec::new().into())).await
    }

    async fn announce(&mut self) -> Result<(), End> {
        self.announced = Instant::now();
        for camera in &self.cameras {
            self.service.0.directory.announce(camera.clone(), DESCRIPTION_LEASE).await?;
        }
        Ok(())
    }

    fn grant_left(&self) -> Duration {
        Duration::from_secs(self.claims.exp.saturating_sub(unix_now()))
    }

    fn check_grant(&self) -> Result<(), End> {
        if self.claims.exp <= unix_now() { Err(End::Policy("the grant has expired".into())) } else { Ok(()) }
    }
}
