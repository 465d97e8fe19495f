//! ICE fragments of trickle and restart: credentials that were read are the standard's, and stand in the body.
#![no_main]

#[expect(dead_code, unreachable_pub, reason = "signaling's room, of which this uses a part")]
#[path = "../../signaling/src/sdpfrag.rs"]
mod sdpfrag;

use libfuzzer_sys::fuzz_target;
use sdpfrag::{Fragment, MAX_FRAGMENT};

fuzz_target!(|body: &[u8]| {
    let Ok(fragment) = Fragment::parse(body) else { return };
    assert!(body.len() <= MAX_FRAGMENT);
    assert!((4..=256).contains(&fragment.ufrag.len()) && (22..=256).contains(&fragment.password.len()));
    for (key, value) in [("a=ice-ufrag:", fragment.ufrag), ("a=ice-pwd:", fragment.password)] {
        assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/'));
        let text = std::str::from_utf8(body).expect("it was read as text");
        assert!(text.lines().any(|line| line.strip_prefix(key) == Some(value)), "{key}{value} is not in it");
    }
});
