//! What the targets share: an input cut into steps, the same certificates and keys for a whole run, and what a WebRTC
//! endpoint has to agree to.

use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::crypto::Certificate;
use sfu_core::dtls;
use sfu_core::ice::Credentials;
use std::sync::{Arc, LazyLock};

/// Most steps of one input that are gone through.
pub const MAX_STEPS: usize = 256;
/// Longest piece of one step, in bytes.
const MAX_PIECE: usize = 2047;

/// One step of an input.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What is done.
    pub kind: u8,
    /// By or to whom.
    pub whom: u8,
    /// With what.
    pub bytes: &'a [u8],
}

/// The steps of an input: kind, whom, length in two bytes, then that many bytes, or what is left.
pub fn steps(mut input: &[u8]) -> impl Iterator<Item = Step<'_>> {
    let each = std::iter::from_fn(move || {
        let [kind, whom, high, low, rest @ ..] = input else { return None };
        let len = usize::from(u16::from_be_bytes([*high, *low])) & MAX_PIECE;
        let (bytes, after) = rest.split_at(len.min(rest.len()));
        input = after;
        Some(Step { kind: *kind, whom: *whom, bytes })
    });
    each.take(MAX_STEPS)
}

/// The cryptography of all targets.
pub static PROVIDER: LazyLock<Arc<dyn RTCCryptoProvider>> = LazyLock::new(|| Arc::new(RingProvider::new()));

/// A node's certificate: one for a run, since making it takes longer than most inputs.
pub static NODE: LazyLock<dtls::Identity> = LazyLock::new(|| {
    let certificate = Certificate::generate_self_signed(vec!["node".to_owned()], PROVIDER.crypto());
    dtls::Identity::new(&certificate.expect("a certificate"), &PROVIDER).expect("usable")
});

/// A node's ICE credentials.
pub fn credentials() -> Credentials {
    Credentials { ufrag: "ufragufr".to_owned(), password: "passwordpasswordpassword".to_owned() }
}
