//! JSON that services tell each other: what was read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::grant::{Claims, Jwks};
use protocol::{Problem, agent, camera, event, node, session};
use serde::{Serialize, de::DeserializeOwned};

fuzz_target!(|data: &[u8]| {
    for read in [
        again::<agent::Up>,
        again::<agent::Down>,
        again::<node::Publish>,
        again::<node::View>,
        again::<node::Change>,
        again::<node::Answer>,
        again::<node::Restarted>,
        again::<node::NodeRecord>,
        again::<session::Event>,
        again::<event::Event>,
        again::<camera::List>,
        again::<Claims>,
        again::<Jwks>,
        again::<Problem>,
    ] {
        read(data);
    }
});

fn again<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(data) else { return };
    let text = serde_json::to_string(&message).expect("what was read can be written");
    let read: T = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(serde_json::to_string(&read).expect("the same"), text);
}
