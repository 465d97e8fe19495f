//! ICE-lite agent (RFC 8445, section 2.5): answers whoever proves the password; asks nobody anything.
//!
//! Invariant: nothing is sent to an address that has not shown a valid MESSAGE-INTEGRITY, and an answer is no longer
//! than 32 bytes more than a request that carries what ICE demands.

use crate::types::ShardId;
use rtc_crypto::RTCCrypto;
use rtc_stun::attributes::{ATTR_MESSAGE_INTEGRITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;
use std::net::SocketAddr;

/// Longest STUN message that is looked at, in bytes.
pub const MAX_MESSAGE: usize = 600;

/// Our side's credentials for one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name fragment: 4 to 256 ice-chars (RFC 8839, section 5.4).
    pub ufrag: String,
    /// Password: 22 to 256 ice-chars.
    pub password: String,
}

impl Credentials {
    /// Credentials of 48 and 144 bits of randomness for a peer of this shard, which the user name fragment begins with.
    pub fn new(shard: ShardId, bits: &[u8; 24]) -> Self {
        const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: String = bits
            .chunks_exact(3)
            .flat_map(|c| {
                let word = u32::from_be_bytes([0, c[0], c[1], c[2]]);
                [18, 12, 6, 0].map(|shift| char::from(ICE_CHARS[(word >> shift & 63) as usize]))
            })
            .collect();
        Self { ufrag: format!("{:04x}{}", shard.0, &text[..8]), password: text[8..].to_owned() }
    }
}

/// A binding request, parsed but not yet believed.
pub struct BindingRequest {
    message: Message,
    /// The user name's first part: whom it is for.
    pub ufrag: String,
}

/// A believed request's consequences.
pub struct Reply {
    /// The success response.
    pub response: Vec<u8>,
    /// The peer nominates this pair.
    pub nominated: bool,
}

impl BindingRequest {
    /// Reads a datagram; `None` when it is no binding request with a user name.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        if datagram.len() > MAX_MESSAGE {
            return None;
        }
        let mut message = Message::new();
        message.unmarshal_binary(datagram).ok()?;
        if message.typ != BINDING_REQUEST {
            return None;
        }
        let user = TextAttribute::get_from_as(&message, ATTR_USERNAME).ok()?.text;
        let ufrag = user.split(':').next()?.to_owned();
        Some(Self { message, ufrag })
    }

    /// Which shard it is for.
    pub fn shard(&self) -> Option<ShardId> {
        u16::from_str_radix(self.ufrag.get(..4)?, 16).ok().map(ShardId)
    }

    /// The answer, if the request proves that its sender knows our password.
    pub fn answer(mut self, ours: &Credentials, from: SocketAddr, crypto: &dyn RTCCrypto) -> Option<Reply> {
        MessageIntegrity::check(&mut self.message, ours.password.as_bytes(), crypto).ok()?;
        let mut response = Message::new();
        let integrity = MessageIntegrity::new_raw_integrity_with_provider(ours.password.as_bytes(), crypto);
        response
            .build(&[
                Box::new(BINDING_SUCCESS),
                Box::new(self.message.transaction_id),
                Box::new(XorMappedAddress { ip: from.ip().to_canonical(), port: from.port() }),
                Box::new(integrity),
                Box::new(FINGERPRINT),
            ])
            .ok()?;
        // What follows MESSAGE-INTEGRITY nobody vouches for (RFC 8489, section 14.5).
        let mut vouched = self.message.attributes.0.iter().take_while(|a| a.typ != ATTR_MESSAGE_INTEGRITY);
        let nominated = vouched.any(|a| a.typ == ATTR_USE_CANDIDATE);
        Some(Reply { response: response.raw, nominated })
    }
}
