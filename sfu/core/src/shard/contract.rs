//! What a shard is told and what it says: all that passes between it and its surroundings.

use crate::dtls::Fingerprint;
use crate::fanout::Train;
use crate::ice::Credentials;
use crate::sdp::{PublisherMedia, ViewerMedia};
use crate::types::{
    CameraKey, Clock, EncodingId, Packet, PeerId, ShardId, SlotId, SlotState, Ssrc, Subscription, Track,
    TransportAddress,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Settings of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its number on the node.
    pub shard: ShardId,
    /// Most bytes of payload that an encoding keeps.
    pub ring_bytes: usize,
    /// How long an encoding stays wanted after its last viewer.
    pub linger: Duration,
    /// How long a peer may take to connect.
    pub connect_timeout: Duration,
    /// How long a peer may be silent (RFC 7675).
    pub silence_timeout: Duration,
}

/// What a shard is told.
pub enum Input<'a> {
    /// A datagram came in on the shard's port, or in a frame of a TCP connection (RFC 4571).
    Datagram {
        /// Who sent it.
        from: TransportAddress,
        /// What it says.
        bytes: &'a [u8],
        /// How long ago it came.
        waited: Duration,
    },
    /// A TCP connection is over: nothing reaches its peer there any more.
    Closed(TransportAddress),
    /// Signaling agreed with a new peer.
    Connect(Box<NewPeer>),
    /// What a viewer is to be shown, or until when, changes.
    Change(Change),
    /// A peer has new ICE credentials (RFC 8445, section 9); the old ones hold until the new ones are used.
    Restart {
        /// Which peer.
        peer: PeerId,
        /// Our new credentials for it.
        ice: Credentials,
    },
    /// A peer is to go.
    Disconnect(PeerId),
    /// Another shard says something.
    FromShard(ShardMessage),
    /// The time of [`crate::Shard::poll_timeout`] has come.
    Timeout,
}

/// A peer that signaling agreed with.
pub struct NewPeer {
    /// Its number.
    pub id: PeerId,
    /// Our credentials for it.
    pub ice: Credentials,
    /// Of its certificate.
    pub fingerprint: Fingerprint,
    /// When its grant ends.
    pub until: Option<Instant>,
    /// What it does.
    pub role: NewRole,
}

/// What a new peer does.
pub enum NewRole {
    /// Sends a camera's encodings.
    Publisher {
        /// Which camera's.
        camera: CameraKey,
        /// What was agreed.
        media: PublisherMedia,
        /// What we report under.
        ssrc: Ssrc,
    },
    /// Is shown cameras.
    Viewer {
        /// What its slots show first.
        show: Vec<(SlotId, Subscription)>,
        /// What was agreed.
        media: ViewerMedia,
        /// A random sequence number to begin with.
        first_sequence: u16,
    },
}

/// A viewer is to be shown other things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which viewer.
    pub peer: PeerId,
    /// When its grant ends.
    pub until: Option<Instant>,
    /// Slots that change, and what each is to show.
    pub slots: Vec<(SlotId, Option<Subscription>)>,
}

/// What shards tell each other.
#[derive(Clone, Debug)]
pub enum ShardMessage {
    /// A camera's publisher connected to a shard, or left it.
    Origin {
        /// Which camera.
        camera: CameraKey,
        /// The shard.
        from: ShardId,
        /// What it sends; `None` when it left.
        tracks: Option<Vec<Track>>,
    },
    /// To the origin: send me this encoding, from its cached GOP on.
    Subscribe {
        /// Which.
        encoding: EncodingId,
        /// Who asks.
        from: ShardId,
    },
    /// To the origin: no more.
    Unsubscribe {
        /// Which.
        encoding: EncodingId,
        /// Who asks.
        from: ShardId,
    },
    /// Packets for all viewers there, shared.
    Batch {
        /// Of which encoding.
        encoding: EncodingId,
        /// The origin.
        from: ShardId,
        /// The packets, as they came.
        packets: Arc<[Packet]>,
    },
    /// The publisher of an encoding began anew.
    Restarted {
        /// Of which encoding.
        encoding: EncodingId,
        /// The origin.
        from: ShardId,
    },
    /// The publisher of an encoding sends no more of it for now.
    Stopped {
        /// Of which encoding.
        encoding: EncodingId,
        /// The origin.
        from: ShardId,
    },
    /// A publisher's clock.
    Clock {
        /// Of which encoding.
        encoding: EncodingId,
        /// The origin.
        from: ShardId,
        /// What its sender report said, and when.
        clock: Clock,
    },
    /// To the origin: viewers here need a keyframe.
    KeyframeRequest {
        /// Of which encoding.
        encoding: EncodingId,
    },
}

/// What a shard wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this part of the arena.
    Train(Train),
    /// Send and clear the arena, then ask again.
    Full,
    /// Tell another shard.
    ToShard(ShardId, ShardMessage),
    /// Tell all other shards.
    ToAllShards(ShardMessage),
    /// Tell the node.
    Notice(Notice),
}

/// What a node may want to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// A peer's handshake is complete.
    Connected(PeerId),
    /// The first picture left for a viewer.
    Playing(PeerId),
    /// A viewer's slot is in another state than before.
    Slot {
        /// Whose.
        peer: PeerId,
        /// Which.
        slot: SlotId,
        /// What it is to show.
        camera: Option<CameraKey>,
        /// How that is.
        state: SlotState,
    },
    /// A peer is gone.
    Gone(PeerId, Ended),
    /// A camera's publisher is connected.
    Published(PeerId, CameraKey),
    /// A camera's publisher is gone.
    Unpublished(PeerId, CameraKey),
    /// Whether an encoding is to be sent by its publisher.
    Wanted(EncodingId, bool),
}

/// Why a peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Removed,
    /// It said good-bye.
    Left,
    /// It never connected.
    NeverConnected,
    /// It was silent for too long.
    Silent,
    /// Its handshake failed.
    Handshake,
    /// Its grant is over.
    GrantOver,
}

/// What happened, counted since the shard began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counters {
    pub packets_in: u64,
    pub packets_out: u64,
    pub trains_out: u64,
    pub trains_late: u64,
    pub packets_thinned: u64,
    pub retransmissions: u64,
    pub nacks_in: u64,
    pub nacks_unanswered: u64,
    pub nacks_out: u64,
    pub keyframe_requests_in: u64,
    pub keyframe_requests_out: u64,
    pub joins_cached: u64,
    pub joins_waiting: u64,
    pub refused_stun: u64,
    pub refused_unknown_address: u64,
    pub refused_dtls: u64,
    pub refused_srtp: u64,
    pub refused_rtp: u64,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Datagram { from, bytes, .. } => write!(f, "Datagram({from}, {} bytes)", bytes.len()),
            Self::Closed(address) => write!(f, "Closed({address})"),
            Self::Connect(peer) => write!(f, "Connect({:?})", peer.id),
            Self::Change(change) => write!(f, "{change:?}"),
            Self::Restart { peer, .. } => write!(f, "Restart({peer:?})"),
            Self::Disconnect(id) => write!(f, "Disconnect({id:?})"),
            Self::FromShard(message) => write!(f, "FromShard({message:?})"),
            Self::Timeout => f.write_str("Timeout"),
        }
    }
}
