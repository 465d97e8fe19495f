//! The other end of a peer connection, sans-IO and small: ICE checks, DTLS client, SRTP both ways. It opens every packet
//! it gets.

use bytes::BytesMut;
use rtc_crypto::{RTCCryptoProvider, providers::RingProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::config::LABEL_EXTRACTOR_DTLS_SRTP;
use rtc_stun::attributes::{ATTR_USE_CANDIDATE, ATTR_USERNAME, RawAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, TransactionId};
use rtc_stun::textattrs::TextAttribute;
use sfu_core::dtls::Fingerprint;
use sfu_core::ice::Credentials;
use sfu_core::rtp::{self, Header};
use sfu_core::srtp::{Profile, Session};
use sfu_core::{Ssrc, TransportAddress};
use std::sync::Arc;
use std::time::Instant;

/// A certificate and provider that many peers may share; making one costs more than a handshake.
#[derive(Clone)]
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
}

impl Identity {
    pub fn new() -> Self {
        let provider: Arc<dyn RTCCryptoProvider> = Arc::new(RingProvider::new());
        let certificate = Certificate::generate_self_signed(vec!["peer".to_owned()], provider.crypto()).expect("made");
        Self { provider, certificate }
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.certificate.certificate[0].as_ref(), self.provider.crypto()).expect("SHA-256")
    }
}

/// An RTP packet as it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub header: Header,
    pub payload: Vec<u8>,
    /// When it left, in 6.18 fixed point seconds, where the viewer's offer has that extension.
    pub send_time: Option<u32>,
    /// Its transport-wide number, where the viewer's packets have one.
    pub number: Option<u16>,
}

/// Extension id of the send time in the offers of viewers.
pub const SEND_TIME: u8 = 2;
/// Extension id of the transport-wide number.
pub const NUMBER: u8 = 6;

pub struct Peer {
    pub address: TransportAddress,
    server: TransportAddress,
    identity: Identity,
    /// The server's ICE credentials.
    ufrag: String,
    password: String,
    profiles: Vec<SrtpProtectionProfile>,
    dtls: Endpoint,
    session: Option<Session>,
    /// Datagrams to send.
    pub out: Vec<Vec<u8>>,
    pub packets: Vec<Packet>,
    /// The last packet, plain.
    pub raw: Option<Vec<u8>>,
    /// RTCP datagrams, opened.
    pub rtcp: Vec<Vec<u8>>,
    pub undecryptable: usize,
    pub closed: bool,
}

impl Peer {
    /// A peer that will connect to what `answer` says, at `server`.
    pub fn new(identity: &Identity, address: TransportAddress, server: TransportAddress, answer: &str) -> Self {
        let value = |key: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("the answer has no {key}")).trim().to_owned()
        };
        Self {
            address,
            server,
            identity: identity.clone(),
            ufrag: value("a=ice-ufrag:"),
            password: value("a=ice-pwd:"),
            profiles: vec![
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            ],
            dtls: Endpoint::new(address.socket, TransportProtocol::UDP, None),
            session: None,
            out: Vec::new(),
            packets: Vec::new(),
            raw: None,
            rtcp: Vec::new(),
            undecryptable: 0,
            closed: false,
        }
    }

    /// Takes part without AES-GCM, as old clients do.
    pub fn only_aes_cm(mut self) -> Self {
        self.profiles.truncate(1);
        self
    }

    pub fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// The server's credentials that it uses.
    pub fn credentials(&self) -> Credentials {
        Credentials { ufrag: self.ufrag.clone(), password: self.password.clone() }
    }

    /// Uses other credentials of the server from now on.
    pub fn restart(&mut self, ice: Credentials) {
        (self.ufrag, self.password) = (ice.ufrag, ice.password);
    }

    /// Sends a connectivity check that nominates its pair.
    pub fn check(&mut self) {
        let crypto = self.identity.provider.crypto();
        let mut message = Message::new();
        message
            .build(&[
                Box::new(BINDING_REQUEST),
                Box::new(TransactionId::new()),
                Box::new(TextAttribute::new(ATTR_USERNAME, format!("{}:peer", self.ufrag))),
                Box::new(RawAttribute { typ: ATTR_USE_CANDIDATE, length: 0, value: Vec::new() }),
                Box::new(MessageIntegrity::new_raw_integrity_with_provider(self.password.as_bytes(), crypto)),
                Box::new(FINGERPRINT),
            ])
            .expect("a binding request");
        self.out.push(message.raw);
    }

    /// Begins the DTLS handshake.
    pub fn handshake(&mut self, now: Instant) {
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&self.identity.provider))
            .with_certificates(vec![self.identity.certificate.clone()])
            .with_srtp_protection_profiles(self.profiles.clone())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(true, Some(self.server.socket))
            .expect("a client's configuration");
        self.dtls.connect(now, self.server.socket, Arc::new(config), None).expect("a first flight");
        self.flush_dtls();
    }

    fn flush_dtls(&mut self) {
        while let Some(transmit) = self.dtls.poll_transmit() {
            self.out.push(transmit.message.to_vec());
        }
    }

    /// Repeats a flight whose answer is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.is_connected() && self.dtls.poll_timeout(&self.server.socket).is_some_and(|at| at <= now) {
            let _ = self.dtls.handle_timeout(self.server.socket, now);
            self.flush_dtls();
        }
    }

    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        match datagram.first() {
            Some(20..=63) => self.receive_dtls(now, datagram),
            Some(128..=191) => self.receive_srtp(datagram),
            _ => {}
        }
    }

    fn receive_dtls(&mut self, now: Instant, datagram: &[u8]) {
        let events = self.dtls.read(now, self.server.socket, None, BytesMut::from(datagram)).unwrap_or_default();
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => self.session = Some(self.keys()),
                EndpointEvent::PeerClosed => self.closed = true,
                _ => {}
            }
        }
        self.flush_dtls();
    }

    fn keys(&self) -> Session {
        let state = self.dtls.get_connection_state(self.server.socket).expect("a handshake is complete");
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
            _ => Profile::Aes128CmHmacSha1_80,
        };
        let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], profile.keying_material_len());
        Session::new(profile, material.expect("exported").as_ref(), false, &self.identity.provider).expect("keys")
    }

    fn receive_srtp(&mut self, datagram: &[u8]) {
        let Some(session) = &mut self.session else { return };
        if rtp::is_rtcp(datagram) {
            match session.inbound.decrypt_rtcp(datagram) {
                Ok(plain) => self.rtcp.push(plain.to_vec()),
                Err(_) => self.undecryptable += 1,
            }
            return;
        }
        match session.inbound.decrypt_rtp(datagram) {
            Ok(plain) => {
                let header = Header::read(&plain, false).expect("a packet that authenticated is well-formed");
                let payload = plain[header.payload.clone()].to_vec();
                let send_time = header.extension(&plain, SEND_TIME);
                let send_time = send_time.map(|bytes| bytes.iter().fold(0, |time, byte| time << 8 | u32::from(*byte)));
                let number = header.extension(&plain, NUMBER).and_then(|bytes| bytes.try_into().ok());
                let number = number.map(u16::from_be_bytes);
                self.packets.push(Packet { header, payload, send_time, number });
                self.raw = Some(plain.to_vec());
            }
            Err(_) => self.undecryptable += 1,
        }
    }

    /// Sends a plain RTP packet, sealed. `index` is its sequence number with the roll-over count above bit 16.
    pub fn send_rtp(&mut self, plain: &[u8], index: u64) {
        let Some(session) = &mut self.session else { return };
        let header = Header::read(plain, true).expect("a well-formed packet");
        let mut packet = plain.to_vec();
        packet.resize(plain.len() + session.sealer.tag_len(), 0);
        let ssrc = Ssrc(header.ssrc.0);
        session.sealer.seal(&mut packet, header.payload.start, ssrc, index);
        self.out.push(packet);
    }

    pub fn send_rtcp(&mut self, plain: &[u8]) {
        let Some(session) = &mut self.session else { return };
        self.out.push(session.rtcp_out.encrypt_rtcp(plain).expect("sealed").to_vec());
    }
}
