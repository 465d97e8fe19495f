//! How every camera and stream is, for signaling and for whoever asks.
//!
//! Invariant: [`Board::changed`] moves on with every change of a state, and not with every byte sent.

use crate::config;
use protocol::{
    CameraId, Rid,
    agent::{CameraHealth, EncodingHealth, StreamState},
    camera,
};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::watch;

/// The health of all cameras.
#[derive(Clone, Debug)]
pub struct Board {
    cameras: Arc<Vec<CameraBoard>>,
    version: watch::Sender<u64>,
}

/// The health of one camera.
#[derive(Clone, Debug)]
pub struct CameraBoard {
    id: CameraId,
    name: String,
    published: Arc<Mutex<Published>>,
    streams: Vec<StreamBoard>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Published {
    connected: bool,
    problem: Option<String>,
}

/// The health of one stream.
#[derive(Clone, Debug)]
pub struct StreamBoard {
    rid: Rid,
    state: Arc<Mutex<Stream>>,
    sent_bytes: Arc<AtomicU64>,
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct Stream {
    state: StreamState,
    detail: Option<String>,
    size: Option<(u32, u32)>,
    sending: bool,
}

impl Board {
    /// A board on which everything is still connecting.
    pub fn new(cameras: &[config::Camera]) -> Self {
        let version = watch::Sender::new(0);
        let cameras = cameras.iter().map(|c| CameraBoard::new(c, &version)).collect();
        Self { cameras: Arc::new(cameras), version }
    }

    /// One camera's part.
    pub fn camera(&self, id: CameraId) -> Option<&CameraBoard> {
        self.cameras.iter().find(|c| c.id == id)
    }

    /// Tells of changes.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// All of it, as signaling hears it.
    pub fn health(&self) -> Vec<CameraHealth> {
        self.cameras.iter().map(CameraBoard::health).collect()
    }

    /// The cameras, as signaling hears of them first.
    pub fn cameras(&self) -> Vec<camera::Camera> {
        self.cameras.iter().map(CameraBoard::announcement).collect()
    }
}

impl CameraBoard {
    fn new(camera: &config::Camera, version: &watch::Sender<u64>) -> Self {
        let streams = camera.streams().into_iter().map(|(rid, _)| StreamBoard::new(rid, version.clone()));
        Self {
            id: camera.id,
            name: camera.name.clone(),
            published: Arc::default(),
            streams: streams.collect(),
            version: version.clone(),
        }
    }

    /// One stream's part.
    pub fn stream(&self, rid: &Rid) -> Option<&StreamBoard> {
        self.streams.iter().find(|s| s.rid == *rid)
    }

    /// The publishing connection is up, or is not, and why.
    pub fn set_published(&self, connected: bool, problem: Option<String>) {
        *lock(&self.published) = Published { connected, problem };
        self.version.send_modify(|v| *v += 1);
    }

    fn health(&self) -> CameraHealth {
        let published = lock(&self.published);
        let encodings = self.streams.iter().map(|s| s.health(published.problem.as_deref())).collect();
        CameraHealth { id: self.id, encodings, published: published.connected }
    }

    fn announcement(&self) -> camera::Camera {
        let encodings = self.streams.iter().map(|s| {
            let size = lock(&s.state).size;
            camera::Encoding { rid: s.rid.clone(), width: size.map(|s| s.0), height: size.map(|s| s.1) }
        });
        camera::Camera { id: self.id, name: self.name.clone(), encodings: encodings.collect() }
    }
}

impl StreamBoard {
    /// A stream that is still connecting.
    pub fn new(rid: Rid, version: watch::Sender<u64>) -> Self {
        let state = Stream { state: StreamState::Connecting, detail: None, size: None, sending: false };
        Self { rid, state: Arc::new(Mutex::new(state)), sent_bytes: Arc::default(), version }
    }

    /// What the stream's supervisor is doing, and why in plain words.
    pub fn set_state(&self, state: StreamState, detail: Option<&str>) {
        self.change(
            |s| s.state != state || s.detail.as_deref() != detail,
            |s| {
                s.state = state;
                s.detail = detail.map(str::to_owned);
            },
        );
    }

    /// What the supervisor was last doing.
    pub fn state(&self) -> StreamState {
        lock(&self.state).state
    }

    /// The size of the picture in pixels.
    pub fn set_size(&self, size: (u32, u32)) {
        self.change(|s| s.size != Some(size), |s| s.size = Some(size));
    }

    /// Whether the encoding is being sent.
    pub fn set_sending(&self, sending: bool) {
        self.change(|s| s.sending != sending, |s| s.sending = sending);
    }

    /// RTP payload bytes were sent.
    pub fn add_sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// RTP payload bytes sent so far.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    fn health(&self, publishing: Option<&str>) -> EncodingHealth {
        let stream = lock(&self.state);
        EncodingHealth {
            rid: self.rid.clone(),
            state: stream.state,
            detail: stream.detail.clone().or_else(|| publishing.map(str::to_owned)),
            width: stream.size.map(|s| s.0),
            height: stream.size.map(|s| s.1),
            sending: stream.sending,
            sent_bytes: self.sent_bytes(),
        }
    }

    fn change(&self, is_news: impl Fn(&Stream) -> bool, change: impl Fn(&mut Stream)) {
        let mut stream = lock(&self.state);
        if is_news(&stream) {
            change(&mut stream);
            drop(stream);
            self.version.send_modify(|v| *v += 1);
        }
    }
}

/// A panic elsewhere leaves plain values behind, which stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
