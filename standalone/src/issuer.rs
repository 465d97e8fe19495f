//! Issues grants in central control's place, until there is one.

use anyhow::Context;
use cluster::{Directory, Received};
use protocol::event::Event;
use protocol::grant::{Audience, CameraGrant, Claims, Signer, Verifier};
use protocol::{CameraId, Rid, SessionId};
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The agent in this process, as its grant calls it.
pub(crate) const AGENT: &str = "agent-1";
const HOUR: u64 = 3600;
const PUBLISH_HOURS: u64 = 24;

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// What a grant is to state.
pub(crate) struct Terms<'a> {
    /// To view, or to publish.
    pub(crate) aud: Audience,
    /// Whom it is for.
    pub(crate) sub: &'a str,
    /// The largest encoding.
    pub(crate) max: &'a Rid,
    /// Whether it is for sound too.
    pub(crate) audio: bool,
    /// How long it lasts; a viewing window of that length when it is to view.
    pub(crate) hours: u64,
}

/// A grant for these cameras, with a session of its own.
pub(crate) fn grant(signer: &Signer, terms: &Terms<'_>, cameras: &[CameraId]) -> anyhow::Result<String> {
    let mut sid = [0; 16];
    SystemRandom::new().fill(&mut sid).ok().context("no randomness")?;
    let iat = unix_now();
    let exp = iat + terms.hours * HOUR;
    let camera = |id: &CameraId| CameraGrant { id: *id, max: terms.max.clone(), audio: terms.audio };
    Ok(signer.sign(&Claims {
        iss: String::new(),
        aud: terms.aud,
        sub: terms.sub.to_owned(),
        sid: SessionId::from_random(sid),
        jti: Uuid::new_v4().to_string(),
        iat,
        exp,
        win: (terms.aud == Audience::View).then_some(exp),
        cameras: cameras.iter().map(camera).collect(),
    }))
}

/// A grant to publish, for the agent in this process.
pub(crate) fn publish_grant(signer: &Signer, cameras: &[CameraId]) -> anyhow::Result<String> {
    let max = Rid::high();
    let terms = Terms { aud: Audience::Publish, sub: AGENT, max: &max, audio: true, hours: PUBLISH_HOURS };
    grant(signer, &terms, cameras)
}

/// Renews publish grants that are about to end, as long as the bus lives.
pub(crate) async fn renew(signer: Arc<Signer>, verifier: Arc<Verifier>, directory: Arc<dyn Directory>) {
    let mut events = directory.subscribe();
    while let Some(received) = events.next().await {
        let Received::Event(Event::GrantExpiring { subject, token }) = received else { continue };
        let Ok(old) = verifier.verify(&token, Audience::Publish, unix_now()) else {
            tracing::warn!("a grant that is not good was to be renewed");
            continue;
        };
        let iat = unix_now();
        let renewed = Claims { iat, exp: iat + PUBLISH_HOURS * HOUR, jti: Uuid::new_v4().to_string(), ..old };
        let event = Event::GrantRenewed { subject, token: signer.sign(&renewed) };
        if let Err(error) = directory.publish(event).await {
            tracing::warn!(%error, "a renewed grant could not be sent");
        }
    }
}
