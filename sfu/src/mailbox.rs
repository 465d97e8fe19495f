//! How the rest of the process reaches a shard's thread: a queue, and a bell that ends the thread's wait for packets.

use crate::tcp::Accepted;
use nix::sys::eventfd::{EfdFlags, EventFd};
use sfu_core::ice::Credentials;
use sfu_core::{Change, NewPeer, PeerId, ShardMessage};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What is sent to a shard.
pub(crate) enum Mail {
    Connect(Box<NewPeer>),
    Change(Change),
    Restart {
        peer: PeerId,
        ice: Credentials,
    },
    Disconnect(PeerId),
    FromShard(ShardMessage),
    /// A TCP connection that named the shard.
    Accepted(Accepted),
    /// Say good-bye to all peers and end the thread.
    Stop,
}

/// The sending end; one for each who sends.
#[derive(Clone)]
pub(crate) struct Mailbox {
    queue: Sender<Mail>,
    bell: Arc<EventFd>,
}

/// The shard's end.
pub(crate) struct Inbox {
    queue: Receiver<Mail>,
    bell: Arc<EventFd>,
}

/// A connected pair.
pub(crate) fn mailbox() -> nix::Result<(Mailbox, Inbox)> {
    let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
    let (sender, receiver) = channel();
    Ok((Mailbox { queue: sender, bell: Arc::clone(&bell) }, Inbox { queue: receiver, bell }))
}

impl Mailbox {
    /// Sends; mail to a thread that has ended is lost, as it should be.
    pub(crate) fn send(&self, mail: Mail) {
        if self.queue.send(mail).is_ok() {
            // A full counter means that the bell rings already.
            let _ = self.bell.write(1);
        }
    }
}

impl Inbox {
    /// What to wait on, beside the socket.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Stops the bell; to be called before the queue is emptied.
    pub(crate) fn hush(&self) {
        let _ = self.bell.read();
    }

    pub(crate) fn next(&self) -> Option<Mail> {
        self.queue.try_recv().ok()
    }
}
