//! The service's configuration, read by [`settings`]. Invariant: a key that nobody reads is an error, and every error
//! names its key.

use crate::{limits::Limits, turn::Turn};
use axum::http::HeaderValue;
use cluster::{listen, tls};
use protocol::grant::{Jwks, Verifier};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Everything the service reads at its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where browsers, WHIP clients and agents connect.
    pub listen: listen::Config,
    /// Where health and metrics are asked for.
    pub internal: listen::Config,
    /// Whose grants are good.
    pub grants: Grants,
    /// Which pages may call from a browser.
    #[serde(default)]
    pub cors: Cors,
    /// How often somebody may call.
    #[serde(default)]
    pub limits: Limits,
    /// TURN servers that peers are told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<Turn>,
    /// Shown to nodes that are reached by mutual TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_identity: Option<tls::Identity>,
}

/// Whose grants are good.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// The issuer (claim `iss`).
    pub issuer: String,
    /// JSON file with the issuer's public keys (RFC 7517), read at the start.
    pub jwks_file: PathBuf,
    /// The same of [`protocol::grant::LOADTEST_ISSUER`], whose grants are good as well then, for cameras of load tests
    /// alone. For test clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loadtest_jwks_file: Option<PathBuf>,
}

/// Which pages may call from a browser (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// Allowed origins, such as `https://app.example`. Empty allows every origin, which is safe here: calls carry a
    /// bearer token, never cookies, so a foreign page can do nothing that its own server could not.
    #[serde(default, with = "origins", skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<HeaderValue>,
}

mod origins {
    use super::HeaderValue;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<HeaderValue>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        let parse = |t: String| match t.split_once("://") {
            Some((_, host)) if !host.is_empty() && !host.contains('/') => t.parse().map_err(Error::custom),
            _ => Err(Error::custom(format!("'{t}' is no origin; write scheme://host or scheme://host:port"))),
        };
        texts.into_iter().map(parse).collect()
    }

    pub(super) fn serialize<S: Serializer>(origins: &[HeaderValue], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(origins.iter().map(|o| String::from_utf8_lossy(o.as_bytes())))
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A key's value makes no sense.
    #[error("{key}: {reason}")]
    Setting {
        /// Which key.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file that a key names is out of reach.
    #[error("{key}: {path}: {source}")]
    Read {
        /// The key that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration's file is out of reach, or a key is missing, unknown, or of the wrong kind.
    #[error(transparent)]
    Invalid(#[from] settings::Error),
    /// A file that a key names does not hold what it should.
    #[error("{key}: {path}: {reason}")]
    Unusable {
        /// The key that names it.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Config {
    /// Reads the file, then the environment.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Ok(settings::load(path)?)
    }
}

impl Grants {
    /// The verifier of these issuers' grants.
    pub fn verifier(&self) -> Result<Verifier, LoadError> {
        let verifier = Verifier::new(&self.issuer, &jwks("grants.jwks_file", &self.jwks_file)?);
        Ok(match &self.loadtest_jwks_file {
            Some(path) => verifier.with_loadtest(&jwks("grants.loadtest_jwks_file", path)?),
            None => verifier,
        })
    }
}

/// The public keys in the file that `key` names.
fn jwks(key: &'static str, path: &Path) -> Result<Jwks, LoadError> {
    let unusable = |reason: String| LoadError::Unusable { key, path: path.into(), reason };
    let text = read(key, path)?;
    let keys: Jwks = serde_json::from_str(&text).map_err(|e| unusable(format!("not a JWKS: {e}")))?;
    if keys.keys.is_empty() {
        return Err(unusable("it holds no key, so no grant could ever be good".into()));
    }
    Ok(keys)
}

/// The text of the file that `key` names.
pub(crate) fn read(key: &'static str, path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|source| LoadError::Read { key, path: path.into(), source })
}
