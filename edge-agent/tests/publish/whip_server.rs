//! A WHIP server of the `webrtc` crate's own making, which shows what it receives.

use async_trait::async_trait;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::{delete, post},
};
use rtc::{
    interceptor::{Attribute, Interceptor, Packet, Registry, Slot, StreamInfo, TaggedPacket},
    rtcp::{
        goodbye::Goodbye,
        payload_feedbacks::picture_loss_indication::PictureLossIndication,
        sender_report::SenderReport,
        transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack},
    },
    rtp_transceiver::rtp_sender::{
        RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
    },
    sansio::Protocol,
    shared::error::Error,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
};
use webrtc::{
    media_stream::track_remote::TrackRemote,
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCSessionDescription,
    },
};

/// What arrived.
pub(crate) enum Seen {
    Rtp(rtc::rtp::Packet),
    Report(SenderReport),
    /// Of these SSRCs.
    Goodbye(Vec<u32>),
}

/// The server and the one session it holds.
pub(crate) struct WhipServer {
    pub(crate) url: String,
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    shared: Arc<Shared>,
}

struct Shared {
    seen: mpsc::UnboundedSender<Seen>,
    connection: Mutex<Option<Arc<dyn PeerConnection>>>,
    tracks: Arc<Mutex<Vec<Arc<dyn TrackRemote>>>>,
    offer: Mutex<String>,
    answer: Mutex<String>,
    audio: bool,
    /// What the calls were authorized with.
    grants: Mutex<Vec<String>>,
    was_deleted: AtomicBool,
    /// Large packets that came.
    large: watch::Sender<u64>,
}

impl WhipServer {
    /// One that takes pictures only.
    pub(crate) async fn start() -> Self {
        Self::start_with(false).await
    }

    /// One that takes sound too, if `audio`.
    pub(crate) async fn start_with(audio: bool) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            seen: sender,
            connection: Mutex::default(),
            tracks: Arc::default(),
            offer: Mutex::default(),
            answer: Mutex::default(),
            audio,
            grants: Mutex::default(),
            was_deleted: AtomicBool::new(false),
            large: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new()
            .route("/whip/{camera}", post(publish))
            .route("/sessions/1", delete(unpublish))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen, shared }
    }

    pub(crate) fn was_deleted(&self) -> bool {
        self.shared.was_deleted.load(Ordering::SeqCst)
    }

    /// How many large packets have come, of whatever.
    pub(crate) fn large(&self) -> watch::Receiver<u64> {
        self.shared.large.subscribe()
    }

    pub(crate) fn answer(&self) -> String {
        self.shared.answer.lock().expect("unpoisoned").clone()
    }

    /// The grants of the sessions that were asked for, in their order.
    pub(crate) fn grants(&self) -> Vec<String> {
        self.shared.grants.lock().expect("unpoisoned").clone()
    }

    pub(crate) fn offer(&self) -> String {
        self.shared.offer.lock().expect("unpoisoned").clone()
    }

    pub(crate) async fn nack(&self, media_ssrc: u32, packet_id: u16) {
        let nacks = vec![NackPair { packet_id, lost_packets: 0 }];
        self.write(Box::new(TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks })).await;
    }

    /// Says good-bye, as a node does that ends a connection.
    pub(crate) async fn say_goodbye(&self) {
        self.write(Box::new(Goodbye { sources: vec![1], ..Default::default() })).await;
    }

    pub(crate) async fn request_keyframe(&self, media_ssrc: u32) {
        self.write(Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc })).await;
    }

    async fn write(&self, packet: Box<dyn rtc::rtcp::Packet>) {
        let track = Arc::clone(self.shared.tracks.lock().expect("unpoisoned").first().expect("a track came"));
        track.write_rtcp(vec![packet]).await.expect("written");
    }
}

async fn unpublish(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.was_deleted.store(true, Ordering::SeqCst);
    StatusCode::OK
}

async fn publish(State(shared): State<Arc<Shared>>, headers: HeaderMap, offer: String) -> impl IntoResponse {
    let bearer = headers[header::AUTHORIZATION].to_str().expect("text");
    let grant = bearer.strip_prefix("Bearer ").expect("a bearer token").to_owned();
    shared.grants.lock().expect("unpoisoned").push(grant);
    assert_eq!(headers[header::CONTENT_TYPE], "application/sdp");
    shared.offer.lock().expect("unpoisoned").clone_from(&offer);
    assert!(offer.contains("a=sendonly") || offer.contains("a=sendrecv"), "{offer}");
    let gathered = Arc::new(tokio::sync::Notify::new());
    let handler = Receiver { seen: shared.seen.clone(), tracks: shared.tracks.clone(), gathered: gathered.clone() };
    let builder = PeerConnectionBuilder::new()
        .with_media_engine(media_engine(shared.audio))
        .with_interceptor_registry(Registry::new().with(Slot::from(14_000_usize), DeliverAll::default()))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .with_handler(Arc::new(handler));
    let connection: Arc<dyn PeerConnection> = Arc::new(Box::pin(builder.build()).await.expect("a peer connection"));
    // Without candidates of the publisher, everything takes the way through the lossy path.
    let offer: String = offer.lines().filter(|l| !l.starts_with("a=candidate")).flat_map(|l| [l, "\r\n"]).collect();
    let offer = RTCSessionDescription::offer(offer).expect("an offer");
    connection.set_remote_description(offer).await.expect("acceptable");
    let answer = connection.create_answer(None).await.expect("an answer");
    connection.set_local_description(answer).await.expect("its own answer");
    gathered.notified().await;
    let answer = connection.local_description().await.expect("set").sdp;
    let answer = through_lossy_path(&answer, shared.large.clone()).await;
    shared.answer.lock().expect("unpoisoned").clone_from(&answer);
    *shared.connection.lock().expect("unpoisoned") = Some(connection);
    let headers = [(header::CONTENT_TYPE, "application/sdp"), (header::LOCATION, "/sessions/1")];
    (StatusCode::CREATED, headers, answer)
}

/// The answer with its candidate replaced by a path that loses the tenth large packet.
async fn through_lossy_path(answer: &str, came: watch::Sender<u64>) -> String {
    let candidate = answer.lines().find(|l| l.starts_with("a=candidate")).expect("a candidate");
    let port: u16 = candidate.split(' ').nth(5).and_then(|p| p.parse().ok()).expect("a port");
    let near = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let far = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    far.connect(("127.0.0.1", port)).await.expect("loopback");
    let replaced = near.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut there, mut back) = ([0; 2048], [0; 2048]);
        let (mut publisher, mut large) = (None, 0);
        loop {
            tokio::select! {
                Ok((len, from)) = near.recv_from(&mut there) => {
                    publisher = Some(from);
                    let is_large = len > 1000 && (128..192).contains(&there[0]);
                    large += u32::from(is_large);
                    came.send_modify(|came| *came += u64::from(is_large));
                    if large == 10 {
                        large += 1;
                    } else {
                        let _ = far.send(&there[..len]).await;
                    }
                }
                Ok(len) = far.recv(&mut back) => {
                    if let Some(publisher) = publisher {
                        let _ = near.send_to(&back[..len], publisher).await;
                    }
                }
            }
        }
    });
    answer.replace(&format!(" {port} typ host"), &format!(" {replaced} typ host"))
}

fn media_engine(audio: bool) -> MediaEngine {
    let feedback = |parameter: &str| RTCPFeedback { typ: "nack".into(), parameter: parameter.into() };
    let rtp_codec = RTCRtpCodec {
        mime_type: "video/H264".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f".into(),
        rtcp_feedback: vec![feedback(""), feedback("pli")],
    };
    let mut engine = MediaEngine::default();
    let codec = RTCRtpCodecParameters { rtp_codec, payload_type: 108 };
    engine.register_codec(codec, RtpCodecKind::Video).expect("registered");
    let number = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    for uri in ["urn:ietf:params:rtp-hdrext:sdes:mid", "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", number] {
        let capability = RTCRtpHeaderExtensionCapability { uri: uri.into() };
        engine.register_header_extension(capability, RtpCodecKind::Video, None).expect("registered");
    }
    if audio {
        for (name, clock_rate, channels, payload_type) in
            [("opus", 48_000, 2, 111), ("PCMU", 8000, 1, 0), ("PCMA", 8000, 1, 8)]
        {
            let mime_type = format!("audio/{name}");
            let rtp_codec = RTCRtpCodec { mime_type, clock_rate, channels, ..Default::default() };
            let codec = RTCRtpCodecParameters { rtp_codec, payload_type };
            engine.register_codec(codec, RtpCodecKind::Audio).expect("registered");
        }
    }
    engine
}

struct Receiver {
    seen: mpsc::UnboundedSender<Seen>,
    tracks: Arc<Mutex<Vec<Arc<dyn TrackRemote>>>>,
    gathered: Arc<tokio::sync::Notify>,
}

#[async_trait]
impl PeerConnectionEventHandler for Receiver {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tracks.lock().expect("unpoisoned").push(Arc::clone(&track));
        let seen = self.seen.clone();
        tokio::spawn(async move {
            use webrtc::media_stream::track_remote::TrackRemoteEvent::{OnRtcpPacket, OnRtpPacket};
            while let Some(event) = track.poll().await {
                match event {
                    OnRtpPacket(packet) => drop(seen.send(Seen::Rtp(packet))),
                    OnRtcpPacket(packets) => {
                        let reports = packets.iter().filter_map(|p| p.as_any().downcast_ref::<SenderReport>());
                        reports.for_each(|r| drop(seen.send(Seen::Report(r.clone()))));
                        let goodbyes = packets.iter().filter_map(|p| p.as_any().downcast_ref::<Goodbye>());
                        goodbyes.for_each(|g| drop(seen.send(Seen::Goodbye(g.sources.clone()))));
                    }
                    _ => {}
                }
            }
        });
    }
}

/// Shows all RTCP to the application.
#[derive(Default)]
struct DeliverAll {
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for DeliverAll {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if matches!(packet.message.packet, Packet::Rtcp(_)) {
            packet.message.add(Attribute::DeliverToApplication);
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for DeliverAll {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
