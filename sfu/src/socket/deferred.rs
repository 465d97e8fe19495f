//! A second socket on a shard's port, for what can wait: each viewer tells how packets arrive, up to 16 times a second, and
//! checks its path now and then, so a shard that woke up for each would do little else where viewers are few.
//!
//! Invariant: nobody else gets a datagram of the port, and a second node that is to bind it is refused.

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use std::io;
use std::net::UdpSocket;

/// First bytes of other protocols than STUN begin here (RFC 7983, section 7).
const NOT_STUN: u32 = 4;
/// Version 2, no padding and any number of blocks, packet type 201: an RTCP datagram that begins with a receiver report
/// (RFC 3550, section 6.4.2). RTP cannot look so (RFC 5761, section 4), and feedback that is urgent comes without one where
/// reduced size is agreed (RFC 5506).
const REPORT: (u32, u32) = (0xe0ff, 0x80c9);
/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1), alone.
const ARRIVALS: u32 = 0x8fcd;
/// Where the program sends datagrams: sockets by the order in which they were bound.
const URGENT: u32 = 0;
const DEFERRED: u32 = 1;

/// The socket for what can wait beside a bound one, which gets all else from then on.
pub(crate) fn beside(urgent: &UdpSocket, buffer: usize) -> io::Result<UdpSocket> {
    let address = urgent.local_addr()?;
    let deferred = super::unbound(address, buffer)?;
    deferred.set_reuse_port(true)?;
    // Only now: who binds without this is alone on the port, or refused.
    SockRef::from(urgent).set_reuse_port(true)?;
    let steered = deferred.bind(&address.into()).and_then(|()| steer(urgent));
    if steered.is_err() {
        SockRef::from(urgent).set_reuse_port(false)?;
    }
    steered.map(|()| deferred.into())
}

/// Classic BPF over a datagram's payload (socket(7), SO_ATTACH_REUSEPORT_CBPF). One that is too short ends the program,
/// which then says 0.
fn steer(urgent: &UdpSocket) -> io::Result<()> {
    let (mask, report) = REPORT;
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = |size: u32| step(libc::BPF_LD | size | libc::BPF_ABS, 0);
    let skip_if = |test: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { jt, jf, ..step(libc::BPF_JMP | test, k) };
    let mut program = [
        load(libc::BPF_B),
        skip_if(libc::BPF_JGE, NOT_STUN, 0, 4),
        load(libc::BPF_H),
        skip_if(libc::BPF_JEQ, ARRIVALS, 2, 0),
        step(libc::BPF_ALU | libc::BPF_AND, mask),
        skip_if(libc::BPF_JEQ, report, 0, 1),
        step(libc::BPF_RET, DEFERRED),
        step(libc::BPF_RET, URGENT),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    Ok(setsockopt(urgent, sockopt::AttachReusePortCbpf, &program)?)
}
