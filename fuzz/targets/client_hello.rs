//! The look into a ClientHello and the handshake behind it: datagrams of several peers before they are connected.
#![no_main]

use fuzz::steps;
use libfuzzer_sys::fuzz_target;
use sfu_core::dtls::{Associations, Fingerprint, Progress};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PEERS: u8 = 4;
/// A whole flight with our certificate is shorter.
const MAX_ANSWER: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut associations = Associations::new(fuzz::NODE.clone(), Arc::clone(&fuzz::PROVIDER));
    let mut now = Instant::now();
    let mut heard = [false; PEERS as usize];
    for step in steps(data) {
        let place = step.whom % PEERS;
        match step.kind % 8 {
            0 => {
                now += Duration::from_millis(300);
                let _ = associations.handle_timeout(now, u32::from(place));
            }
            1 => {
                associations.close(now, u32::from(place));
            }
            _ => {
                heard[usize::from(place)] = true;
                let read = associations.read(now, u32::from(place), step.bytes, Fingerprint([7; 32]));
                assert!(!matches!(read, Ok(Progress::Up(_))), "nobody here has the certificate that is expected");
            }
        }
        let mut answered = 0;
        while let Some((to, datagram)) = associations.poll_transmit() {
            assert!(heard[to as usize], "peer {to} has said nothing");
            assert_eq!(to, u32::from(place), "an answer to another peer");
            answered += datagram.len();
        }
        assert!(answered <= MAX_ANSWER, "{answered} bytes at once");
    }
});
