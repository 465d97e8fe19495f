//! DTLS handshakes with clients of many kinds: what is chosen, who is refused, what the network may do to a ClientHello.

use bytes::BytesMut;
use proptest::prelude::*;
use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use sfu_core::dtls::{Associations, DtlsError, Fingerprint, Identity, Progress};
use sfu_core::srtp::Session;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
const GCM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
/// Tag lengths tell the profiles apart.
const CM_TAG: usize = 10;
const GCM_TAG: usize = 16;
const PLACE: u32 = 0x0001_0002;

#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

static PROVIDER: LazyLock<Arc<dyn RTCCryptoProvider>> = LazyLock::new(|| Arc::new(RingProvider::new()));
static SERVER: LazyLock<Certificate> = LazyLock::new(|| certificate("node"));
static CLIENT: LazyLock<Certificate> = LazyLock::new(|| certificate("peer"));

fn certificate(name: &str) -> Certificate {
    Certificate::generate_self_signed(vec![name.to_owned()], PROVIDER.crypto()).expect("made")
}

fn fingerprint(certificate: &Certificate) -> Fingerprint {
    Fingerprint::of(certificate.certificate[0].as_ref(), PROVIDER.crypto()).expect("SHA-256")
}

fn associations() -> Associations {
    let identity = Identity::new(&SERVER, &PROVIDER).expect("usable");
    Associations::new(identity, Arc::clone(&PROVIDER))
}

fn node() -> SocketAddr {
    "192.0.2.1:4000".parse().expect("an address")
}

struct Client {
    endpoint: Endpoint,
    is_up: bool,
}

impl Client {
    fn new(now: Instant, profiles: &[SrtpProtectionProfile], mtu: usize) -> Self {
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&PROVIDER))
            .with_certificates(vec![CLIENT.clone()])
            .with_srtp_protection_profiles(profiles.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_mtu(mtu)
            .build(true, Some(node()))
            .expect("a client's configuration");
        let address = "198.51.100.7:4711".parse().expect("an address");
        let mut endpoint = Endpoint::new(address, TransportProtocol::UDP, None);
        endpoint.connect(now, node(), Arc::new(config), None).expect("a first flight");
        Self { endpoint, is_up: false }
    }

    fn flight(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|t| t.message.to_vec()).collect()
    }

    fn read(&mut self, now: Instant, datagram: &[u8]) {
        let events = self.endpoint.read(now, node(), None, BytesMut::from(datagram)).unwrap_or_default();
        self.is_up |= events.iter().any(|e| matches!(e, EndpointEvent::HandshakeComplete));
    }
}

/// Lets a handshake run, the client's flights rearranged on their way.
fn shake_hands(
    client: &mut Client,
    mut now: Instant,
    expected: Fingerprint,
    rearrange: impl Fn(usize, Vec<Vec<u8>>) -> Vec<Vec<u8>>,
) -> Result<Option<Box<Session>>, DtlsError> {
    let mut associations = associations();
    let mut session = None;
    let mut flights = 0;
    for _ in 0..20_000 {
        let flight = client.flight();
        if !flight.is_empty() {
            for datagram in rearrange(flights, flight) {
                if let Progress::Up(up) = associations.read(now, PLACE, &datagram, expected)? {
                    session = Some(up);
                }
            }
            flights += 1;
        }
        while let Some((place, datagram)) = associations.poll_transmit() {
            assert_eq!(place, PLACE);
            client.read(now, &datagram);
        }
        if session.is_some() && client.is_up {
            return Ok(session);
        }
        now += Duration::from_millis(1);
        associations.handle_timeout(now, PLACE)?;
        if client.endpoint.poll_timeout(&node()).is_some_and(|at| at <= now) {
            let _ = client.endpoint.handle_timeout(node(), now);
        }
    }
    Ok(session)
}

/// Tag length of what was agreed.
fn agreed(
    profiles: &[SrtpProtectionProfile],
    mtu: usize,
    rearrange: impl Fn(usize, Vec<Vec<u8>>) -> Vec<Vec<u8>>,
) -> Option<usize> {
    let now = start();
    let mut client = Client::new(now, profiles, mtu);
    let session = shake_hands(&mut client, now, fingerprint(&CLIENT), rearrange).expect("no error");
    session.map(|session| session.sealer.tag_len())
}

#[test]
fn aes_gcm_is_chosen_wherever_it_is_offered() {
    for (profiles, tag) in [(&[GCM][..], GCM_TAG), (&[GCM, CM], GCM_TAG), (&[CM, GCM], GCM_TAG), (&[CM], CM_TAG)] {
        assert_eq!(agreed(profiles, 1200, |_, flight| flight), Some(tag), "{profiles:?}");
    }
}

#[test]
fn a_client_hello_in_pieces_is_understood() {
    let first = Client::new(start(), &[CM, GCM], 60).flight();
    assert!(first.len() > 1, "in {} datagrams", first.len());
    assert_eq!(agreed(&[CM, GCM], 60, |_, flight| flight), Some(GCM_TAG));
}

#[test]
fn a_client_hello_whose_pieces_come_out_of_order_is_understood() {
    let reverse_first = |n: usize, mut flight: Vec<Vec<u8>>| {
        if n == 0 {
            flight.reverse();
        }
        flight
    };
    assert_eq!(agreed(&[CM, GCM], 60, reverse_first), Some(GCM_TAG));
}

#[test]
fn a_piece_of_a_client_hello_that_comes_twice_does_no_harm() {
    let double_first = |n: usize, flight: Vec<Vec<u8>>| match n {
        0 => flight.iter().flat_map(|datagram| [datagram.clone(), datagram.clone()]).take(7).collect(),
        _ => flight,
    };
    assert_eq!(agreed(&[CM, GCM], 100, double_first), Some(GCM_TAG));
}

#[test]
fn a_lost_piece_of_a_client_hello_is_made_up_for() {
    let lose_second = |n: usize, mut flight: Vec<Vec<u8>>| {
        if n == 0 {
            flight.remove(1);
        }
        flight
    };
    assert_eq!(agreed(&[CM, GCM], 100, lose_second), Some(GCM_TAG));
}

#[test]
fn a_lost_client_hello_is_made_up_for() {
    let lose = |n: usize, flight: Vec<Vec<u8>>| if n == 0 { Vec::new() } else { flight };
    assert_eq!(agreed(&[CM, GCM], 1200, lose), Some(GCM_TAG));
}

#[test]
fn a_certificate_that_the_sdp_did_not_promise_is_refused() {
    let now = start();
    for promised in [fingerprint(&SERVER), Fingerprint([0; 32])] {
        let mut client = Client::new(now, &[CM, GCM], 1200);
        let result = shake_hands(&mut client, now, promised, |_, flight| flight);
        assert!(matches!(result, Err(DtlsError::Fingerprint)));
    }
}

#[test]
fn a_client_without_a_profile_of_ours_gets_no_session() {
    let now = start();
    let mut client = Client::new(now, &[SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32], 1200);
    let result = shake_hands(&mut client, now, fingerprint(&CLIENT), |_, flight| flight);
    assert!(!matches!(result, Ok(Some(_))));
}

#[test]
fn each_place_has_an_association_of_its_own() {
    let now = start();
    let mut associations = associations();
    for place in [0, 1, 0xffff, 0x1_0000, u32::MAX] {
        for datagram in Client::new(now, &[GCM], 1200).flight() {
            associations.read(now, place, &datagram, fingerprint(&CLIENT)).expect("a ClientHello");
        }
        let (to, _) = associations.poll_transmit().expect("an answer");
        assert_eq!(to, place);
        while associations.poll_transmit().is_some() {}
    }
}

#[test]
fn a_place_can_be_used_again_after_it_was_closed() {
    let now = start();
    let mut associations = associations();
    for mtu in [60, 1200] {
        let flight = Client::new(now, &[GCM], mtu).flight();
        // Of the first only a piece comes.
        let datagram = &flight[0];
        associations.read(now, PLACE, datagram, fingerprint(&CLIENT)).expect("a ClientHello or a piece");
        associations.close(now, PLACE);
        while associations.poll_transmit().is_some() {}
    }
    for datagram in Client::new(now, &[GCM], 1200).flight() {
        associations.read(now, PLACE, &datagram, fingerprint(&CLIENT)).expect("a ClientHello");
    }
    assert!(associations.poll_transmit().is_some());
}

fn feed(datagrams: &[Vec<u8>]) {
    let now = start();
    let mut associations = associations();
    for datagram in datagrams {
        let progress = associations.read(now, PLACE, datagram, Fingerprint([0; 32]));
        assert!(!matches!(progress, Ok(Progress::Up(_))));
    }
    while associations.poll_transmit().is_some() {}
    associations.close(now, PLACE);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_datagrams_are_too_odd(
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..12),
    ) {
        feed(&datagrams);
    }

    #[test]
    fn no_pieces_of_a_client_hello_are_too_odd(
        pieces in proptest::collection::vec(
            (
                prop_oneof![9 => Just(22u8), 1 => any::<u8>()],
                prop_oneof![9 => Just(1u8), 1 => any::<u8>()],
                prop_oneof![Just(60u32), 0..200u32, any::<u32>()],
                0..3u16,
                prop_oneof![Just(0u32), 0..100u32, any::<u32>()],
                prop_oneof![4 => Just(None), 1 => any::<u32>().prop_map(Some)],
                proptest::collection::vec(any::<u8>(), 0..80),
            ),
            1..12,
        ),
    ) {
        let datagrams: Vec<Vec<u8>> = pieces
            .iter()
            .map(|(content, kind, total, message, offset, length, body)| {
                let length = length.unwrap_or(body.len() as u32);
                let mut datagram = vec![*content, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, *message as u8];
                datagram.extend_from_slice(&(12 + body.len() as u16).to_be_bytes());
                datagram.push(*kind);
                datagram.extend_from_slice(&total.to_be_bytes()[1..]);
                datagram.extend_from_slice(&message.to_be_bytes());
                datagram.extend_from_slice(&offset.to_be_bytes()[1..]);
                datagram.extend_from_slice(&length.to_be_bytes()[1..]);
                datagram.extend_from_slice(body);
                datagram
            })
            .collect();
        feed(&datagrams);
    }

    #[test]
    fn no_change_of_a_client_hello_is_too_odd(
        mtu in prop_oneof![Just(60usize), Just(1200)],
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut flight = Client::new(start(), &[CM, GCM], mtu).flight();
        for datagram in &mut flight {
            for (at, byte) in &changes {
                let at = at.index(datagram.len());
                datagram[at] = *byte;
            }
            if let Some(cut) = cut {
                datagram.truncate(cut.index(datagram.len()));
            }
        }
        feed(&flight);
    }
}
