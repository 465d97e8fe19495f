//! Transport-wide feedback after decryption, and what it leads to: it ends, and says of each packet once that it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sfu_core::departures::Departures;
use sfu_core::rtcp;
use sfu_core::transport_feedback::{MAX_STATUSES, TransportFeedback};
use std::time::{Duration, Instant};

/// Packets that are sent between two datagrams, and their bytes.
const SENT: (u16, u32) = (7, 7 * 1200);

fuzz_target!(|datagram: &[u8]| {
    let began = Instant::now();
    let mut departures = Departures::new(began);
    let mut sent = 0;
    for (n, packet) in rtcp::packets(datagram).enumerate() {
        departures.leave(began + Duration::from_millis(n as u64), SENT.0, SENT.1);
        sent += u64::from(SENT.1);
        let Some(told) = TransportFeedback::read(packet) else { continue };
        assert!(told.clone().count() <= usize::from(MAX_STATUSES));
        if let Some(seen) = departures.hear(told) {
            // All of it in one span of a tenth of a second, of six.
            assert!(seen.rate <= 8 * sent * 10 / 6 + 1, "{seen:?} of {sent} bytes");
        }
    }
});
