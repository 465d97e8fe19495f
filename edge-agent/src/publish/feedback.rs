//! Hands keyframe requests (PLI, FIR: RFC 4585, RFC 5104) from the peer connection to the application, and tells of
//! good-byes (RFC 3550, section 6.6).
//!
//! The stack ends inbound RTCP at its interceptors unless one of them vouches for a packet; this one vouches for
//! keyframe requests and nothing else. A good-bye it tells itself: the stack would hand it to no track, for it names
//! the node's SSRC.

use rtc::{
    interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        goodbye::Goodbye,
        payload_feedbacks::{full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication},
    },
    sansio::Protocol,
    shared::error::Error,
};
use std::{collections::VecDeque, time::Instant};
use tokio::sync::watch;

/// The interceptor.
pub(super) struct Feedback {
    /// Turns true with a good-bye.
    ended: watch::Sender<bool>,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

/// The SSRCs that an RTCP packet asks a keyframe of.
pub(super) fn requested(packet: &dyn rtc::rtcp::Packet) -> Vec<u32> {
    if let Some(pli) = packet.as_any().downcast_ref::<PictureLossIndication>() {
        return vec![pli.media_ssrc];
    }
    match packet.as_any().downcast_ref::<FullIntraRequest>() {
        Some(fir) => fir.fir.iter().map(|f| f.ssrc).collect(),
        None => Vec::new(),
    }
}

impl Feedback {
    /// One that tells `ended` of a good-bye.
    pub(super) fn new(ended: watch::Sender<bool>) -> Self {
        Self { ended, inbound: VecDeque::new(), outbound: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Feedback {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(reports) = &mut packet.message.packet {
            if reports.iter().any(|r| r.as_any().is::<Goodbye>()) {
                self.ended.send_replace(true);
            }
            reports.retain(|r| !requested(r.as_ref()).is_empty());
            if reports.is_empty() {
                return Ok(());
            }
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

impl Interceptor for Feedback {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
