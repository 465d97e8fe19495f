//! A second socket on a shard's port, for receiver reports: nobody waits for those, and each viewer sends one or two a
//! second, so a shard that woke up for each would do little else where viewers are few.
//!
//! Invariant: nobody else gets a datagram of the port, and a second node that is to bind it is refused.

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::UdpSocket;

/// Version 2, no padding and any number of blocks, packet type 201: an RTCP datagram that begins with a receiver report
/// (RFC 3550, section 6.4.2). RTP cannot look so (RFC 5761, section 4), and feedback that is urgent comes without one where
/// reduced size is agreed (RFC 5506).
const REPORT: (u32, u32) = (0xe0ff, 0x80c9);
/// Where the program sends datagrams: sockets by the order in which they were bound.
const MEDIA: u32 = 0;
const REPORTS: u32 = 1;

/// The socket for reports beside a bound one, which gets all else from then on.
pub(crate) fn beside(media: &UdpSocket, buffer: usize) -> io::Result<UdpSocket> {
    let address = media.local_addr()?;
    let reports = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        reports.set_only_v6(false)?;
    }
    super::set_buffers(&reports, buffer)?;
    reports.set_reuse_port(true)?;
    // Only now: who binds without this is alone on the port, or refused.
    SockRef::from(media).set_reuse_port(true)?;
    let steered = reports.bind(&address.into()).and_then(|()| steer(media));
    if steered.is_err() {
        SockRef::from(media).set_reuse_port(false)?;
    }
    steered.map(|()| reports.into())
}

/// Classic BPF over a datagram's payload (socket(7), SO_ATTACH_REUSEPORT_CBPF). One that is too short ends the program, which
/// then says 0.
fn steer(media: &UdpSocket) -> io::Result<()> {
    let (mask, report) = REPORT;
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let if_equal = |k: u32| libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k) };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask),
        if_equal(report),
        step(libc::BPF_RET | libc::BPF_K, REPORTS),
        step(libc::BPF_RET | libc::BPF_K, MEDIA),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    Ok(setsockopt(media, sockopt::AttachReusePortCbpf, &program)?)
}
