//! SRTP keys from a DTLS handshake (RFC 5764, section 4.2), the client's side.

use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_srtp::config::LABEL_EXTRACTOR_DTLS_SRTP;
use rtc_srtp::{context::Context, protection_profile::ProtectionProfile};
use std::sync::Arc;

const KEY: usize = 16;

/// Both directions.
pub(super) struct Keys {
    pub(super) inbound: Context,
    pub(super) outbound: Context,
}

/// No keys came of a handshake.
#[derive(Debug, thiserror::Error)]
#[error("SRTP keys: {0}")]
pub(super) struct KeyError(String);

impl Keys {
    pub(super) fn export(state: &State, provider: &Arc<dyn RTCCryptoProvider>) -> Result<Self, KeyError> {
        let failed = |e: &dyn std::fmt::Display| KeyError(e.to_string());
        let (profile, salt) = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => (ProtectionProfile::AeadAes128Gcm, 12),
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, 14),
            _ => return Err(failed(&"no profile in common")),
        };
        let material =
            state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], 2 * (KEY + salt)).map_err(|e| failed(&e))?;
        let material: &[u8] = material.as_ref();
        let (keys, salts) = material.split_at(2 * KEY);
        let context = |side: usize| {
            let (key, salt) = (&keys[side * KEY..][..KEY], &salts[side * salt..][..salt]);
            Context::new(key, salt, profile, None, None, provider.crypto()).map_err(|e| failed(&e))
        };
        Ok(Self { outbound: context(0)?, inbound: context(1)? })
    }
}
