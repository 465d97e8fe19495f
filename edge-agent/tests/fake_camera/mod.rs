//! A camera that speaks just enough RTSP (RFC 2326, interleaved) to misbehave in the ways that cameras do.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use edge_agent::{h264::AccessUnit, packetize::packetize, source::Picture, synthetic::Camera};
use std::time::Duration;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// How it misbehaves. It always sends its parameter sets in the SDP only.
#[derive(Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// Basic authentication is asked for.
    pub(crate) password: Option<&'static str>,
    /// The RTP clock jumps by an hour at every tenth frame, and to zero at every fifteenth.
    pub(crate) clock_jumps: bool,
    /// The stream is of the wrong codec.
    pub(crate) is_h265: bool,
    /// It falls silent after so many frames.
    pub(crate) frames: Option<u64>,
    /// From this frame on the picture has another size, and brings its parameter sets along.
    pub(crate) resizes_at: Option<u64>,
    /// Sound in this codec of RTP, as its description names it; what is sent is 160 bytes of it with each frame.
    pub(crate) audio: Option<&'static str>,
    /// The sound's clock is this much ahead of the picture's in arriving, in milliseconds, as its sender reports say.
    pub(crate) audio_late_millis: u64,
    /// The sound goes on when the pictures have fallen silent.
    pub(crate) audio_goes_on: bool,
}

/// Starts one on a free port.
pub(crate) async fn start(behaviour: Behaviour) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, port, behaviour));
        }
    });
    port
}

async fn converse(socket: TcpStream, port: u16, behaviour: Behaviour) {
    let picture = Picture { width: 160, height: 90, kbps: 100, fps: 25 };
    let mut camera = Camera::new(picture, "Fake").expect("an encoder");
    let first = camera.frame(0, true).expect("encoded").expect("a frame");
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut request: Vec<String> = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.is_empty() {
            request.push(line);
            continue;
        }
        let lines = std::mem::take(&mut request);
        let Some(method) = lines.first().and_then(|l| l.split(' ').next()) else { continue };
        let header = |name: &str| lines.iter().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let cseq = header("CSeq:").unwrap_or("0");
        let expected = behaviour.password.map(|p| format!("Basic {}", STANDARD.encode(p)));
        let (status, more, body) = match method {
            _ if expected.is_some() && header("Authorization:") != expected.as_deref() => {
                ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"camera\"\r\n".to_owned(), String::new())
            }
            "DESCRIBE" => {
                let base = format!("Content-Base: rtsp://127.0.0.1:{port}/live/\r\nContent-Type: application/sdp\r\n");
                ("200 OK", base, sdp(&first, behaviour))
            }
            "SETUP" => {
                let channels = if lines[0].contains("/audio") { "2-3" } else { "0-1" };
                let transport = format!("Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved={channels}\r\n");
                ("200 OK", transport, String::new())
            }
            _ => ("200 OK", "Session: 1\r\n".to_owned(), String::new()),
        };
        let reply = format!("RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
        if write.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
        if method == "PLAY" {
            play(&mut write, &mut camera, behaviour).await;
        }
    }
}

fn sdp(keyframe: &AccessUnit, behaviour: Behaviour) -> String {
    let sets: Vec<_> = keyframe.nals[..2].iter().map(|n| STANDARD.encode(n)).collect();
    let codec = if behaviour.is_h265 {
        "a=rtpmap:96 H265/90000\r\n".to_owned()
    } else {
        format!("a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={}\r\n", sets.join(","))
    };
    let audio = behaviour.audio.map_or_else(String::new, |codec| {
        format!("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 {codec}\r\na=control:audio\r\n")
    });
    format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n{codec}a=control:video\r\n{audio}"
    )
}

/// Sends frames until the peer is gone or the camera falls silent.
async fn play(write: &mut (impl AsyncWriteExt + Unpin), camera: &mut Camera, behaviour: Behaviour) {
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    let (mut sequence, mut clock) = (0u16, 77_000u32);
    for k in 0.. {
        tick.tick().await;
        let has_picture = behaviour.frames.is_none_or(|frames| k < frames);
        if !has_picture && !behaviour.audio_goes_on {
            return;
        }
        if behaviour.audio.is_some_and(|codec| !codec.starts_with("mpeg4")) {
            let mut sent = Vec::new();
            if k % 10 == 0 {
                // Both clocks stood at these times at the camera's time of k frames.
                let at = 3_000_000_000 + k * 40;
                sent.extend(sender_report(1, at, 77_000 + k as u32 * 3600));
                sent.extend(sender_report(3, at, audio_clock(k, 0)));
            }
            sent.extend(rtp(2, 97, k as u16, audio_clock(k, behaviour.audio_late_millis), true, &[k as u8; 160]));
            if write.write_all(&sent).await.is_err() {
                return;
            }
        }
        if !has_picture {
            continue;
        }
        clock = match k % 30 {
            10 | 20 if behaviour.clock_jumps => clock.wrapping_add(3600 * 90_000),
            15 if behaviour.clock_jumps => 0,
            _ => clock.wrapping_add(if k == 0 { 0 } else { 3600 }),
        };
        let is_resized = behaviour.resizes_at.is_some_and(|at| k >= at);
        if behaviour.resizes_at == Some(k) {
            *camera = Camera::new(Picture { width: 320, height: 180, kbps: 100, fps: 25 }, "Fake").expect("an encoder");
        }
        let mut unit = camera.frame(k, false).expect("encoded").expect("a frame");
        if unit.is_keyframe && !is_resized {
            unit.nals.drain(..2);
        }
        let payloads: Vec<Bytes> = packetize(&unit, 1000);
        for (i, payload) in payloads.iter().enumerate() {
            let packet = rtp(0, 96, sequence, clock, i + 1 == payloads.len(), payload);
            sequence = sequence.wrapping_add(1);
            if write.write_all(&packet).await.is_err() {
                return;
            }
        }
    }
}

/// The sound's RTP clock at frame `k`, for sound that comes so late.
fn audio_clock(k: u64, late_millis: u64) -> u32 {
    (500_000 + k * 320 - late_millis * 8) as u32
}

/// An interleaved RTP packet (RFC 2326, section 10.12).
fn rtp(channel: u8, payload_type: u8, sequence: u16, clock: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![b'$', channel];
    packet.extend_from_slice(&(12 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0x80, u8::from(marker) << 7 | payload_type]);
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&clock.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 7 + channel]);
    packet.extend_from_slice(payload);
    packet
}

/// An interleaved RTCP sender report: the camera's time in milliseconds, and the RTP clock's.
fn sender_report(channel: u8, millis: u64, clock: u32) -> Vec<u8> {
    let ntp = (millis << 32) / 1000;
    let mut packet = vec![b'$', channel, 0, 28, 0x80, 200, 0, 6, 0, 0, 0, 6 + channel];
    packet.extend_from_slice(&ntp.to_be_bytes());
    packet.extend_from_slice(&clock.to_be_bytes());
    packet.extend_from_slice(&[0; 8]);
    packet
}
