//! What happens when a shard's thread ends by itself.

use super::{first_lost, spawn};
use sfu_core::ShardId;
use std::future::{pending, ready};
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
async fn a_shard_that_ends_or_panics_before_the_shutdown_is_named() {
    for (number, run) in [(3, (|| Ok(())) as fn() -> std::io::Result<()>), (4, || panic!("by the test"))] {
        let (sender, mut ended) = unbounded_channel();
        let thread = spawn(ShardId(number), sender, run).expect("a thread");
        assert_eq!(first_lost(pending(), &mut ended).await, Some(ShardId(number)));
        assert_eq!(thread.join().is_err(), number == 4);
    }
}

#[tokio::test]
async fn a_shutdown_loses_no_shard() {
    let (_sender, mut ended) = unbounded_channel();
    assert_eq!(first_lost(ready(()), &mut ended).await, None);
}
