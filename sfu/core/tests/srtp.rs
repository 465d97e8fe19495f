//! Sealing, against published vectors and against another implementation.

use proptest::prelude::*;
use rtc_crypto::{HmacAlgorithm, RTCCryptoProvider, StreamCipherAlgorithm, providers::RingProvider};
use rtc_srtp::{context::Context, protection_profile::ProtectionProfile};
use sfu_core::Ssrc;
use sfu_core::srtp::{MAX_SOURCES, MAX_TAG, Profile, Sealer, Session};
use std::sync::Arc;

const PROFILES: [(Profile, ProtectionProfile, usize); 2] = [
    (Profile::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm, 12),
    (Profile::Aes128CmHmacSha1_80, ProtectionProfile::Aes128CmHmacSha1_80, 14),
];
const SSRC: Ssrc = Ssrc(0xcafe_babe);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |p: &[u8]| u8::from_str_radix(std::str::from_utf8(p).expect("ASCII"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

fn plain(sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0x0f];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0xde, 0xca, 0xfb, 0xad]);
    packet.extend_from_slice(&SSRC.0.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn sealed(sealer: &mut Sealer, plain: &[u8], index: u64) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + sealer.tag_len(), 0);
    sealer.seal(&mut packet, 12, SSRC, index);
    packet
}

/// The reference packets of libsrtp (`srtp_driver.c`), which come from a master key and salt as ours do.
#[test]
fn libsrtps_reference_packets_are_sealed_alike() {
    let provider = RingProvider::new();
    for (profile, key, salt, expected) in [
        (
            Profile::Aes128CmHmacSha1_80,
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
            "800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb",
        ),
        (
            Profile::AeadAes128Gcm,
            "000102030405060708090a0b0c0d0e0f",
            "a0a1a2a3a4a5a6a7a8a9aaab",
            "800f1234decafbadcafebabe c5002ede04cfdd2eb91159e0880aa06e d2976826f796b201df3131a127e8a392",
        ),
    ] {
        let mut sealer = Sealer::new(profile, &hex(key), &hex(salt), provider.crypto()).expect("keys");
        let packet = sealed(&mut sealer, &plain(0x1234, &[0xab; 16]), 0x1234);
        assert_eq!(packet, hex(expected), "{profile:?}");
    }
}

/// RFC 3711, appendix B.3: from its master key come its session keys. Here they seal by hand.
#[test]
fn session_keys_are_derived_as_rfc_3711_says() {
    let provider = RingProvider::new();
    let crypto = provider.crypto();
    let master = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
    let cipher_key = hex("C61E7A93744F39EE10734AFE3FF7A087");
    let cipher_salt = hex("30CBBC08863D8C85D49DB34A9AE1");
    let auth_key = hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
    let index: u64 = 0x0003_ffff;

    let mut expected = plain(0xffff, b"a payload of more than one block");
    let mut iv = [0; 16];
    iv[4..8].copy_from_slice(&SSRC.0.to_be_bytes());
    iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    iv.iter_mut().zip(&cipher_salt).for_each(|(byte, salt)| *byte ^= salt);
    let mut stream = crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &cipher_key).expect("a cipher");
    stream.apply_keystream(&iv, &mut expected[12..]).expect("encrypted");
    let mut tag = [0; 20];
    let mut mac = crypto.new_hmac(HmacAlgorithm::Sha1, &auth_key).expect("a MAC");
    mac.sign(&[&expected, &3u32.to_be_bytes()], &mut tag).expect("signed");
    expected.extend_from_slice(&tag[..10]);

    let mut sealer = Sealer::new(Profile::Aes128CmHmacSha1_80, &master.0, &master.1, crypto).expect("keys");
    let packet = sealed(&mut sealer, &plain(0xffff, b"a payload of more than one block"), index);
    assert_eq!(packet, expected);
}

#[test]
fn another_implementation_opens_packets_over_roll_overs() {
    let provider = RingProvider::new();
    for (profile, theirs, salt) in PROFILES {
        let (key, salt) = ([7; 16], vec![9; salt]);
        let mut sealer = Sealer::new(profile, &key, &salt, provider.crypto()).expect("keys");
        let mut context = Context::new(&key, &salt, theirs, None, None, provider.crypto()).expect("keys");
        for index in (0x7ff0u64..0x3_0010).step_by(5) {
            let packet = plain(index as u16, &index.to_be_bytes());
            let opened = context.decrypt_rtp(&sealed(&mut sealer, &packet, index)).expect("authentic");
            assert_eq!(opened.to_vec(), packet, "{profile:?} {index:#x}");
        }
    }
}

#[test]
fn both_ends_of_a_handshake_understand_each_other() {
    let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
    for (profile, _, _) in PROFILES {
        let material: Vec<u8> = (0..profile.keying_material_len() as u8).collect();
        let mut server = Session::new(profile, &material, true, &provider).expect("keys");
        let mut client = Session::new(profile, &material, false, &provider).expect("keys");
        let packet = plain(5, b"video");
        let to_client = sealed(&mut server.sealer, &packet, 5);
        assert_eq!(client.inbound.decrypt_rtp(&to_client).expect("authentic").to_vec(), packet);
        let to_server = sealed(&mut client.sealer, &packet, 5);
        assert_eq!(server.inbound.decrypt_rtp(&to_server).expect("authentic").to_vec(), packet);
        assert_ne!(to_client, to_server, "each direction has its own keys");
        assert!(client.inbound.decrypt_rtp(&to_server).is_err());

        let report = sfu_core::rtcp::goodbye(&[SSRC]);
        let to_client = server.rtcp_out.encrypt_rtcp(&report).expect("sealed");
        assert_eq!(client.inbound.decrypt_rtcp(&to_client).expect("authentic").to_vec(), report);
    }
}

#[test]
fn a_packet_is_taken_once_and_within_the_window() {
    let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
    for (profile, _, _) in PROFILES {
        let material = vec![3; profile.keying_material_len()];
        let mut from = Session::new(profile, &material, false, &provider).expect("keys");
        let mut to = Session::new(profile, &material, true, &provider).expect("keys");
        let mut takes = |index: u64| {
            let packet = sealed(&mut from.sealer, &plain(index as u16, b"x"), index);
            to.inbound.decrypt_rtp(&packet).is_ok()
        };
        assert!(takes(2000));
        assert!(!takes(2000), "replayed");
        assert!(takes(1999), "late");
        assert!(!takes(2000 - 1500), "too late");
    }
}

#[test]
fn sources_that_prove_nothing_keep_nobody_out_and_proven_ones_are_bounded() {
    let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
    for (profile, _, _) in PROFILES {
        let material = vec![3; profile.keying_material_len()];
        let mut from = Session::new(profile, &material, false, &provider).expect("keys");
        let mut to = Session::new(profile, &material, true, &provider).expect("keys");
        let mut of = |ssrc: u32, sequence: u16| {
            let mut packet = vec![0x80, 102];
            packet.extend_from_slice(&sequence.to_be_bytes());
            packet.extend_from_slice(&[0; 4]);
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.resize(40 + from.sealer.tag_len(), 7);
            from.sealer.seal(&mut packet, 12, Ssrc(ssrc), u64::from(sequence));
            packet
        };
        for ssrc in 0..1000 {
            let mut forged = of(ssrc, 1);
            forged[20] ^= 1;
            assert!(to.inbound.decrypt_rtp(&forged).is_err());
        }
        for ssrc in 0..MAX_SOURCES as u32 {
            let packet = of(ssrc, 2);
            assert!(to.inbound.decrypt_rtp(&packet).is_ok(), "{ssrc}");
            assert!(to.inbound.decrypt_rtp(&packet).is_err(), "a new source's first packet counts once too");
        }
        assert!(to.inbound.decrypt_rtp(&of(9_999, 2)).is_err(), "one too many");
        assert!(to.inbound.decrypt_rtp(&of(3, 3)).is_ok());
    }
}

#[test]
fn keying_material_that_is_too_short_is_refused() {
    let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
    for (profile, _, _) in PROFILES {
        let needed = profile.keying_material_len();
        for len in 0..needed {
            assert!(Session::new(profile, &vec![1; len], true, &provider).is_err(), "{len} of {needed}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_is_opened_and_nothing_else(
        which in 0..2usize,
        key in any::<[u8; 16]>(),
        salt in any::<[u8; 14]>(),
        sequence in 0..0x8000u16,
        payload in proptest::collection::vec(any::<u8>(), 0..1200),
        broken in any::<proptest::sample::Index>(),
    ) {
        let provider = RingProvider::new();
        let (profile, theirs, len) = PROFILES[which];
        let salt = &salt[..len];
        let mut sealer = Sealer::new(profile, &key, salt, provider.crypto()).expect("keys");
        prop_assert!(sealer.tag_len() <= MAX_TAG);
        let packet = plain(sequence, &payload);
        let sealed = sealed(&mut sealer, &packet, u64::from(sequence));
        prop_assert_eq!(&sealed[..12], &packet[..12]);
        let context = || Context::new(&key, salt, theirs, None, None, provider.crypto()).expect("keys");
        prop_assert_eq!(context().decrypt_rtp(&sealed).expect("authentic").to_vec(), packet);
        let mut forged = sealed;
        let at = broken.index(forged.len());
        forged[at] ^= 0x01;
        prop_assert!(context().decrypt_rtp(&forged).is_err(), "byte {}", at);
    }
}
