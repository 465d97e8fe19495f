//! STUN binding requests: as they are, and with the attributes in the input vouched for by the right password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ring::hmac;
use rtc_stun::message::{BINDING_SUCCESS, Getter, Message};
use rtc_stun::xoraddr::XorMappedAddress;
use sfu_core::ice::BindingRequest;
use std::net::SocketAddr;

const MAX_GROWTH: usize = 32;

fuzz_target!(|data: &[u8]| {
    assert!(answer(data).is_none_or(|nominated| nominated == carries(data, 0x25)), "whether the pair is nominated");
    let request = vouched(data);
    if let Some(nominated) = answer(&request) {
        assert_eq!(nominated, carries(&request, 0x25), "whether the pair is nominated");
    }
});

/// Whether a request was answered, and then whether it nominated its pair.
fn answer(request: &[u8]) -> Option<bool> {
    let from: SocketAddr = ([192, 0, 2, 7], 4000).into();
    let reply = BindingRequest::read(request)?.answer(&fuzz::credentials(), from, fuzz::PROVIDER.crypto())?;
    assert!(reply.response.len() <= request.len() + MAX_GROWTH, "{} bytes for {}", reply.response.len(), request.len());
    let mut response = Message::new();
    response.unmarshal_binary(&reply.response).expect("the answer is STUN");
    assert_eq!(response.typ, BINDING_SUCCESS);
    assert_eq!(response.transaction_id.0, request[8..20]);
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&response).expect("an address");
    assert_eq!((mapped.ip, mapped.port), (from.ip(), from.port()));
    Some(reply.nominated)
}

/// Whether a message has an attribute before its MESSAGE-INTEGRITY.
fn carries(message: &[u8], wanted: u16) -> bool {
    let mut rest = message.get(20..).unwrap_or_default();
    while let [t0, t1, l0, l1, after @ ..] = rest {
        let kind = u16::from_be_bytes([*t0, *t1]);
        if kind == wanted || kind == 8 {
            return kind == wanted;
        }
        let padded = usize::from(u16::from_be_bytes([*l0, *l1])).next_multiple_of(4);
        rest = after.get(padded..).unwrap_or_default();
    }
    false
}

/// A binding request with a user name, these attributes, and MESSAGE-INTEGRITY (RFC 8489, section 14.5).
fn vouched(attributes: &[u8]) -> Vec<u8> {
    let ours = fuzz::credentials();
    let mut attributes = attributes[..attributes.len().min(480)].to_vec();
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let user = format!("{}:abc", ours.ufrag);
    let len = 4 + user.len() + attributes.len() + 24;
    let mut message = vec![0, 1, (len >> 8) as u8, len as u8, 0x21, 0x12, 0xa4, 0x42];
    message.extend_from_slice(b"transaction!");
    message.extend_from_slice(&[0, 6, 0, user.len() as u8]);
    message.extend_from_slice(user.as_bytes());
    message.extend_from_slice(&attributes);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, ours.password.as_bytes());
    let tag = hmac::sign(&key, &message);
    message.extend_from_slice(&[0, 8, 0, 20]);
    message.extend_from_slice(tag.as_ref());
    message
}
