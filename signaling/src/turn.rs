//! TURN servers (RFC 8656) for peers whose network lets neither UDP nor the media nodes' TCP port through, with credentials
//! that the servers can check by themselves (draft-uberti-behave-turn-rest-00; coturn's `use-auth-secret`).
//!
//! Invariant: the secret that is shared with the servers never leaves; what leaves names one session, and is good for a
//! time.

use crate::config::{LoadError, read};
use axum::http::HeaderValue;
use base64::{Engine, engine::general_purpose::STANDARD};
use protocol::SessionId;
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, str::FromStr};
use url::Url;

/// Which TURN servers there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Their addresses (RFC 7065), such as `turns:turn.example:443?transport=tcp`.
    pub urls: Vec<TurnUrl>,
    /// File with the secret that is shared with them, read at the start.
    pub secret_file: PathBuf,
    /// How long a credential is good, in seconds.
    #[serde(default = "a_day")]
    pub lifetime_seconds: u64,
}

fn a_day() -> u64 {
    Turn::DAY
}

/// Address of a TURN server (RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TurnUrl(String);

impl From<TurnUrl> for String {
    fn from(url: TurnUrl) -> Self {
        url.0
    }
}

impl TryFrom<String> for TurnUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for TurnUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, query) = text.split_once('?').unwrap_or((text, "transport=udp"));
        let host = address.strip_prefix("turn:").or_else(|| address.strip_prefix("turns:"));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        // Host and port are those of an HTTP address, and are read as such.
        let is_host = |host: &str| host.chars().all(is_plain) && Url::parse(&format!("http://{host}/")).is_ok();
        let is_sound = host.is_some_and(is_host) && matches!(query, "transport=udp" | "transport=tcp");
        if is_sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "'{text}' is no TURN server; write turn:HOST:PORT, or turns:HOST:PORT, with ?transport=tcp for TCP"
            ))
        }
    }
}

/// The servers, with their secret.
pub struct TurnServers {
    urls: Vec<String>,
    key: hmac::Key,
    lifetime_seconds: u64,
}

/// What a browser's `RTCConfiguration` takes (W3C WebRTC, section 4.2.2).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IceServer {
    urls: Vec<String>,
    username: String,
    credential: String,
}

impl Turn {
    /// The usual life of a credential, in seconds.
    pub const DAY: u64 = 24 * 3600;

    /// The servers; an error when the secret is out of reach, or is none.
    pub fn servers(&self) -> Result<TurnServers, LoadError> {
        if self.urls.is_empty() {
            return Err(LoadError::Setting { key: "turn.urls", reason: "it names no server" });
        }
        if self.lifetime_seconds == 0 {
            return Err(LoadError::Setting { key: "turn.lifetime_seconds", reason: "must be above 0" });
        }
        let text = read("turn.secret_file", &self.secret_file)?;
        let secret = text.trim();
        if secret.is_empty() {
            return Err(LoadError::Unusable {
                key: "turn.secret_file",
                path: self.secret_file.clone(),
                reason: "it holds no secret".into(),
            });
        }
        // The draft, and so every server, demands SHA-1; as a MAC it is sound (RFC 6194, section 3.3).
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let urls = self.urls.iter().cloned().map(String::from).collect();
        Ok(TurnServers { urls, key, lifetime_seconds: self.lifetime_seconds })
    }
}

impl TurnServers {
    /// The servers as a session may use them from now on, in Unix seconds.
    pub(crate) fn for_session(&self, session: SessionId, now: u64) -> IceServer {
        let username = format!("{}:{session}", now.saturating_add(self.lifetime_seconds));
        let credential = STANDARD.encode(hmac::sign(&self.key, username.as_bytes()));
        IceServer { urls: self.urls.clone(), username, credential }
    }
}

impl IceServer {
    /// Values of `Link` headers, one for each address (RFC 9725, section 4.6).
    pub(crate) fn links(&self) -> impl Iterator<Item = HeaderValue> {
        self.urls.iter().map(|url| {
            let link = format!(
                "<{url}>; rel=\"ice-server\"; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                self.username, self.credential
            );
            HeaderValue::try_from(link).expect("an address, digits, a UUID and base64 are visible ASCII")
        })
    }
}
