//! Identifiers. Newtypes, so that one kind can never stand in for another.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::{Uuid, Variant, Version};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One physical camera: a permanent object, published or not.
    CameraId
);
uuid_id!(
    /// What a grant calls one viewer's or publisher's session (claim `sid`). A second connection with the same one
    /// replaces the first.
    SessionId
);
uuid_id!(
    /// One peer connection of a session, named in its WHIP or WHEP session URL. 128 random bits.
    ConnectionId
);

/// First bytes of every load-test camera's id.
const LOADTEST: [u8; 4] = [0x10, 0xad, 0x7e, 0x57];

impl CameraId {
    /// A load test's camera: a UUID of version 8 (RFC 9562, section 5.8),
    /// `10ad7e57-RRRR-8000-8000-RRRRNNNNNNNN` with the run's number in R and the camera's in N. A real camera's id is
    /// of version 7, so it is never one of these.
    pub fn loadtest(run: u32, number: u32) -> Self {
        let run = run.to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&LOADTEST);
        bytes[4..6].copy_from_slice(&run[..2]);
        bytes[10..12].copy_from_slice(&run[2..]);
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Whether it is a load test's camera.
    pub fn is_loadtest(self) -> bool {
        let shape = (self.0.get_version(), self.0.get_variant());
        self.0.as_bytes().starts_with(&LOADTEST) && shape == (Some(Version::Custom), Variant::RFC4122)
    }
}

impl SessionId {
    /// A session id from 128 random bits.
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bits))
    }
}

impl ConnectionId {
    /// A connection id from 128 random bits.
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bits))
    }
}

/// A media node, by the name its operator gave it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Restriction identifier of an encoding (RFC 8851): `h`, `m`, `l` from large to small; 1 to 16 alphanumeric
/// characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rid(String);

/// The text is no RFC 8851 rid.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no encoding id: 1 to 16 letters or digits")]
pub struct InvalidRid(String);

impl Rid {
    /// The main stream's encoding.
    pub fn high() -> Self {
        Self("h".into())
    }

    /// The sub stream's encoding.
    pub fn low() -> Self {
        Self("l".into())
    }

    /// The text as it stands in SDP and RTP.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Order by size of picture: `l` < `m` < `h`; other names count as `h`.
    pub fn rank(&self) -> u8 {
        match self.0.as_str() {
            "l" => 0,
            "m" => 1,
            _ => 2,
        }
    }
}

impl TryFrom<String> for Rid {
    type Error = InvalidRid;
    fn try_from(s: String) -> Result<Self, InvalidRid> {
        let valid = (1..=16).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
        if valid { Ok(Self(s)) } else { Err(InvalidRid(s)) }
    }
}

impl FromStr for Rid {
    type Err = InvalidRid;
    fn from_str(s: &str) -> Result<Self, InvalidRid> {
        s.to_owned().try_into()
    }
}

impl From<Rid> for String {
    fn from(rid: Rid) -> Self {
        rid.0
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
