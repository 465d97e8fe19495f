//! One WebRTC peer connection that sends a camera's encodings, and its sound where the node takes it.
//!
//! Invariant: every RTP packet of a picture carries the `mid` and `rid` header extensions, each of constant size
//! (RFC 8852, RFC 8843), and a number of two bytes where the node tells of these, so that packets of one payload size are
//! equally long. A node that takes no sound still gets the pictures.

use super::{
    feedback::{Feedback, requested},
    media::{
        MID_URI, NUMBER_URI, RID_URI, attribute, codec_of, extension, media_engine, media_track, section, sound_codecs,
        sound_track, takes_media,
    },
    numbering::Numbering,
};
use crate::{
    config::is_loopback,
    signaling::{Signaling, WhipError},
    sound::Codec,
    uplink::Lane,
};
use bytes::Bytes;
use protocol::{CameraId, Rid};
use rtc::{
    interceptor::{NackResponderBuilder, Slot},
    rtcp, rtp,
    rtp_transceiver::rtp_sender::{RTCRtpCodecParameters, RTCRtpParameters},
};
use std::{
    net::{Ipv6Addr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use url::Url;
use webrtc::{
    media_stream::{
        MediaStreamTrack,
        track_local::{TrackLocal, TrackLocalEvent, static_rtp::TrackLocalStaticRTP},
    },
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngine, SettingEngineBuilder,
        SrtpProtectionProfile,
    },
    rtp_transceiver::RtpSender,
};

/// Packets kept per encoding for retransmission: more than a 720p GOP's burst. A power of two.
const RETRANSMIT: u16 = 2048;
/// Application-most: the stack's own interceptors see all RTCP first.
const FEEDBACK_SLOT: usize = 14_000;
/// Host candidates come at once; the node finds the others by itself (peer-reflexive, RFC 8445).
const GATHERING: Duration = Duration::from_millis(500);
/// The stack's own 200 ms pass twice before media can flow: once for a check, once for the nomination.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Checks of one candidate pair: as long as [`CONNECTING`] allows.
const MAX_CHECKS: u16 = 250;
const CONNECTING: Duration = Duration::from_secs(10);

/// No connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The stack.
    #[error("WebRTC: {0}")]
    Stack(#[from] webrtc::error::Error),
    /// Signaling.
    #[error(transparent)]
    Whip(#[from] WhipError),
    /// The node's answer leaves out what is needed.
    #[error("the answer does not accept {0}")]
    NotAccepted(&'static str),
    /// ICE or DTLS failed.
    #[error("the media node cannot be reached (UDP may be blocked)")]
    Unreachable,
}

/// A connected peer.
pub(super) struct Peer {
    connection: Arc<dyn PeerConnection>,
    /// The pictures'.
    track: Arc<TrackLocalStaticRTP>,
    state: watch::Receiver<RTCPeerConnectionState>,
    /// Turns true when the node ends the connection.
    goodbye: watch::Receiver<bool>,
    session: Url,
    encodings: Vec<EncodingTrack>,
    sound: Option<SoundTrack>,
}

/// One of the connection's m-lines, before it is agreed.
struct Line {
    track: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
}

/// Where one encoding's packets go.
#[derive(Clone)]
pub(super) struct EncodingTrack {
    pub(super) rid: Rid,
    pub(super) outbound: Outbound,
}

/// Where the sound's packets go.
#[derive(Clone)]
pub(super) struct SoundTrack {
    /// Of the codecs that the node takes.
    pub(super) payload_types: Vec<(Codec, u8)>,
    pub(super) outbound: Outbound,
}

/// Where the packets of one SSRC go.
#[derive(Clone)]
pub(super) struct Outbound {
    pub(super) ssrc: u32,
    /// What all of its packets have in common.
    pub(super) header: rtp::Header,
    track: Arc<TrackLocalStaticRTP>,
}

struct Handler {
    gathering: watch::Sender<RTCIceGatheringState>,
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

impl Peer {
    /// Offers the encodings, and waits until media can flow.
    pub(super) async fn connect(
        signaling: &Signaling,
        camera: CameraId,
        rids: &[Rid],
        lane: Lane,
    ) -> Result<Self, ConnectError> {
        let handler = Arc::new(Handler {
            gathering: watch::Sender::new(RTCIceGatheringState::New),
            state: watch::Sender::new(RTCPeerConnectionState::New),
        });
        let (mut gathering, state) = (handler.gathering.subscribe(), handler.state.subscribe());
        let (ended, goodbye) = watch::channel(false);
        let builder = PeerConnectionBuilder::new()
            .with_media_engine(media_engine()?)
            .with_interceptor_registry(interceptors(ended, lane))
            .with_setting_engine(settings())
            .with_udp_addrs(local_addresses(is_loopback(signaling.base())))
            .with_handler(handler);
        // Boxed: the stack's future is 20 KB large.
        let connection: Arc<dyn PeerConnection> = Arc::new(Box::pin(builder.build()).await?);
        let video = Line::add(connection.as_ref(), media_track(camera, rids), Vec::new()).await?;
        let audio = Line::add(connection.as_ref(), sound_track(camera), sound_codecs()).await?;
        let offer = connection.create_offer(None).await?;
        connection.set_local_description(offer).await?;
        // An incomplete list of candidates is as good: the node is ICE-lite and answers whoever asks.
        let _ = timeout(GATHERING, gathering.wait_for(|s| *s == RTCIceGatheringState::Complete)).await;
        let offer = connection.local_description().await.ok_or(ConnectError::NotAccepted("an offer"))?.sdp;
        let whip = match signaling.publish(camera, offer.clone()).await {
            Ok(whip) => whip,
            Err(error) => {
                close(&connection).await;
                return Err(error.into());
            }
        };
        let track = Arc::clone(&video.track);
        let (encodings, sound) = (Vec::new(), None);
        let mut peer = Self { connection, track, state, goodbye, session: whip.url, encodings, sound };
        if let Err(error) = peer.establish(&whip.answer, &offer, &video, &audio).await {
            peer.end(signaling).await;
            return Err(error);
        }
        Ok(peer)
    }

    async fn establish(&mut self, answer: &str, offer: &str, video: &Line, audio: &Line) -> Result<(), ConnectError> {
        self.connection.set_remote_description(RTCSessionDescription::answer(answer.to_owned())?).await?;
        let connected = self.state.wait_for(|s| *s == RTCPeerConnectionState::Connected || is_over(*s));
        match timeout(CONNECTING, connected).await {
            Ok(Ok(s)) if *s == RTCPeerConnectionState::Connected => {}
            _ => return Err(ConnectError::Unreachable),
        }
        let parameters = video.sender.get_parameters().await?.rtp_parameters;
        let codec = parameters.codecs.first().ok_or(ConnectError::NotAccepted("H.264"))?;
        let mid_id = extension(&parameters, MID_URI).ok_or(ConnectError::NotAccepted("the mid header extension"))?;
        let rid_id = extension(&parameters, RID_URI).ok_or(ConnectError::NotAccepted("the rid header extension"))?;
        let mid = section(offer, "video").and_then(|s| attribute(&s, "mid")).unwrap_or("0");
        for coding in video.track.track().await.codings() {
            let coding = &coding.rtp_coding_parameters;
            let (Some(ssrc), Ok(rid)) = (coding.ssrc, coding.rid.parse::<Rid>()) else { continue };
            let mut header = rtp::Header { version: 2, payload_type: codec.payload_type, ssrc, ..Default::default() };
            header.set_extension(mid_id, Bytes::copy_from_slice(mid.as_bytes()))?;
            header.set_extension(rid_id, Bytes::copy_from_slice(rid.as_str().as_bytes()))?;
            reserve_number(&mut header, &parameters)?;
            let outbound = Outbound { ssrc, header, track: Arc::clone(&video.track) };
            self.encodings.push(EncodingTrack { rid, outbound });
        }
        self.sound = match sound_agreed(offer, answer, audio).await {
            Ok(sound) => sound,
            Err(error) => {
                tracing::warn!(%error, "the camera's sound cannot be sent");
                None
            }
        };
        Ok(())
    }

    /// The encodings, in the order they were asked for.
    pub(super) fn encodings(&self) -> &[EncodingTrack] {
        &self.encodings
    }

    /// Where the sound goes; `None` when the node does not take it.
    pub(super) fn sound(&self) -> Option<&SoundTrack> {
        self.sound.as_ref()
    }

    /// Returns when the connection is lost or the node has ended it.
    pub(super) async fn lost(&self) {
        let (mut state, mut goodbye) = (self.state.clone(), self.goodbye.clone());
        tokio::select! {
            _ = state.wait_for(|s| is_over(*s)) => {}
            Ok(_) = goodbye.wait_for(|said| *said) => {}
        }
    }

    /// The SSRCs that the node asks a keyframe of, as it asks. Never returns.
    pub(super) async fn keyframe_requests(&self, mut asked: impl FnMut(u32)) {
        while let Some(event) = self.track.poll().await {
            if let TrackLocalEvent::OnRtcpPacket(packets) = event {
                packets.iter().flat_map(|p| requested(p.as_ref())).for_each(&mut asked);
            }
        }
        std::future::pending::<()>().await;
    }

    /// Ends the session at the node and here.
    pub(super) async fn end(self, signaling: &Signaling) {
        if let Err(error) = signaling.unpublish(self.session).await {
            tracing::debug!(%error, "the WHIP session was not ended");
        }
        close(&self.connection).await;
    }
}

impl Outbound {
    /// Sends one packet; the header extensions are added.
    pub(super) async fn send(
        &self,
        sequence_number: u16,
        timestamp: u32,
        marker: bool,
        payload: Bytes,
    ) -> Result<(), webrtc::error::Error> {
        let header = rtp::Header { sequence_number, timestamp, marker, ..self.header.clone() };
        self.track.write_rtp(rtp::Packet { header, payload }).await
    }

    /// Sends a report.
    pub(super) async fn report(&self, report: impl rtcp::Packet + 'static) -> Result<(), webrtc::error::Error> {
        self.track.write_rtcp(vec![Box::new(report)]).await
    }
}

impl Line {
    /// A line for a track; it offers the track's own codec where no other `codecs` are named.
    async fn add(
        connection: &dyn PeerConnection,
        track: MediaStreamTrack,
        codecs: Vec<RTCRtpCodecParameters>,
    ) -> Result<Self, webrtc::error::Error> {
        let track = Arc::new(TrackLocalStaticRTP::new(track));
        let sender = connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await?;
        for transceiver in connection.get_transceivers().await {
            let is_ours = transceiver.sender().await?.is_some_and(|s| s.id() == sender.id());
            if is_ours && !codecs.is_empty() {
                transceiver.set_codec_preferences(codecs.clone()).await?;
            }
        }
        Ok(Self { track, sender })
    }
}

/// Keeps room for the number that is written when a packet leaves.
fn reserve_number(header: &mut rtp::Header, parameters: &RTCRtpParameters) -> Result<(), webrtc::error::Error> {
    match extension(parameters, NUMBER_URI) {
        Some(id) => Ok(header.set_extension(id, Bytes::from_static(&[0; 2]))?),
        None => Ok(()),
    }
}

/// Where the sound goes, if the answer takes it.
async fn sound_agreed(offer: &str, answer: &str, line: &Line) -> Result<Option<SoundTrack>, ConnectError> {
    let is_taken = section(answer, "audio").is_some_and(|s| takes_media(&s));
    let ssrc = line.track.track().await.ssrcs().next();
    let (true, Some(ssrc)) = (is_taken, ssrc) else { return Ok(None) };
    let parameters = line.sender.get_parameters().await?.rtp_parameters;
    let payload_types = parameters.codecs.iter().filter_map(|c| Some((codec_of(&c.rtp_codec)?, c.payload_type)));
    let payload_types: Vec<_> = payload_types.collect();
    let mut header = rtp::Header { version: 2, ssrc, ..Default::default() };
    let mid = section(offer, "audio").and_then(|s| attribute(&s, "mid").map(str::to_owned));
    if let (Some(id), Some(mid)) = (extension(&parameters, MID_URI), mid) {
        header.set_extension(id, Bytes::from(mid))?;
    }
    reserve_number(&mut header, &parameters)?;
    let outbound = Outbound { ssrc, header, track: Arc::clone(&line.track) };
    Ok((!payload_types.is_empty()).then_some(SoundTrack { payload_types, outbound }))
}

async fn close(connection: &Arc<dyn PeerConnection>) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the peer connection did not close");
    }
}

fn is_over(state: RTCPeerConnectionState) -> bool {
    use RTCPeerConnectionState::{Closed, Disconnected, Failed};
    matches!(state, Closed | Disconnected | Failed)
}

/// Retransmission and keyframe requests. Sender reports are ours: the stack's would state the time a packet was sent
/// for the time it was captured, which is wrong while a cached GOP is sent faster than it was made.
fn interceptors(ended: watch::Sender<bool>, lane: Lane) -> Registry {
    Registry::new()
        // Closest to the wire, so that retransmissions are numbered too.
        .with(Slot::TwccSender, Numbering::new(lane))
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(RETRANSMIT).build())
        .with(Slot::from(FEEDBACK_SLOT), Feedback::new(ended))
}

fn settings() -> SettingEngine {
    use SrtpProtectionProfile::{Srtp_Aead_Aes_128_Gcm, Srtp_Aes128_Cm_Hmac_Sha1_80};
    let seconds = |s| Some(Duration::from_secs(s));
    SettingEngineBuilder::new()
        .with_srtp_protection_profiles(vec![Srtp_Aead_Aes_128_Gcm, Srtp_Aes128_Cm_Hmac_Sha1_80])
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(seconds(5), seconds(10), seconds(2))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(MAX_CHECKS))
        .build()
}

/// The addresses to send from: every IPv4 interface, the IPv6 address that leads outside, and the loopback interface
/// where the node may be on this machine.
fn local_addresses(with_loopback: bool) -> Vec<String> {
    let mut addresses = vec!["0.0.0.0:0".to_owned()];
    // Connecting a datagram socket sends nothing; it asks the routing table.
    let route = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).and_then(|s| {
        s.connect("[2001:db8::1]:9")?;
        s.local_addr()
    });
    if let Ok(address) = route {
        addresses.push(format!("[{}]:0", address.ip()));
    }
    if with_loopback {
        addresses.push("127.0.0.1:0".to_owned());
    }
    addresses
}
