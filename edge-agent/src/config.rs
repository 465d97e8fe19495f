//! The agent's configuration: one YAML file, and `SUNROOM_*` variables over it.
//!
//! Invariant: a [`Config`] that passed [`Config::check`] names a server that a grant may be sent to, a grant, and
//! cameras that are told apart.

use crate::source::Source;
use protocol::{CameraId, Rid};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};
use url::{Host, Url};

/// Everything the agent is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Base URL of signaling. `http` only to a loopback address.
    pub signaling: Url,
    /// A PEM file with certificates to trust besides the usual ones, for a signaling server of one's own.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The publish grant's file. A renewed grant is written back to it.
    #[serde(default)]
    pub grant_file: Option<PathBuf>,
    /// The publish grant itself, for a process that holds both ends.
    #[serde(default)]
    pub grant: Option<Token>,
    /// The cameras of this site.
    #[serde(default)]
    pub cameras: Vec<Camera>,
}

/// One camera.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Its permanent name.
    pub id: CameraId,
    /// A name that people know it by.
    pub name: String,
    /// Its large picture: encoding `h`.
    pub main: Source,
    /// Its small picture: encoding `l`.
    #[serde(default)]
    pub sub: Option<Source>,
    /// How RTP comes from it.
    #[serde(default)]
    pub transport: Transport,
}

impl Camera {
    /// Its streams, large to small.
    pub fn streams(&self) -> Vec<(Rid, Source)> {
        let sub = self.sub.clone().map(|s| (Rid::low(), s));
        std::iter::once((Rid::high(), self.main.clone())).chain(sub).collect()
    }
}

/// How RTP comes from a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Interleaved in the RTSP connection: nothing is lost.
    #[default]
    Tcp,
    /// By datagrams.
    Udp,
}

/// A grant's text. Does not print itself.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The text, for an `Authorization` header.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// The file is missing, is not YAML, or says something that is not known.
    #[error(transparent)]
    Read(#[from] settings::Error),
    /// A grant would cross a network in the clear.
    #[error("signaling '{0}': http is for a loopback address only; use https")]
    Insecure(Url),
    /// Not a web server.
    #[error("signaling '{0}': must be an https URL (or http to a loopback address)")]
    Scheme(Url),
    /// None, or two.
    #[error("give either grant_file or grant")]
    Grant,
    /// Two cameras with one id.
    #[error("camera {0} is listed twice")]
    Duplicate(CameraId),
    /// A camera without a name.
    #[error("camera {0} has no name")]
    Nameless(CameraId),
}

impl Config {
    /// Reads and checks the file, and the environment over it.
    pub fn load(path: &Path) -> Result<Self, InvalidConfig> {
        Self::checked(settings::load(path)?)
    }

    /// Checks a configuration given as YAML text.
    pub fn from_yaml(text: &str) -> Result<Self, InvalidConfig> {
        Self::checked(settings::from_yaml(text)?)
    }

    fn checked(config: Self) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(config)
    }

    /// Whether it can be acted on.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        match self.signaling.scheme() {
            "https" => {}
            "http" if is_loopback(&self.signaling) => {}
            "http" => return Err(InvalidConfig::Insecure(self.signaling.clone())),
            _ => return Err(InvalidConfig::Scheme(self.signaling.clone())),
        }
        if self.grant.is_some() == self.grant_file.is_some() {
            return Err(InvalidConfig::Grant);
        }
        let mut seen = BTreeSet::new();
        for camera in &self.cameras {
            if !seen.insert(camera.id) {
                return Err(InvalidConfig::Duplicate(camera.id));
            }
            if camera.name.trim().is_empty() {
                return Err(InvalidConfig::Nameless(camera.id));
            }
        }
        Ok(())
    }
}

/// Whether the URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
