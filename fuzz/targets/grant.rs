//! Grants: any text, and any header and claims signed with the right key. What is accepted keeps to its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::grant::{Audience, Claims, Jwks, MAX_PUBLISH_SECONDS, MAX_VIEW_SECONDS, MAX_WINDOW_SECONDS};
use protocol::grant::{Signer, Verifier};
use ring::signature::Ed25519KeyPair;
use std::sync::LazyLock;

const ISSUER: &str = "https://control.test";
const NOW: u64 = 1_000_000;

/// PKCS #8 (RFC 8410, section 7) of a key that is no secret.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend_from_slice(&[0x5a; 32]);
    der
});
static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(ISSUER, &KEY).expect("a key"));
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(ISSUER, &Jwks { keys: vec![SIGNER.jwk()] }));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for audience in [Audience::View, Audience::Publish] {
        assert!(VERIFIER.verify(&text, audience, NOW).is_err(), "nothing in an input is signed");
    }
    // Header and claims, a line between them.
    let (header, claims) = text.split_once('\n').unwrap_or(("", &text));
    let own = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, SIGNER.jwk().kid);
    for header in [header, own.as_str()] {
        let token = sign(header, claims);
        for audience in [Audience::View, Audience::Publish] {
            if let Ok(claims) = VERIFIER.verify(&token, audience, NOW) {
                check(&claims, audience);
            }
        }
    }
    if let Ok(claims) = serde_json::from_str::<Claims>(claims)
        && let Ok(read) = VERIFIER.verify(&SIGNER.sign(&claims), claims.aud, NOW)
    {
        assert_eq!(read, Claims { iss: ISSUER.to_owned(), ..claims });
        check(&read, read.aud);
    }
});

fn check(claims: &Claims, audience: Audience) {
    assert_eq!((claims.iss.as_str(), claims.aud), (ISSUER, audience));
    assert!(claims.exp > NOW && claims.iat <= NOW + 30);
    let longest = match (audience, claims.win) {
        (Audience::Publish, _) => MAX_PUBLISH_SECONDS,
        (Audience::View, Some(end)) if end == claims.exp => MAX_WINDOW_SECONDS,
        (Audience::View, _) => MAX_VIEW_SECONDS,
    };
    assert!(claims.exp - claims.iat.min(claims.exp) <= longest, "{claims:?}");
}

/// A JWS (RFC 7515, section 7.1) of these texts.
fn sign(header: &str, claims: &str) -> String {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&KEY).expect("a key");
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    format!("{message}.{}", base64url(pair.sign(message.as_bytes()).as_ref()))
}

/// RFC 4648, section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |chunk: &[u8]| {
        let word = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        let text: Vec<u8> = (0..=chunk.len()).map(|i| ALPHABET[(word >> (18 - 6 * i) & 63) as usize]).collect();
        text
    };
    bytes.chunks(3).flat_map(group).map(char::from).collect()
}
