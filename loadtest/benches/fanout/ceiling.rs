//! The bare ceiling: rewrite the header, seal with AES-128-GCM, send trains by `sendmmsg` with UDP GSO. Nothing else
//! that a media node has to do.

use loadtest::profile::Encoding;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use nix::time::{ClockId, clock_gettime};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

const HEADER: usize = 24;
const TAG: usize = 16;
const MAX_TRAIN: usize = 16;
const BATCH: usize = 16;
/// What receivers take for RTP of nobody.
const PAYLOAD_TYPE: u8 = 102;

struct Viewer {
    key: LessSafeKey,
    ssrc: u32,
    sequence: u64,
    to: SockaddrStorage,
}

/// Sends the same film to the same receivers for so long; returns packets per second of this thread's CPU time.
pub(crate) fn packets_per_cpu_second(
    film: &Encoding,
    receivers: &[SocketAddr],
    window: Duration,
) -> anyhow::Result<f64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut viewers = receivers.iter().enumerate().map(viewer).collect::<anyhow::Result<Vec<_>>>()?;
    let mut headers = MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(u16)));
    let mut arena = vec![0; BATCH * MAX_TRAIN * 1500];
    let payload = vec![0xab; 1200];
    let (mut sent, mut next) = (0u64, Instant::now());
    let (end, cpu) = (Instant::now() + window, clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?);
    for frame in film.frames.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        next += film.frame_time;
        sleep(next.saturating_duration_since(Instant::now()));
        let lengths: Vec<usize> = frame.payloads.iter().map(bytes::Bytes::len).collect();
        for run in lengths.chunks(MAX_TRAIN) {
            for group in viewers.chunks_mut(BATCH) {
                sent += send(&socket, &mut headers, &mut arena, group, run, &payload)?;
            }
        }
    }
    let cpu = Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)? - cpu);
    Ok(sent as f64 / cpu.as_secs_f64())
}

fn viewer((n, to): (usize, &SocketAddr)) -> anyhow::Result<Viewer> {
    let key = UnboundKey::new(&AES_128_GCM, &[n as u8; 16]).map_err(|_| anyhow::anyhow!("a key"))?;
    Ok(Viewer { key: LessSafeKey::new(key), ssrc: n as u32, sequence: 0, to: (*to).into() })
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    arena: &mut [u8],
    group: &mut [Viewer],
    run: &[usize],
    payload: &[u8],
) -> anyhow::Result<u64> {
    let mut used = 0;
    let mut ends = [0; BATCH];
    for (viewer, end) in group.iter_mut().zip(&mut ends) {
        for len in run {
            let packet = &mut arena[used..used + HEADER + len + TAG];
            seal(viewer, packet, &payload[..*len])?;
            used += packet.len();
        }
        *end = used;
    }
    let starts = std::iter::once(0).chain(ends);
    let trains = starts.zip(ends).take(group.len());
    let slices: Vec<[IoSlice<'_>; 1]> = trains.map(|(start, end)| [IoSlice::new(&arena[start..end])]).collect();
    let addresses: Vec<Option<SockaddrStorage>> = group.iter().map(|v| Some(v.to)).collect();
    let segment = (HEADER + run[0] + TAG) as u16;
    let control = [ControlMessage::UdpGsoSegments(&segment)];
    let trains = sendmmsg(socket.as_raw_fd(), headers, &slices, &addresses, control, MsgFlags::empty())?.count();
    Ok((trains * run.len()) as u64)
}

fn seal(viewer: &mut Viewer, packet: &mut [u8], payload: &[u8]) -> anyhow::Result<()> {
    let body_end = packet.len() - TAG;
    packet[..2].copy_from_slice(&[0x90, PAYLOAD_TYPE]);
    packet[2..4].copy_from_slice(&(viewer.sequence as u16).to_be_bytes());
    packet[8..12].copy_from_slice(&viewer.ssrc.to_be_bytes());
    packet[HEADER..body_end].copy_from_slice(payload);
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&viewer.ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&viewer.sequence.to_be_bytes()[2..]);
    viewer.sequence += 1;
    let (plain, tag) = packet.split_at_mut(body_end);
    let (header, body) = plain.split_at_mut(HEADER);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let sealed = viewer.key.seal_in_place_separate_tag(nonce, Aad::from(&*header), body);
    tag.copy_from_slice(sealed.map_err(|_| anyhow::anyhow!("sealing"))?.as_ref());
    Ok(())
}
