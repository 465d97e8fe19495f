//! The light end of a peer connection, sans-IO: ICE checks, a DTLS client, SRTP. What a full stack keeps for each
//! connection and a load does not need is left out: gathering, bandwidth estimation, jitter buffers, decoders.
//!
//! Contract: [`Client::check`], [`Client::handle_timeout`] and [`Client::receive`] fill [`Client::out`], which the caller
//! sends. After the handshake the DTLS state is let go.

mod keys;
pub mod rtcp;
pub mod sdp;
mod stun;

use bytes::BytesMut;
use keys::Keys;
use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use sdp::Answer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an ICE check waits for its answer before it is sent again.
const CHECK_AGAIN: Duration = Duration::from_millis(100);
/// From one check to the next once connected (RFC 7675, section 5.1).
const CONSENT: Duration = Duration::from_secs(5);
/// An alert in a DTLS record: after the handshake, a good-bye.
const ALERT: u8 = 21;

/// The certificate that all virtual peers of a process show, and what they offer with it.
#[derive(Clone)]
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    config: Arc<HandshakeConfig>,
    fingerprint: String,
}

/// The certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the virtual peers' certificate: {0}")]
pub struct IdentityError(String);

impl Identity {
    /// A new one.
    pub fn new() -> Result<Self, IdentityError> {
        let failed = |e: &dyn std::fmt::Display| IdentityError(e.to_string());
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["loadtest".to_owned()], provider.crypto());
        let certificate = certificate.map_err(|e| failed(&e))?;
        let der = certificate.certificate.first().ok_or_else(|| failed(&"empty chain"))?;
        let fingerprint = sdp::fingerprint(der.as_ref());
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&provider))
            .with_certificates(vec![certificate.clone()])
            // In the order of browsers.
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            ])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // The certificate is compared with the answer's fingerprint instead.
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(true, None)
            .map_err(|e| failed(&e))?;
        Ok(Self { provider, config: Arc::new(config), fingerprint })
    }

    /// SHA-256 of the certificate, as SDP writes it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// No further than before.
    Same,
    /// The first ICE check was answered.
    Checked,
    /// The handshake is complete: media may flow.
    Connected,
    /// The server said good-bye.
    Closed,
}

/// Why a connection cannot come about.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The handshake failed.
    #[error("DTLS: {0}")]
    Dtls(String),
    /// The server's certificate is not the answer's.
    #[error("the server's certificate does not match its answer")]
    Fingerprint,
}

/// What does not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not authenticate")]
pub struct Unauthentic;

/// See the module.
pub struct Client {
    identity: Identity,
    server: SocketAddr,
    answer: Answer,
    check: Option<(stun::Transaction, Instant)>,
    checked: Option<Instant>,
    dtls: Option<Box<Endpoint>>,
    keys: Option<Keys>,
    /// Datagrams to send to [`Client::server`].
    pub out: Vec<Vec<u8>>,
}

impl Client {
    /// A client of the server that `answer` describes.
    pub fn new(identity: &Identity, answer: Answer) -> Self {
        Self {
            identity: identity.clone(),
            server: answer.candidate,
            answer,
            check: None,
            checked: None,
            dtls: None,
            keys: None,
            out: Vec::new(),
        }
    }

    /// Where its datagrams go.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// What the server answered.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Whether media may flow.
    pub fn is_connected(&self) -> bool {
        self.keys.is_some()
    }

    /// Sends an ICE check that nominates its pair.
    pub fn check(&mut self, now: Instant) {
        let (request, transaction) = stun::check(&self.answer.ufrag, &self.answer.password, &self.identity.provider);
        self.check = Some((transaction, now));
        self.out.push(request);
    }

    /// Repeats what was not answered in time, and keeps the server's consent.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = match (&self.check, self.checked) {
            (Some((_, sent)), None) => now >= *sent + CHECK_AGAIN,
            (Some((_, sent)), Some(_)) => now >= *sent + CONSENT,
            (None, _) => false,
        };
        if is_due {
            self.check(now);
        }
        let Some(dtls) = self.dtls.as_mut() else { return };
        if dtls.poll_timeout(&self.server).is_some_and(|at| at <= now) {
            // A handshake that fails for good ends by the caller's patience.
            let _ = dtls.handle_timeout(self.server, now);
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(dtls) = self.dtls.as_mut() else { return };
        while let Some(transmit) = dtls.poll_transmit() {
            self.out.push(transmit.message.to_vec());
        }
    }

    /// Takes a datagram that is neither RTP nor RTCP.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<Progress, ClientError> {
        match datagram.first() {
            Some(0..=3) => Ok(self.receive_stun(now, datagram)),
            Some(&ALERT) if self.is_connected() => Ok(Progress::Closed),
            Some(20..=63) => self.receive_dtls(now, datagram),
            _ => Ok(Progress::Same),
        }
    }

    fn receive_stun(&mut self, now: Instant, datagram: &[u8]) -> Progress {
        let is_answer = self.check.as_ref().is_some_and(|(transaction, _)| transaction.is_answered_by(datagram));
        if !is_answer || self.checked.replace(now).is_some() {
            return Progress::Same;
        }
        let mut dtls = Box::new(Endpoint::new(stun::ANY, TransportProtocol::UDP, None));
        if dtls.connect(now, self.server, Arc::clone(&self.identity.config), None).is_ok() {
            self.dtls = Some(dtls);
            self.flush();
        }
        Progress::Checked
    }

    fn receive_dtls(&mut self, now: Instant, datagram: &[u8]) -> Result<Progress, ClientError> {
        let failed = |e: &dyn std::fmt::Display| ClientError::Dtls(e.to_string());
        let Some(dtls) = self.dtls.as_mut() else { return Ok(Progress::Same) };
        let events = dtls.read(now, self.server, None, BytesMut::from(datagram)).map_err(|e| failed(&e))?;
        let is_complete = events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete));
        self.flush();
        let Some(dtls) = self.dtls.as_ref().filter(|_| is_complete) else { return Ok(Progress::Same) };
        let state = dtls.get_connection_state(self.server).ok_or_else(|| failed(&"no state"))?;
        let shown = state.peer_certificates.first().map(|der| sdp::fingerprint(der));
        if !shown.is_some_and(|shown| shown.eq_ignore_ascii_case(&self.answer.fingerprint)) {
            return Err(ClientError::Fingerprint);
        }
        self.keys = Some(Keys::export(state, &self.identity.provider).map_err(|e| failed(&e))?);
        self.dtls = None;
        Ok(Progress::Connected)
    }

    /// Opens an RTP packet: header and payload, plain.
    pub fn open_rtp(&mut self, packet: &[u8]) -> Result<BytesMut, Unauthentic> {
        self.keys.as_mut().ok_or(Unauthentic)?.inbound.decrypt_rtp(packet).map_err(|_| Unauthentic)
    }

    /// Opens an RTCP datagram.
    pub fn open_rtcp(&mut self, datagram: &[u8]) -> Result<BytesMut, Unauthentic> {
        self.keys.as_mut().ok_or(Unauthentic)?.inbound.decrypt_rtcp(datagram).map_err(|_| Unauthentic)
    }

    /// Seals a plain RTP packet; `None` before the handshake is complete.
    pub fn seal_rtp(&mut self, plain: &[u8]) -> Option<BytesMut> {
        self.keys.as_mut()?.outbound.encrypt_rtp(plain).ok()
    }

    /// Seals and sends an RTCP datagram.
    pub fn send_rtcp(&mut self, plain: &[u8]) {
        if let Some(sealed) = self.keys.as_mut().and_then(|keys| keys.outbound.encrypt_rtcp(plain).ok()) {
            self.out.push(sealed.to_vec());
        }
    }
}
