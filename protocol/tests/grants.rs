//! A grant is believed only when its key, issuer, audience, time and length of life are all right.

use protocol::grant::{Audience, CameraGrant, Claims, Jwk, Jwks, LOADTEST_ISSUER, Refused, Signer, Verifier};
use protocol::{CameraId, Rid, SessionId};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};

const NOW: u64 = 1_800_000_000;

fn signer(issuer: &str) -> Signer {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
    Signer::new(issuer, pkcs8.as_ref()).expect("a fresh key")
}

fn claims(aud: Audience, life: u64) -> Claims {
    let id: CameraId = "01890000-0000-7000-8000-000000000001".parse().expect("a uuid");
    Claims {
        iss: String::new(),
        aud,
        sub: "parent-1".into(),
        sid: SessionId::from_random([7; 16]),
        jti: "1".into(),
        iat: NOW,
        exp: NOW + life,
        win: None,
        cameras: vec![CameraGrant { id, max: Rid::low(), audio: false }],
    }
}

fn verifier(signers: &[&Signer]) -> Verifier {
    Verifier::new("control", &Jwks { keys: signers.iter().map(|s| s.jwk()).collect() })
}

#[test]
fn a_valid_grant_is_believed_with_either_key_of_a_rotation() {
    let (old, new) = (signer("control"), signer("control"));
    let verifier = verifier(&[&old, &new]);
    for signer in [&old, &new] {
        let got = verifier.verify(&signer.sign(&claims(Audience::View, 300)), Audience::View, NOW).expect("valid");
        assert_eq!(got.camera(got.cameras[0].id).expect("named").max, Rid::low());
        assert_eq!(got.iss, "control");
    }
}

#[test]
fn a_grant_of_a_stranger_is_refused() {
    let (ours, stranger, other) = (signer("control"), signer("control"), signer("elsewhere"));
    let verifier = verifier(&[&ours, &other]);
    for signer in [&stranger, &other] {
        let token = signer.sign(&claims(Audience::View, 300));
        assert!(matches!(verifier.verify(&token, Audience::View, NOW), Err(Refused::Invalid(_))));
    }
}

#[test]
fn a_changed_grant_is_refused() {
    let signer = signer("control");
    let mut token = signer.sign(&claims(Audience::View, 300)).into_bytes();
    let middle = token.len() / 2;
    token[middle] = if token[middle] == b'A' { b'B' } else { b'A' };
    let token = String::from_utf8(token).expect("ascii");
    assert!(matches!(verifier(&[&signer]).verify(&token, Audience::View, NOW), Err(Refused::Invalid(_))));
}

#[test]
fn a_grant_for_viewing_does_not_publish_and_the_reverse() {
    let signer = signer("control");
    for (aud, asked) in [(Audience::View, Audience::Publish), (Audience::Publish, Audience::View)] {
        let got = verifier(&[&signer]).verify(&signer.sign(&claims(aud, 300)), asked, NOW);
        assert!(matches!(got, Err(Refused::Audience(_))), "{got:?}");
    }
}

#[test]
fn a_grant_ends_at_its_time() {
    let signer = signer("control");
    let token = signer.sign(&claims(Audience::View, 300));
    assert!(verifier(&[&signer]).verify(&token, Audience::View, NOW + 299).is_ok());
    assert!(matches!(verifier(&[&signer]).verify(&token, Audience::View, NOW + 300), Err(Refused::Expired)));
}

#[test]
fn a_grant_may_not_outlast_its_kind() {
    let signer = signer("control");
    let verify = |c: &Claims| verifier(&[&signer]).verify(&signer.sign(c), c.aud, NOW);
    assert!(matches!(verify(&claims(Audience::View, 301)), Err(Refused::TooLong)));
    assert!(matches!(verify(&claims(Audience::Publish, 24 * 3600 + 1)), Err(Refused::TooLong)));
    assert!(verify(&claims(Audience::Publish, 24 * 3600)).is_ok());
    let window = |life, win| Claims { win: Some(NOW + win), ..claims(Audience::View, life) };
    assert!(verify(&window(8 * 3600, 8 * 3600)).is_ok());
    assert!(matches!(verify(&window(8 * 3600, 9 * 3600)), Err(Refused::TooLong)));
    assert!(matches!(verify(&window(25 * 3600, 25 * 3600)), Err(Refused::TooLong)));
}

#[test]
fn an_unsigned_token_is_refused() {
    let signer = signer("control");
    let unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJjb250cm9sIn0.";
    assert!(matches!(verifier(&[&signer]).verify(unsigned, Audience::View, NOW), Err(Refused::Invalid(_))));
}

/// Claims of these cameras.
fn of(cameras: &[CameraId]) -> Claims {
    let camera = |id: &CameraId| CameraGrant { id: *id, max: Rid::low(), audio: false };
    Claims { cameras: cameras.iter().map(camera).collect(), ..claims(Audience::View, 300) }
}

#[test]
fn a_key_of_the_load_test_is_good_for_cameras_of_load_tests_alone() {
    let (ours, test) = (signer("control"), signer(LOADTEST_ISSUER));
    let trusting = verifier(&[&ours]).with_loadtest(&Jwks { keys: vec![test.jwk()] });
    let only_test = Verifier::new(LOADTEST_ISSUER, &Jwks { keys: vec![test.jwk()] });
    let (real, virtual_one) = (claims(Audience::View, 300).cameras[0].id, CameraId::loadtest(7, 1));
    let table: [(&Verifier, &Signer, &[CameraId], bool); 9] = [
        (&trusting, &ours, &[real], true),
        (&trusting, &ours, &[real, virtual_one], true),
        (&trusting, &test, &[virtual_one], true),
        (&trusting, &test, &[virtual_one, CameraId::loadtest(u32::MAX, u32::MAX)], true),
        (&trusting, &test, &[real], false),
        (&trusting, &test, &[virtual_one, real], false),
        (&only_test, &test, &[virtual_one], true),
        (&only_test, &test, &[real], false),
        (&trusting, &test, &[], true),
    ];
    for (verifier, signer, cameras, is_good) in table {
        let got = verifier.verify(&signer.sign(&of(cameras)), Audience::View, NOW);
        match got {
            Ok(claims) => assert!(is_good && claims.iss == signer.issuer(), "{cameras:?} of {}", signer.issuer()),
            Err(Refused::RealCamera(id)) => assert!(!is_good && id == real, "{cameras:?} of {}", signer.issuer()),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(verifier(&[&ours]).verify(&test.sign(&of(&[virtual_one])), Audience::View, NOW).is_err(), "off by itself");
}

#[test]
fn a_key_is_good_for_its_own_issuer_alone() {
    // Each signs in the name of the other.
    let (ours, test) = (signer(LOADTEST_ISSUER), signer("control"));
    let verifier = verifier(&[&ours]).with_loadtest(&Jwks { keys: vec![test.jwk()] });
    for signer in [&ours, &test] {
        let got = verifier.verify(&signer.sign(&of(&[CameraId::loadtest(1, 1)])), Audience::View, NOW);
        assert!(matches!(got, Err(Refused::Invalid(_))), "{got:?}");
    }
}

#[test]
fn a_token_names_the_load_test_by_its_key() {
    let (ours, test, stranger) = (signer("control"), signer(LOADTEST_ISSUER), signer(LOADTEST_ISSUER));
    let plain = verifier(&[&ours]);
    let token = |signer: &Signer| signer.sign(&of(&[CameraId::loadtest(1, 1)]));
    assert!(!plain.names_loadtest(&token(&test)), "not trusted");
    let trusting = plain.with_loadtest(&Jwks { keys: vec![test.jwk()] });
    assert!(trusting.names_loadtest(&token(&test)));
    let unsigned = token(&test).rsplit_once('.').map(|(start, _)| format!("{start}.AAAA")).expect("three parts");
    assert!(trusting.names_loadtest(&unsigned), "nothing is verified");
    for other in [token(&ours), token(&stranger), "a.b.c".into(), String::new(), "a".repeat(1 << 20)] {
        assert!(!trusting.names_loadtest(&other));
    }
}

#[test]
fn where_two_issuers_have_a_key_of_one_name_the_load_tests_is_not_used() {
    let (ours, test) = (signer("control"), signer(LOADTEST_ISSUER));
    let same_name = Jwk { kid: ours.jwk().kid, ..test.jwk() };
    let verifier = verifier(&[&ours]).with_loadtest(&Jwks { keys: vec![same_name] });
    let token = ours.sign(&claims(Audience::View, 300));
    assert!(verifier.verify(&token, Audience::View, NOW).is_ok());
    assert!(!verifier.names_loadtest(&token));
}
