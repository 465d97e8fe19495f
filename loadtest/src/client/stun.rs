//! ICE connectivity checks of the controlling side (RFC 8445, section 7), over STUN (RFC 8489).

use rtc_crypto::RTCCryptoProvider;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

/// Our username fragment, the same for every virtual peer: servers tell peers apart by theirs.
pub(super) const UFRAG: &str = "load";
/// What an address is written as where it does not matter.
pub(super) const ANY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
/// Priority of a peer-reflexive candidate (RFC 8445, section 5.1.2).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
/// Type of a success response to a binding request.
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];

/// A check that was sent.
pub(super) struct Transaction([u8; 12]);

impl Transaction {
    /// Whether a datagram is its answer.
    pub(super) fn is_answered_by(&self, datagram: &[u8]) -> bool {
        datagram.len() >= 20 && datagram[..2] == BINDING_SUCCESS && datagram[8..20] == self.0
    }
}

/// A check that nominates its pair.
pub(super) fn check(ufrag: &str, password: &str, provider: &Arc<dyn RTCCryptoProvider>) -> (Vec<u8>, Transaction) {
    let id = TransactionId::new();
    let raw = |typ, value: &[u8]| RawAttribute { typ, length: value.len() as u16, value: value.to_vec() };
    let mut message = Message::new();
    message
        .build(&[
            Box::new(BINDING_REQUEST),
            Box::new(id),
            Box::new(TextAttribute::new(ATTR_USERNAME, format!("{ufrag}:{UFRAG}"))),
            Box::new(raw(ATTR_USE_CANDIDATE, &[])),
            Box::new(raw(ATTR_PRIORITY, &PRIORITY.to_be_bytes())),
            Box::new(raw(ATTR_ICE_CONTROLLING, &id.0[..8])),
            Box::new(MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), provider.crypto())),
            Box::new(FINGERPRINT),
        ])
        .expect("a check of bounded attributes is a message");
    (message.raw, Transaction(id.0))
}
