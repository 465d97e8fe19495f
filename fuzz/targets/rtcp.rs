//! RTCP after decryption: what one datagram can ask for is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sfu_core::rtcp::{self, Feedback};

/// Most entries of one datagram, and most sequence numbers of one request.
const MAX_ENTRIES: usize = 512;

fuzz_target!(|datagram: &[u8]| {
    let feedback = rtcp::read(datagram);
    assert!(feedback.len() <= MAX_ENTRIES);
    // An entry takes at least four bytes of the datagram.
    assert!(feedback.len() <= datagram.len() / 4);
    for entry in &feedback {
        match entry {
            Feedback::Nack { ssrc, sequences } => {
                assert!(sequences.len() <= MAX_ENTRIES);
                let again = rtcp::read(&rtcp::nack(*ssrc, *ssrc, sequences));
                let [Feedback::Nack { sequences: read, .. }] = &again[..] else { panic!("our own NACK: {again:?}") };
                assert!(sequences.iter().all(|s| read.contains(s)), "{sequences:?} {read:?}");
            }
            Feedback::SenderReport { ssrc, pair } => {
                let again = rtcp::read(&rtcp::sender_report(*ssrc, *pair, 1, 2));
                assert_eq!(again, [Feedback::SenderReport { ssrc: *ssrc, pair: *pair }]);
            }
            _ => {}
        }
    }
});
