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
                ("200 OK", base, sdp(&first, behaviour.is_h265))
            }
            "SETUP" => {
                let transport = "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
                ("200 OK", transport.to_owned(), String::new())
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

fn sdp(keyframe: &AccessUnit, is_h265: bool) -> String {
    let sets: Vec<_> = keyframe.nals[..2].iter().map(|n| STANDARD.encode(n)).collect();
    let codec = if is_h265 {
        "a=rtpmap:96 H265/90000\r\n".to_owned()
    } else {
        format!("a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={}\r\n", sets.join(","))
    };
    format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n{codec}a=control:video\r\n")
}

/// Sends frames until the peer is gone or the camera falls silent.
async fn play(write: &mut (impl AsyncWriteExt + Unpin), camera: &mut Camera, behaviour: Behaviour) {
    let mut tick = tokio::time::interval(Duration::from_millis(40));
    let (mut sequence, mut clock) = (0u16, 77_000u32);
    for k in 0..behaviour.frames.unwrap_or(u64::MAX) {
        tick.tick().await;
        clock = match k % 30 {
            10 | 20 if behaviour.clock_jumps => clock.wrapping_add(3600 * 90_000),
            15 if behaviour.clock_jumps => 0,
            _ => clock.wrapping_add(3600),
        };
        let mut unit = camera.frame(k, false).expect("encoded").expect("a frame");
        if unit.is_keyframe {
            unit.nals.drain(..2);
        }
        let payloads: Vec<Bytes> = packetize(&unit, 1000);
        for (i, payload) in payloads.iter().enumerate() {
            let marker = if i + 1 == payloads.len() { 0x80 } else { 0 };
            let mut packet = vec![b'$', 0];
            packet.extend_from_slice(&(12 + payload.len() as u16).to_be_bytes());
            packet.extend_from_slice(&[0x80, marker | 96]);
            packet.extend_from_slice(&sequence.to_be_bytes());
            packet.extend_from_slice(&clock.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0, 7]);
            packet.extend_from_slice(payload);
            sequence = sequence.wrapping_add(1);
            if write.write_all(&packet).await.is_err() {
                return;
            }
        }
    }
}
