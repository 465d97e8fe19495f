//! Binding requests: who is answered, with what, and how long the answer is.

use proptest::prelude::*;
use rtc_crypto::{RTCCrypto, RTCCryptoProvider, providers::RingProvider};
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_SOFTWARE, ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, MessageType, Setter, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;
use sfu_core::ShardId;
use sfu_core::ice::{BindingRequest, Credentials, Reply};
use std::net::SocketAddr;

fn ours() -> Credentials {
    Credentials::new(ShardId(0xbee), &std::array::from_fn(|i| i as u8 * 11))
}

fn address() -> SocketAddr {
    "198.51.100.7:4711".parse().expect("an address")
}

fn raw(typ: rtc_stun::attributes::AttrType, value: &[u8]) -> Box<dyn Setter> {
    Box::new(RawAttribute { typ, length: value.len() as u16, value: value.to_vec() })
}

/// A message of these attributes, signed with `password`, and those after the signature.
fn message(
    typ: MessageType,
    before: Vec<Box<dyn Setter>>,
    password: Option<&str>,
    after: Vec<Box<dyn Setter>>,
) -> Vec<u8> {
    let provider = RingProvider::new();
    let crypto: &dyn RTCCrypto = provider.crypto();
    let mut setters: Vec<Box<dyn Setter + '_>> = vec![Box::new(typ), Box::new(TransactionId::new())];
    for setter in before {
        setters.push(setter);
    }
    if let Some(password) = password {
        setters.push(Box::new(MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), crypto)));
    }
    for setter in after {
        setters.push(setter);
    }
    let mut message = Message::new();
    message.build(&setters).expect("a message");
    message.raw
}

fn user(name: &str) -> Box<dyn Setter> {
    Box::new(TextAttribute::new(ATTR_USERNAME, name.to_owned()))
}

/// What a browser sends.
fn request(user_name: &str, password: &str) -> Vec<u8> {
    let attributes =
        vec![user(user_name), raw(ATTR_ICE_CONTROLLING, &[1; 8]), raw(ATTR_PRIORITY, &[110, 127, 30, 255])];
    message(BINDING_REQUEST, attributes, Some(password), vec![Box::new(FINGERPRINT)])
}

fn answer(datagram: &[u8], from: SocketAddr) -> Option<Reply> {
    BindingRequest::read(datagram)?.answer(&ours(), from, RingProvider::new().crypto())
}

#[test]
fn whoever_proves_the_password_is_told_its_address() {
    let ours = ours();
    for from in ["198.51.100.7:4711", "[2001:db8::7]:65535", "[::ffff:198.51.100.7]:1"] {
        let from: SocketAddr = from.parse().expect("an address");
        let datagram = request(&format!("{}:theirs", ours.ufrag), &ours.password);
        let read = BindingRequest::read(&datagram).expect("a request");
        assert_eq!(read.ufrag, ours.ufrag);
        assert_eq!(read.shard(), Some(ShardId(0xbee)));
        let reply = read.answer(&ours, from, RingProvider::new().crypto()).expect("an answer");
        assert!(!reply.nominated);

        let mut response = Message::new();
        response.unmarshal_binary(&reply.response).expect("well-formed");
        assert_eq!(response.typ, BINDING_SUCCESS);
        assert_eq!(response.transaction_id.0, datagram[8..20]);
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&response).expect("an address");
        assert_eq!((mapped.ip, mapped.port), (from.ip().to_canonical(), from.port()));
        FINGERPRINT.check(&response).expect("a fingerprint");
        let provider = RingProvider::new();
        MessageIntegrity::check(&mut response, ours.password.as_bytes(), provider.crypto()).expect("signed");
    }
}

#[test]
fn a_request_may_nominate_its_pair() {
    let ours = ours();
    let name = format!("{}:theirs", ours.ufrag);
    let nominating = vec![user(&name), raw(ATTR_USE_CANDIDATE, &[])];
    let datagram = message(BINDING_REQUEST, nominating, Some(&ours.password), vec![Box::new(FINGERPRINT)]);
    assert!(answer(&datagram, address()).expect("an answer").nominated);
}

#[test]
fn what_follows_the_signature_does_not_nominate() {
    let ours = ours();
    let before = vec![user(&format!("{}:theirs", ours.ufrag))];
    let datagram = message(BINDING_REQUEST, before, Some(&ours.password), vec![raw(ATTR_USE_CANDIDATE, &[])]);
    assert!(answer(&datagram, address()).is_none_or(|reply| !reply.nominated));
}

#[test]
fn a_wrong_or_missing_password_is_not_answered() {
    let ours = ours();
    let name = format!("{}:theirs", ours.ufrag);
    for password in [Some("wrong"), Some(""), Some(ours.ufrag.as_str()), None] {
        let datagram = message(BINDING_REQUEST, vec![user(&name)], password, Vec::new());
        assert!(answer(&datagram, address()).is_none(), "{password:?}");
    }
    let sound = request(&name, &ours.password);
    for at in 8..sound.len() - 8 {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        assert!(answer(&changed, address()).is_none(), "byte {at}");
    }
}

#[test]
fn a_request_without_a_user_name_is_none() {
    let ours = ours();
    let datagram = message(BINDING_REQUEST, Vec::new(), Some(&ours.password), Vec::new());
    assert!(BindingRequest::read(&datagram).is_none());
}

#[test]
fn other_messages_are_no_requests() {
    let ours = ours();
    let name = format!("{}:theirs", ours.ufrag);
    let success = message(BINDING_SUCCESS, vec![user(&name)], Some(&ours.password), Vec::new());
    assert!(BindingRequest::read(&success).is_none());
    assert!(BindingRequest::read(&[]).is_none());
    let sound = request(&name, &ours.password);
    for len in 0..sound.len() {
        assert!(BindingRequest::read(&sound[..len]).is_none(), "{len} bytes");
    }
}

#[test]
fn a_long_message_is_not_looked_at() {
    let ours = ours();
    let padded = |len: usize| {
        let attributes = vec![user(&format!("{}:theirs", ours.ufrag)), raw(ATTR_SOFTWARE, &vec![b'x'; len])];
        message(BINDING_REQUEST, attributes, Some(&ours.password), Vec::new())
    };
    let longest = padded(528);
    assert!(longest.len() == 600 && answer(&longest, address()).is_some());
    let longer = padded(532);
    assert!(longer.len() == 604 && BindingRequest::read(&longer).is_none());
}

#[test]
fn an_answer_amplifies_little() {
    let ours = ours();
    for from in ["198.51.100.7:4711", "[2001:db8::7]:65535"] {
        // The shortest that is answered: no more than a user name and a signature.
        for name in [ours.ufrag.clone(), format!("{}:theirs", ours.ufrag)] {
            let datagram = message(BINDING_REQUEST, vec![user(&name)], Some(&ours.password), Vec::new());
            let reply = answer(&datagram, from.parse().expect("an address")).expect("an answer");
            assert!(reply.response.len() <= datagram.len() + 32, "{} for {}", reply.response.len(), datagram.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn credentials_are_legal_and_keep_all_randomness(bits in any::<[u8; 24]>(), other in any::<[u8; 24]>()) {
        let made = Credentials::new(ShardId(0xbee), &bits);
        prop_assert_eq!((made.ufrag.len(), made.password.len()), (12, 24));
        for c in made.ufrag.bytes().chain(made.password.bytes()) {
            prop_assert!(c.is_ascii_alphanumeric() || c == b'+' || c == b'/', "{}", c);
        }
        prop_assert_eq!(made == Credentials::new(ShardId(0xbee), &other), bits == other);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(answer(&bytes, address()).is_none());
    }

    #[test]
    fn no_message_is_too_odd(
        attributes in proptest::collection::vec(
            (
                prop_oneof![Just(0x0006u16), Just(0x0008), Just(0x0025), Just(0x8028), any::<u16>()],
                prop_oneof![4 => Just(None), 1 => any::<u16>().prop_map(Some)],
                proptest::collection::vec(any::<u8>(), 0..30),
            ),
            0..8,
        ),
        length in prop_oneof![4 => Just(None), 1 => any::<u16>().prop_map(Some)],
        extra in 0..6usize,
    ) {
        let mut body = Vec::new();
        for (typ, len, value) in attributes {
            body.extend_from_slice(&typ.to_be_bytes());
            body.extend_from_slice(&len.unwrap_or(value.len() as u16).to_be_bytes());
            body.extend_from_slice(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut datagram = vec![0, 1];
        datagram.extend_from_slice(&length.unwrap_or(body.len() as u16).to_be_bytes());
        datagram.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        datagram.extend_from_slice(&body);
        datagram.resize(datagram.len() + extra, 0);
        prop_assert!(answer(&datagram, address()).is_none());
    }
}
