//! Grants: signed, short-lived statements of what one session may see or publish.
//!
//! JWT (RFC 7519) signed with EdDSA over Ed25519 (RFC 8037); header `kid` names the key, a JWKS (RFC 7517) holds the
//! issuer's public keys. Invariant: a [`Claims`] that left [`Verifier::verify`] is authentic, meant for that audience,
//! not expired, and its life is within the bounds below; if a load test's issuer signed it, it names no real camera.

use crate::{CameraId, Rid, SessionId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The issuer (claim `iss`) of load tests' grants, which may name cameras of [`CameraId::loadtest`] alone: whoever gets
/// hold of its key sees no kindergarten.
pub const LOADTEST_ISSUER: &str = "loadtest";
/// Longest life of a view grant without a viewing window, in seconds.
pub const MAX_VIEW_SECONDS: u64 = 5 * 60;
/// Longest life of a view grant that ends with its viewing window (`win`), in seconds.
pub const MAX_WINDOW_SECONDS: u64 = 24 * 3600;
/// Longest life of a publish grant, in seconds.
pub const MAX_PUBLISH_SECONDS: u64 = 24 * 3600;
/// Difference of clocks between issuer and verifier that is forgiven, in seconds.
const LEEWAY_SECONDS: u64 = 30;
/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 64 * 1024;

/// What a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// To watch.
    View,
    /// To publish.
    Publish,
}

impl Audience {
    fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Publish => "publish",
        }
    }
}

/// One camera of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraGrant {
    /// Which one.
    pub id: CameraId,
    /// The largest encoding that may be seen, or published.
    pub max: Rid,
    /// Whether sound may be heard, or published.
    pub audio: bool,
}

/// What a grant states. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// What it is for.
    pub aud: Audience,
    /// Whom it is for: an account, or an agent. Opaque.
    pub sub: String,
    /// The session it opens.
    pub sid: SessionId,
    /// Identifies this grant, for audit and revocation.
    pub jti: String,
    /// When it was signed.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// End of the viewing window; a view grant that lasts longer than 5 minutes ends exactly then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub win: Option<u64>,
    /// What may be seen, or published.
    pub cameras: Vec<CameraGrant>,
}

impl Claims {
    /// The entry of a camera, if the grant names it.
    pub fn camera(&self, id: CameraId) -> Option<&CameraGrant> {
        self.cameras.iter().find(|c| c.id == id)
    }

    /// Whether less than a third of its life is left.
    pub fn is_expiring(&self, now: u64) -> bool {
        self.exp.saturating_sub(now) < self.exp.saturating_sub(self.iat) / 3
    }

    fn within_bounds(&self) -> bool {
        let life = self.exp.saturating_sub(self.iat);
        match self.aud {
            Audience::Publish => life <= MAX_PUBLISH_SECONDS,
            Audience::View => life <= MAX_VIEW_SECONDS || (self.win == Some(self.exp) && life <= MAX_WINDOW_SECONDS),
        }
    }
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not a token, or its signature or issuer is wrong.
    #[error("the grant is not valid: {0}")]
    Invalid(String),
    /// Its time is over.
    #[error("the grant has expired; ask for a new one")]
    Expired,
    /// It is for something else.
    #[error("the grant is not for '{0}'")]
    Audience(&'static str),
    /// It lasts longer than a grant of its kind may.
    #[error("the grant lasts longer than its kind may")]
    TooLong,
    /// A load test's issuer signed it, and it names a camera that is no load test's.
    #[error("the grant is a load test's, and camera {0} is not")]
    RealCamera(CameraId),
}

/// Signs grants with one key.
pub struct Signer {
    issuer: String,
    kid: String,
    key: EncodingKey,
    public: Vec<u8>,
}

/// The bytes are no Ed25519 key in PKCS #8 form.
#[derive(Debug, thiserror::Error)]
#[error("not an Ed25519 private key in PKCS #8 DER")]
pub struct InvalidKey;

impl Signer {
    /// A signer for `issuer` with an Ed25519 key, PKCS #8 DER. Its `kid` is the start of the public key.
    pub fn new(issuer: &str, pkcs8: &[u8]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| InvalidKey)?;
        let public = pair.public_key().as_ref().to_vec();
        let kid = URL_SAFE_NO_PAD.encode(&public[..9]);
        Ok(Self { issuer: issuer.into(), kid, key: EncodingKey::from_ed_der(pkcs8), public })
    }

    /// The issuer it signs for.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs the claims, in this signer's name.
    pub fn sign(&self, claims: &Claims) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        let claims = Claims { iss: self.issuer.clone(), ..claims.clone() };
        jsonwebtoken::encode(&header, &claims, &self.key).expect("a checked Ed25519 key signs plain claims")
    }

    /// The public half.
    pub fn jwk(&self) -> Jwk {
        Jwk { kty: "OKP".into(), crv: "Ed25519".into(), kid: self.kid.clone(), x: URL_SAFE_NO_PAD.encode(&self.public) }
    }
}

/// An Ed25519 public key (RFC 8037, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// Names the key.
    pub kid: String,
    /// The public key, base64url.
    pub x: String,
}

/// A set of public keys (RFC 7517, section 5). Two are valid while keys rotate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// Checks grants against their issuers' public keys.
pub struct Verifier {
    keys: BTreeMap<String, Key>,
}

/// A key that is trusted, for grants of one issuer.
struct Key {
    issuer: String,
    public: DecodingKey,
}

impl Key {
    fn is_loadtest(&self) -> bool {
        self.issuer == LOADTEST_ISSUER
    }
}

impl Verifier {
    /// A verifier that trusts `issuer`'s `keys`. Keys of other kinds than Ed25519 are left out.
    pub fn new(issuer: &str, keys: &Jwks) -> Self {
        Self { keys: BTreeMap::new() }.trusting(issuer, keys)
    }

    /// The same, trusting the keys of [`LOADTEST_ISSUER`] too. Where both have a key of the same `kid`, it is the first
    /// issuer's.
    #[must_use]
    pub fn with_loadtest(self, keys: &Jwks) -> Self {
        self.trusting(LOADTEST_ISSUER, keys)
    }

    fn trusting(mut self, issuer: &str, keys: &Jwks) -> Self {
        for jwk in keys.keys.iter().filter(|k| k.kty == "OKP" && k.crv == "Ed25519") {
            let Ok(public) = DecodingKey::from_ed_components(&jwk.x) else { continue };
            self.keys.entry(jwk.kid.clone()).or_insert(Key { issuer: issuer.into(), public });
        }
        self
    }

    /// Whether a token says of itself that a load test's issuer signed it. Nothing is verified.
    pub fn names_loadtest(&self, token: &str) -> bool {
        self.key(token).is_ok_and(Key::is_loadtest)
    }

    /// The key that a token names.
    fn key(&self, token: &str) -> Result<&Key, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(invalid(&"too long"));
        }
        let kid = jsonwebtoken::decode_header(token).map_err(|e| invalid(&e))?.kid.unwrap_or_default();
        self.keys.get(&kid).ok_or_else(|| invalid(&"signed by an unknown key"))
    }

    /// The claims of a token, if every check holds at `now` (Unix seconds).
    pub fn verify(&self, token: &str, audience: Audience, now: u64) -> Result<Claims, Refused> {
        let key = self.key(token)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false; // time is an argument here
        validation.validate_aud = false; // checked below, with an error of its own
        validation.set_issuer(&[&key.issuer]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key.public, &validation).map_err(|e| invalid(&e))?.claims;
        if claims.aud != audience {
            return Err(Refused::Audience(audience.as_str()));
        }
        if claims.exp <= now {
            return Err(Refused::Expired);
        }
        if claims.iat > now + LEEWAY_SECONDS {
            return Err(invalid(&"signed in the future; check the clocks"));
        }
        if !claims.within_bounds() {
            return Err(Refused::TooLong);
        }
        match claims.cameras.iter().find(|c| key.is_loadtest() && !c.id.is_loadtest()) {
            Some(real) => Err(Refused::RealCamera(real.id)),
            None => Ok(claims),
        }
    }
}

fn invalid(why: &dyn std::fmt::Display) -> Refused {
    Refused::Invalid(why.to_string())
}
