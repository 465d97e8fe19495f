//! SRTP (RFC 3711, RFC 7714): keys from a DTLS handshake, sealing of RTP in place, and the contexts for the rest.
//!
//! Invariant: the caller never gives two packets the same (SSRC, index) under one [`Sealer`].

use crate::Ssrc;
use bytes::BytesMut;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rtc_crypto::{
    BlockCipherAlgorithm, HmacAlgorithm, Mac, RTCCrypto, RTCCryptoProvider, StreamCipher, StreamCipherAlgorithm,
};
use rtc_srtp::{context::Context, option, protection_profile::ProtectionProfile};
use std::sync::Arc;

/// Longest authentication tag of a profile we offer, in bytes.
pub const MAX_TAG: usize = 16;
/// How far behind the newest a publisher's packet may come and still be taken, in packets.
const REPLAY_WINDOW: usize = 1024;
/// Most sources (SSRCs) of a peer, of RTP and of RTCP each; a publisher has seven.
pub const MAX_SOURCES: usize = 32;
/// Packets that fail before what was remembered of their sources is thrown away.
const MAX_FAILURES: u32 = 64;
const MASTER_KEY: usize = 16;
const SHA1_80_TAG: usize = 10;

/// Protection profiles that we offer, by preference (RFC 5764, section 4.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// AEAD_AES_128_GCM.
    AeadAes128Gcm,
    /// AES128_CM_HMAC_SHA1_80.
    Aes128CmHmacSha1_80,
}

impl Profile {
    fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    fn protection(self) -> ProtectionProfile {
        match self {
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Self::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        }
    }

    /// How much keying material a handshake has to export, in bytes (RFC 5764, section 4.2).
    pub fn keying_material_len(self) -> usize {
        2 * (MASTER_KEY + self.salt_len())
    }
}

/// The keys could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("SRTP keys: {0}")]
pub struct KeyError(String);

fn key_error(error: impl std::fmt::Display) -> KeyError {
    KeyError(error.to_string())
}

/// Both directions of one peer.
pub struct Session {
    /// RTP to the peer.
    pub sealer: Sealer,
    /// RTCP to the peer.
    pub rtcp_out: Context,
    /// RTP and RTCP from the peer.
    pub inbound: Inbound,
}

impl Session {
    /// From exported keying material; we are the DTLS server when `is_server`.
    pub fn new(
        profile: Profile,
        material: &[u8],
        is_server: bool,
        provider: &Arc<dyn RTCCryptoProvider>,
    ) -> Result<Self, KeyError> {
        let (client_key, rest) = material.split_at_checked(MASTER_KEY).ok_or_else(|| key_error("too short"))?;
        let (server_key, rest) = rest.split_at_checked(MASTER_KEY).ok_or_else(|| key_error("too short"))?;
        let (client_salt, rest) = rest.split_at_checked(profile.salt_len()).ok_or_else(|| key_error("too short"))?;
        let server_salt = rest.get(..profile.salt_len()).ok_or_else(|| key_error("too short"))?;
        let keys = |key: &[u8], salt: &[u8]| Keys { profile, key: key.to_vec(), salt: salt.to_vec() };
        let (client, server) = (keys(client_key, client_salt), keys(server_key, server_salt));
        let (ours, theirs) = if is_server { (server, client) } else { (client, server) };
        Ok(Self {
            sealer: Sealer::new(profile, &ours.key, &ours.salt, provider.crypto())?,
            rtcp_out: ours.context(provider)?,
            inbound: Inbound::new(theirs, provider)?,
        })
    }
}

/// Master key and salt of one direction.
struct Keys {
    profile: Profile,
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl Keys {
    fn context(&self, provider: &Arc<dyn RTCCryptoProvider>) -> Result<Context, KeyError> {
        let window = |make: fn(usize) -> option::ContextOption| Some(make(REPLAY_WINDOW));
        let (rtp, rtcp) = (window(option::srtp_replay_protection), window(option::srtcp_replay_protection));
        let profile = self.profile.protection();
        Context::new(&self.key, &self.salt, profile, rtp, rtcp, provider.crypto()).map_err(key_error)
    }
}

/// A packet is not the peer's, comes again, or is of one source too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the packet does not authenticate, or comes again")]
pub struct Refused;

/// Opens what a peer sends.
///
/// Invariant: only sources that have proved themselves by an authentic packet are remembered, and [`MAX_SOURCES`] of
/// them: the library remembers whoever a packet says it is from, before it knows whether that is so.
pub struct Inbound {
    keys: Keys,
    provider: Arc<dyn RTCCryptoProvider>,
    context: Context,
    /// Tries sources that have proved nothing; thrown away with what it remembers of them.
    trial: Option<Trial>,
    rtp_sources: Vec<[u8; 4]>,
    rtcp_sources: Vec<[u8; 4]>,
}

struct Trial {
    context: Context,
    failures: u32,
}

type Open = fn(&mut Context, &[u8]) -> rtc_shared::error::Result<BytesMut>;

impl Inbound {
    fn new(keys: Keys, provider: &Arc<dyn RTCCryptoProvider>) -> Result<Self, KeyError> {
        let (context, provider) = (keys.context(provider)?, Arc::clone(provider));
        let (rtp_sources, rtcp_sources) = (Vec::new(), Vec::new());
        Ok(Self { keys, provider, context, trial: None, rtp_sources, rtcp_sources })
    }

    /// An RTP packet, plain.
    pub fn decrypt_rtp(&mut self, packet: &[u8]) -> Result<BytesMut, Refused> {
        let source = packet.get(8..12).and_then(|s| s.try_into().ok()).ok_or(Refused)?;
        if !self.rtp_sources.contains(&source) {
            self.prove(packet, self.rtp_sources.len(), Context::decrypt_rtp)?;
            self.rtp_sources.push(source);
        }
        self.context.decrypt_rtp(packet).map_err(|_| Refused)
    }

    /// An RTCP datagram, plain.
    pub fn decrypt_rtcp(&mut self, packet: &[u8]) -> Result<BytesMut, Refused> {
        let source = packet.get(4..8).and_then(|s| s.try_into().ok()).ok_or(Refused)?;
        if !self.rtcp_sources.contains(&source) {
            self.prove(packet, self.rtcp_sources.len(), Context::decrypt_rtcp)?;
            self.rtcp_sources.push(source);
        }
        self.context.decrypt_rtcp(packet).map_err(|_| Refused)
    }

    /// Whether a new source's packet is authentic, where there is room for one more.
    fn prove(&mut self, packet: &[u8], sources: usize, open: Open) -> Result<(), Refused> {
        if sources >= MAX_SOURCES {
            return Err(Refused);
        }
        if self.trial.as_ref().is_none_or(|trial| trial.failures >= MAX_FAILURES) {
            let context = self.keys.context(&self.provider).map_err(|_| Refused)?;
            self.trial = Some(Trial { context, failures: 0 });
        }
        let trial = self.trial.as_mut().ok_or(Refused)?;
        if open(&mut trial.context, packet).is_err() {
            trial.failures += 1;
            return Err(Refused);
        }
        self.trial = None;
        Ok(())
    }
}

/// Seals RTP packets of one direction in place.
pub struct Sealer(Cipher);

// Most peers have AES-GCM, so its size is the one that counts.
#[allow(clippy::large_enum_variant)]
enum Cipher {
    /// In place: fan-out goes over the keys of all viewers.
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    Cm {
        stream: Box<dyn StreamCipher>,
        mac: Box<dyn Mac>,
        salt: [u8; 14],
    },
}

impl Sealer {
    /// From a master key and salt.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8], crypto: &dyn RTCCrypto) -> Result<Self, KeyError> {
        let derive = |label, len| derive(crypto, key, salt, label, len);
        let session_key = derive(0, MASTER_KEY)?;
        Ok(Self(match profile {
            Profile::AeadAes128Gcm => {
                let key = UnboundKey::new(&AES_128_GCM, &session_key).map_err(key_error)?;
                let salt = derive(2, 12)?.try_into().map_err(|_| key_error("salt"))?;
                Cipher::Gcm { key: LessSafeKey::new(key), salt }
            }
            Profile::Aes128CmHmacSha1_80 => Cipher::Cm {
                stream: crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &session_key).map_err(key_error)?,
                mac: crypto.new_hmac(HmacAlgorithm::Sha1, &derive(1, 20)?).map_err(key_error)?,
                salt: derive(2, 14)?.try_into().map_err(|_| key_error("salt"))?,
            },
        }))
    }

    /// How many bytes sealing adds.
    pub fn tag_len(&self) -> usize {
        match self.0 {
            Cipher::Gcm { .. } => MAX_TAG,
            Cipher::Cm { .. } => SHA1_80_TAG,
        }
    }

    /// Encrypts what follows the first `header` bytes of `packet` and writes the tag into its last
    /// [`Self::tag_len`] bytes. `index` is the sequence number with the roll-over count above bit 16.
    pub fn seal(&mut self, packet: &mut [u8], header: usize, ssrc: Ssrc, index: u64) {
        let body_end = packet.len() - self.tag_len();
        let (plain, tag) = packet.split_at_mut(body_end);
        match &mut self.0 {
            Cipher::Gcm { key, salt } => {
                let (header, body) = plain.split_at_mut(header);
                let nonce = Nonce::assume_unique_for_key(gcm_nonce(salt, ssrc, index));
                let sealed = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*header), body)
                    .expect("a packet is shorter than AES-GCM's limit");
                tag.copy_from_slice(sealed.as_ref());
            }
            Cipher::Cm { stream, mac, salt } => {
                let iv = counter_iv(salt, ssrc, index);
                stream.apply_keystream(&iv, &mut plain[header..]).expect("the counter covers any packet");
                let roll_over = ((index >> 16) as u32).to_be_bytes();
                let mut full = [0; 20];
                mac.sign(&[plain, &roll_over], &mut full).expect("HMAC-SHA1 has 20 bytes");
                tag.copy_from_slice(&full[..SHA1_80_TAG]);
            }
        }
    }
}

/// RFC 7714, section 8.1.
fn gcm_nonce(salt: &[u8; 12], ssrc: Ssrc, index: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[6..12].copy_from_slice(&index.to_be_bytes()[2..]);
    for (byte, salt) in nonce.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    nonce
}

/// RFC 3711, section 4.1.1.
fn counter_iv(salt: &[u8; 14], ssrc: Ssrc, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
    for (byte, salt) in iv.iter_mut().zip(salt) {
        *byte ^= salt;
    }
    iv
}

/// RFC 3711, section 4.3.3, with a key derivation rate of 0. A 96-bit salt stands left-aligned in the 112-bit field.
fn derive(crypto: &dyn RTCCrypto, key: &[u8], salt: &[u8], label: u8, len: usize) -> Result<Vec<u8>, KeyError> {
    let mut input = [0; 16];
    input[..salt.len()].copy_from_slice(salt);
    input[7] ^= label;
    let mut out = Vec::with_capacity(len + 16);
    for counter in 0u16.. {
        if out.len() >= len {
            break;
        }
        input[14..16].copy_from_slice(&counter.to_be_bytes());
        let mut block = input;
        crypto.block_encrypt(BlockCipherAlgorithm::Aes128, key, &mut block).map_err(key_error)?;
        out.extend_from_slice(&block);
    }
    out.truncate(len);
    Ok(out)
}
