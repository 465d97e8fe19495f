//! DTLS (RFC 6347, RFC 5764) of all peers of a shard: server side, one association a peer.
//!
//! Invariants: an association exists only for a peer whose address was validated by ICE; it is up only after the
//! peer's certificate matched the fingerprint of its SDP. Associations are keyed by a synthetic address, so that they
//! outlive a change of the peer's real one.

use crate::srtp::{KeyError, Profile, Session};
use bytes::BytesMut;
use rtc_crypto::{HashAlgorithm, RTCCrypto, RTCCryptoProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::config::LABEL_EXTRACTOR_DTLS_SRTP;
use std::collections::HashMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

mod allowance;
mod client_hello;

use allowance::Allowance;
use client_hello::{ClientHello, Peek};

/// SHA-256 fingerprint of a certificate (RFC 8122).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER form.
    pub fn of(certificate: &[u8], crypto: &dyn RTCCrypto) -> Option<Self> {
        Some(Self(crypto.hash(HashAlgorithm::Sha256, certificate).ok()?.try_into().ok()?))
    }

    /// From the upper- or lower-case hex pairs of SDP, colons between.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|p| p.len() == 2 && p.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// The node's certificate and what to offer with it; shared by its shards.
#[derive(Clone)]
pub struct Identity {
    gcm: Arc<HandshakeConfig>,
    cm: Arc<HandshakeConfig>,
    /// Of our certificate, for answers.
    pub fingerprint: Fingerprint,
}

/// The certificate or its settings do not work.
#[derive(Debug, thiserror::Error)]
#[error("DTLS identity: {0}")]
pub struct IdentityError(String);

impl Identity {
    /// From a certificate. All randomness of handshakes comes from `provider`.
    pub fn new(certificate: &Certificate, provider: &Arc<dyn RTCCryptoProvider>) -> Result<Self, IdentityError> {
        let config = |profile| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(provider))
                .with_certificates(vec![certificate.clone()])
                .with_srtp_protection_profiles(vec![profile])
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .build(false, None)
                .map(Arc::new)
                .map_err(|e| IdentityError(e.to_string()))
        };
        let der = certificate.certificate.first().ok_or_else(|| IdentityError("empty chain".into()))?;
        let fingerprint = Fingerprint::of(der.as_ref(), provider.crypto());
        Ok(Self {
            gcm: config(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm)?,
            cm: config(SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80)?,
            fingerprint: fingerprint.ok_or_else(|| IdentityError("SHA-256 is not available".into()))?,
        })
    }
}

/// Why an association ends.
#[derive(Debug, thiserror::Error)]
pub enum DtlsError {
    /// The handshake or a record is wrong.
    #[error("DTLS: {0}")]
    Protocol(String),
    /// The peer's certificate is not the one its SDP promised.
    #[error("the certificate does not match the fingerprint in the SDP")]
    Fingerprint,
    /// More, or larger, than a handshake needs.
    #[error("too much for a handshake, or not cut as one is")]
    Excess,
    /// No common SRTP profile.
    #[error("no SRTP profile in common: AEAD_AES_128_GCM or AES128_CM_HMAC_SHA1_80 is needed")]
    Profile,
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// What reading a datagram led to.
pub enum Progress {
    /// Nothing yet, or nothing new.
    Going,
    /// The handshake is complete.
    Up(Box<Session>),
    /// The peer said good-bye.
    Closed,
}

/// All associations of a shard, named by the peers' places.
pub struct Associations {
    endpoint: Endpoint,
    identity: Identity,
    provider: Arc<dyn RTCCryptoProvider>,
    hellos: HashMap<u32, ClientHello>,
    allowances: HashMap<u32, Allowance>,
}

impl Associations {
    /// None yet.
    pub fn new(identity: Identity, provider: Arc<dyn RTCCryptoProvider>) -> Self {
        let endpoint = Endpoint::new(synthetic(0), TransportProtocol::UDP, Some(Arc::clone(&identity.gcm)));
        Self { endpoint, identity, provider, hellos: HashMap::new(), allowances: HashMap::new() }
    }

    /// Reads a datagram of the peer at `place`, whose certificate must have `expected`.
    pub fn read(
        &mut self,
        now: Instant,
        place: u32,
        datagram: &[u8],
        expected: Fingerprint,
    ) -> Result<Progress, DtlsError> {
        let remote = synthetic(place);
        self.allowances.entry(place).or_default().admit(datagram)?;
        if self.endpoint.get_connection_state(remote).is_some() {
            return self.feed(now, remote, datagram, expected);
        }
        let hello = self.hellos.entry(place).or_default();
        let is_gcm = match hello.push(datagram) {
            Peek::Incomplete => return Ok(Progress::Going),
            Peek::Complete { offers_gcm } => offers_gcm,
        };
        let datagrams = self.hellos.remove(&place).map(ClientHello::into_datagrams).unwrap_or_default();
        let config = if is_gcm { &self.identity.gcm } else { &self.identity.cm };
        self.endpoint.set_server_config(Some(Arc::clone(config)));
        let mut progress = Progress::Going;
        for datagram in datagrams {
            progress = self.feed(now, remote, &datagram, expected)?;
        }
        Ok(progress)
    }

    fn feed(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        bytes: &[u8],
        expected: Fingerprint,
    ) -> Result<Progress, DtlsError> {
        let events = self
            .endpoint
            .read(now, remote, None, BytesMut::from(bytes))
            .map_err(|e| DtlsError::Protocol(e.to_string()))?;
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.allowances.entry(place_of(remote)).or_default().handshake_is_over();
                    return self.complete(remote, expected);
                }
                EndpointEvent::PeerClosed => return Ok(Progress::Closed),
                _ => {}
            }
        }
        Ok(Progress::Going)
    }

    fn complete(&self, remote: SocketAddr, expected: Fingerprint) -> Result<Progress, DtlsError> {
        let state = self.endpoint.get_connection_state(remote).ok_or(DtlsError::Fingerprint)?;
        let certificate = state.peer_certificates.first().ok_or(DtlsError::Fingerprint)?;
        if Fingerprint::of(certificate, self.provider.crypto()) != Some(expected) {
            return Err(DtlsError::Fingerprint);
        }
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Aes128CmHmacSha1_80,
            _ => return Err(DtlsError::Profile),
        };
        let material = state
            .export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], profile.keying_material_len())
            .map_err(|e| DtlsError::Protocol(e.to_string()))?;
        let session = Session::new(profile, material.as_ref(), true, &self.provider)?;
        Ok(Progress::Up(Box::new(session)))
    }

    /// The next datagram to send, and to whom.
    pub fn poll_transmit(&mut self) -> Option<(u32, BytesMut)> {
        let transmit = self.endpoint.poll_transmit()?;
        Some((place_of(transmit.transport.peer_addr), transmit.message))
    }

    /// Repeats the last flight of the peer at `place` when its time has come.
    pub fn handle_timeout(&mut self, now: Instant, place: u32) -> Result<(), DtlsError> {
        let remote = synthetic(place);
        if self.endpoint.poll_timeout(&remote).is_none_or(|at| at > now) {
            return Ok(());
        }
        self.endpoint.handle_timeout(remote, now).map_err(|e| DtlsError::Protocol(e.to_string()))
    }

    /// Ends the association of the peer at `place`, saying good-bye.
    pub fn close(&mut self, now: Instant, place: u32) {
        self.hellos.remove(&place);
        self.allowances.remove(&place);
        self.endpoint.stop(now, synthetic(place));
    }
}

fn synthetic(place: u32) -> SocketAddr {
    let [a, b, c, d] = place.to_be_bytes();
    let high = u16::from_be_bytes([a, b]);
    let low = u16::from_be_bytes([c, d]);
    (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, high, low), 1).into()
}

fn place_of(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(v6) => (v6.ip().to_bits() & 0xffff_ffff) as u32,
        SocketAddr::V4(_) => unreachable!("associations are keyed by synthetic IPv6 addresses"),
    }
}
