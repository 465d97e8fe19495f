//! The viewers' ends: when each packet of media came, by the kernel, and whether one in a hundred can be opened.

use crate::datagrams::Recorded;
use crate::peer::Peer;
use crate::publisher::FILL;
use crate::pulse;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::{TimeSpec, TimeValLike};
use sfu_core::rtp::{ABS_SEND_TIME, PLAYOUT_DELAY};
use std::fmt;
use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) fn offer(fingerprint: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:active\r\na=mid:0\r\na=rtcp-mux\r\na=recvonly\r\na=extmap:2 {ABS_SEND_TIME}\r\na=extmap:5 {PLAYOUT_DELAY}\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"
    )
}

/// One packet in so many is opened.
const OPENED: usize = 100;
const CHECKS_EVERY: Duration = Duration::from_secs(3);
const RECEIVE_BUFFER: usize = 4 << 20;
/// Who got a frame this lately is playing.
const PLAYING: u64 = 1_000_000_000;
const MEDIA: u8 = 102;

pub(crate) struct Viewers {
    count: usize,
    is_over: Arc<AtomicBool>,
    playing: Arc<AtomicUsize>,
    thread: JoinHandle<Seen>,
}

/// What the viewers saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Of each viewer: when media came, in nanoseconds since the Unix epoch.
    came: Vec<Vec<u64>>,
    pub(crate) opened: usize,
    pub(crate) wrong: usize,
}

/// A time without media at a viewer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gap {
    whole: Duration,
    publisher_late: Duration,
    node_waited: Duration,
}

impl Gap {
    /// The part of it that is the node's doing.
    pub(crate) fn of_the_node(self) -> Duration {
        self.whole.saturating_sub(self.publisher_late).saturating_sub(self.node_waited)
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whole, publisher_late, node_waited } = self;
        write!(f, "{} ms", self.of_the_node().as_millis())?;
        write!(f, " ({whole:.0?}, of which the publisher was late {publisher_late:.0?}")?;
        write!(f, " and the node waited {node_waited:.0?} for a processor)")
    }
}

impl Seen {
    /// The longest gap of any viewer that is the node's doing, among those that ended between two times.
    pub(crate) fn longest_gap(&self, from: u64, to: u64, pulse: &pulse::Seen) -> Gap {
        let pairs = self.came.iter().flat_map(|came| came.windows(2)).filter(|pair| (from..to).contains(&pair[1]));
        let gaps = pairs.filter(|pair| pair[1] - pair[0] > crate::FRAME_TIME.as_nanos() as u64).map(|pair| Gap {
            whole: Duration::from_nanos(pair[1] - pair[0]),
            publisher_late: pulse.publisher_late(pair[0], pair[1]),
            node_waited: pulse.node_waited(pair[0], pair[1]),
        });
        gaps.max_by_key(|gap| gap.of_the_node()).unwrap_or_default()
    }

    /// The longest gap of any viewer, whoever's doing it is, among those that ended between two times.
    pub(crate) fn longest(&self, from: u64, to: u64) -> Duration {
        let pairs = self.came.iter().flat_map(|came| came.windows(2)).filter(|pair| (from..to).contains(&pair[1]));
        Duration::from_nanos(pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default())
    }

    /// How many viewers got media around this time, and after it.
    pub(crate) fn playing_at(&self, time: u64) -> usize {
        self.came.iter().filter(|came| came.last().is_some_and(|last| last + PLAYING > time)).count()
    }
}

impl Viewers {
    pub(crate) fn start(ends: Vec<(Peer, UdpSocket)>, recorded: &mut Recorded) -> Self {
        let count = ends.len();
        let ends = ends.into_iter().enumerate().map(|(i, (peer, socket))| End::new(i + 1, peer, socket, recorded));
        let ends: Vec<End> = ends.collect();
        let (is_over, playing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, now) = (Arc::clone(&is_over), Arc::clone(&playing));
        let thread = std::thread::spawn(move || receive(ends, &over, &now));
        Self { count, is_over, playing, thread }
    }

    pub(crate) fn wait_for_all(&self) {
        let begun = Instant::now();
        while self.playing.load(Ordering::Relaxed) < self.count {
            assert!(begun.elapsed() < Duration::from_secs(20), "not every viewer got the stream");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the viewers' thread")
    }
}

struct End {
    peer: Peer,
    socket: UdpSocket,
    came: Vec<u64>,
}

impl End {
    fn new(n: usize, mut peer: Peer, socket: UdpSocket, recorded: &mut Recorded) -> Self {
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("the kernel tells when packets came");
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER).expect("a larger buffer");
        }
        // A receiver report, so that there is one to record.
        let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, n as u8];
        report.resize(32, 0);
        peer.send_rtcp(&report);
        let mut end = Self { peer, socket, came: Vec::new() };
        end.send(|datagram| recorded.sent(n, datagram));
        end
    }

    fn send(&mut self, mut record: impl FnMut(Vec<u8>)) {
        for datagram in std::mem::take(&mut self.peer.out) {
            let _ = self.socket.send(&datagram);
            record(datagram);
        }
    }

    fn receive(&mut self, buffer: &mut [u8], seen: &mut Seen) {
        let mut control = nix::cmsg_space!(TimeSpec);
        loop {
            let (len, at) = {
                let mut slices = [IoSliceMut::new(buffer)];
                let flags = MsgFlags::MSG_DONTWAIT;
                match recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut control), flags) {
                    Ok(message) => (message.bytes, stamp(message.cmsgs())),
                    Err(Errno::EINTR | Errno::ECONNREFUSED) => continue,
                    Err(_) => return,
                }
            };
            let datagram = &buffer[..len];
            let is_media = len > 1 && datagram[0] >= 128 && datagram[1] & 0x7f == MEDIA;
            if is_media {
                self.came.push(at.expect("a time of arrival"));
            }
            if !is_media || self.came.len().is_multiple_of(OPENED) {
                self.open(&buffer[..len], seen);
            }
        }
    }

    fn open(&mut self, datagram: &[u8], seen: &mut Seen) {
        let wrong = self.peer.undecryptable;
        self.peer.receive(Instant::now(), datagram);
        self.peer.rtcp.clear();
        seen.wrong += self.peer.undecryptable - wrong;
        for packet in self.peer.packets.drain(..) {
            seen.opened += 1;
            seen.wrong += usize::from(!packet.payload[2..].iter().all(|byte| *byte == FILL));
        }
    }
}

fn stamp<'a>(messages: nix::Result<impl Iterator<Item = ControlMessageOwned> + 'a>) -> Option<u64> {
    messages.ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => u64::try_from(time.num_nanoseconds()).ok(),
        _ => None,
    })
}

fn receive(mut ends: Vec<End>, is_over: &AtomicBool, playing: &AtomicUsize) -> Seen {
    let (mut seen, mut buffer, mut checked) = (Seen::default(), vec![0; 65_536], Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        let mut fds: Vec<PollFd<'_>> = ends.iter().map(|e| PollFd::new(e.socket.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut fds, 50u16).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        for (end, _) in ends.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            end.receive(&mut buffer, &mut seen);
        }
        playing.store(ends.iter().filter(|e| e.came.len() > 20).count(), Ordering::Relaxed);
        if checked.elapsed() > CHECKS_EVERY {
            checked = Instant::now();
            for end in &mut ends {
                end.peer.check();
                end.send(|_| {});
            }
        }
    }
    seen.came = ends.into_iter().map(|end| end.came).collect();
    seen
}
