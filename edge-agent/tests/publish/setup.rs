//! A camera that is published to a WHIP server of the test.

use crate::whip_server::{Seen, WhipServer};
use bytes::Bytes;
use edge_agent::{
    config::Config,
    feed::Feed,
    grant::Keeper,
    h264::AccessUnit,
    health::Board,
    publish::{Publisher, Sending, Wanted},
    signaling::Signaling,
    sound::SoundFeed,
    uplink::Uplink,
};
use protocol::Rid;
use rtc::rtcp::sender_report::SenderReport;
use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};
use tokio::{sync::watch, time::timeout};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const CAMERA: &str = "0190a1b2-0000-7000-8000-000000000001";
/// When frame 0 was captured, in microseconds since the Unix epoch: the cached GOP is 2 s long.
pub(crate) static EPOCH: LazyLock<u64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    now.as_micros() as u64 - 2_000_000
});

/// Frame `i` at 25 per second, a keyframe first.
pub(crate) fn frame(i: u64) -> AccessUnit {
    let nal = |kind: u8, len: usize| Bytes::from([vec![0x60 | kind], vec![i as u8; len]].concat());
    let nals = if i == 0 { vec![nal(7, 12), nal(8, 4), nal(5, 20_000)] } else { vec![nal(1, 3000)] };
    AccessUnit { nals, is_keyframe: i == 0, ticks: i * 3600, captured_micros: *EPOCH + i * 40_000 }
}

pub(crate) struct Setup {
    pub(crate) server: WhipServer,
    pub(crate) high: Feed,
    pub(crate) low: Feed,
    pub(crate) sound: SoundFeed,
    pub(crate) wanted: watch::Sender<Wanted>,
    pub(crate) sending: watch::Sender<Sending>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) board: Board,
    pub(crate) signaling: Signaling,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl Setup {
    /// A camera of two streams, each with 50 frames cached, published and not wanted.
    pub(crate) async fn published() -> Self {
        Self::with_streams(&[Rid::high(), Rid::low()]).await
    }

    pub(crate) async fn with_streams(rids: &[Rid]) -> Self {
        Self::at(WhipServer::start().await, rids, "the-grant").await
    }

    pub(crate) async fn at(server: WhipServer, rids: &[Rid], grant: &str) -> Self {
        Self::over(Uplink::default(), server, rids, grant).await
    }

    pub(crate) async fn over(uplink: Uplink, server: WhipServer, rids: &[Rid], grant: &str) -> Self {
        let sub = if rids.len() > 1 { ", sub: 'synthetic:640x360'" } else { "" };
        let text = format!(
            "signaling: {}\ngrant: {grant}\ncameras:\n  - {{id: {CAMERA}, name: Gate, main: 'synthetic:1280x720'{sub}}}\n",
            server.url
        );
        let config = Config::from_yaml(&text).expect("sound");
        let signaling = Signaling::new(&config, Arc::new(Keeper::new(&config))).expect("a client");
        let board = Board::new(&config.cameras);
        let id = config.cameras[0].id;
        let (high, low, sound) = (Feed::default(), Feed::default(), SoundFeed::default());
        (0..50).for_each(|i| [&high, &low].into_iter().for_each(|f| f.push(frame(i))));
        let (wanted, stop) = (watch::Sender::new(Wanted::default()), watch::Sender::new(false));
        let sending = watch::Sender::new(Sending::default());
        let publisher = Publisher {
            camera: id,
            feeds: rids.iter().cloned().zip([high.clone(), low.clone()]).collect(),
            sound: sound.clone(),
            sending: sending.subscribe(),
            uplink,
            board: board.camera(id).expect("on the board").clone(),
            signaling: signaling.clone(),
        };
        let task = tokio::spawn(publisher.run(stop.subscribe()));
        let setup = Self { server, high, low, sound, wanted, sending, stop, board, signaling, task };
        setup.until(|b| b.health()[0].published).await;
        setup
    }

    pub(crate) fn want<const N: usize>(&self, encodings: [Rid; N]) {
        self.change(|w| w.replace(encodings, false));
    }

    /// Changes what is wanted; all of it is sent.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Wanted) -> bool) {
        self.wanted.send_modify(|w| {
            change(w);
        });
        let wanted = self.wanted.borrow();
        let rids: Vec<Rid> = wanted.encodings().iter().cloned().collect();
        self.sending.send_if_modified(|s| s.update(&wanted, &rids, false));
    }

    /// Of what is wanted, or in its place, this is sent.
    pub(crate) fn hold<const N: usize>(&self, wanted: [Rid; N], sent: &[Rid]) {
        self.wanted.send_if_modified(|w| w.replace(wanted, false));
        self.sending.send_if_modified(|s| s.update(&self.wanted.borrow(), sent, true));
    }

    pub(crate) async fn until(&self, is_so: impl Fn(&Board) -> bool) {
        let mut changed = self.board.changed();
        let reached = async {
            while !is_so(&self.board) {
                changed.changed().await.expect("the board lives");
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{:?}", self.board.health()));
    }

    /// Packets until one fulfils the condition, which is included.
    pub(crate) async fn packets(&mut self, is_last: impl Fn(&rtc::rtp::Packet) -> bool) -> Vec<rtc::rtp::Packet> {
        let mut packets = Vec::new();
        loop {
            let seen = timeout(PATIENCE, self.server.seen.recv()).await;
            let Ok(Some(seen)) = seen else { panic!("no more after {} packets", packets.len()) };
            if let Seen::Rtp(packet) = seen {
                let done = is_last(&packet);
                packets.push(packet);
                if done {
                    return packets;
                }
            }
        }
    }

    pub(crate) async fn report(&mut self) -> SenderReport {
        loop {
            match timeout(PATIENCE, self.server.seen.recv()).await.expect("in time").expect("open") {
                Seen::Report(report) => return report,
                Seen::Rtp(_) | Seen::Goodbye(_) => {}
            }
        }
    }
}

/// The value of the one-byte header extension that holds this text.
pub(crate) fn has_extension(packet: &rtc::rtp::Packet, text: &str) -> bool {
    packet.header.extensions.iter().any(|e| e.payload == text.as_bytes())
}
