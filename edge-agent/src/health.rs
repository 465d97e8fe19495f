//! How every camera and stream is, for signaling and for whoever asks.
//!
//! Invariant: [`Board::changed`] moves on with every change of a state, and not with every byte sent. A finding is
//! logged once for each stream and kind.

use crate::{
    config,
    finding::{Kind, stream_name},
    sound,
    source::Source,
};
use protocol::{
    CameraId, Rid,
    agent::{CameraHealth, EncodingHealth, Finding, StreamState},
    camera::{self, Audio},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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
    /// It should have a sub stream, and has none.
    lacks_sub_stream: bool,
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
    /// How texts name it.
    name: String,
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
    /// Why it is not sent though it is wanted.
    held: Option<String>,
    audio: Option<Audio>,
    findings: Vec<Kind>,
    /// Codes of the findings that were logged.
    logged: BTreeSet<&'static str>,
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
        let board = |rid| StreamBoard::new(&camera.name, rid, version.clone());
        Self {
            id: camera.id,
            name: camera.name.clone(),
            published: Arc::default(),
            streams: camera.streams().into_iter().map(|(rid, _)| board(rid)).collect(),
            lacks_sub_stream: camera.sub.is_none() && matches!(camera.main, Source::Rtsp(_)),
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
        let (audio, findings) = (self.audio(), self.findings());
        CameraHealth { id: self.id, encodings, published: published.connected, audio, findings }
    }

    /// The sound that is sent, or else what there is.
    fn audio(&self) -> Option<Audio> {
        let sounds: Vec<Audio> = self.streams.iter().filter_map(StreamBoard::audio).collect();
        sounds.iter().find(|a| a.live).or(sounds.first()).cloned()
    }

    /// What somebody should change, worst first.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<_> = self.streams.iter().flat_map(StreamBoard::findings).collect();
        let subject = format!("camera '{}'", self.name);
        if self.lacks_sub_stream {
            findings.push(Kind::NoSubStream.report(&subject, None));
        }
        if let [main, sub] = &self.streams[..]
            && (main.state(), sub.state()) == (StreamState::Online, StreamState::Unreachable)
        {
            findings.push(Kind::SilentSubStream.report(&subject, None));
        }
        findings
    }

    fn announcement(&self) -> camera::Camera {
        let encodings = self.streams.iter().map(|s| {
            let size = lock(&s.state).size;
            camera::Encoding { rid: s.rid.clone(), width: size.map(|s| s.0), height: size.map(|s| s.1) }
        });
        camera::Camera { id: self.id, name: self.name.clone(), encodings: encodings.collect(), audio: self.audio() }
    }
}

impl StreamBoard {
    /// A stream of the camera of this name that is still connecting.
    pub fn new(camera: &str, rid: Rid, version: watch::Sender<u64>) -> Self {
        let state = Stream {
            state: StreamState::Connecting,
            detail: None,
            size: None,
            sending: false,
            held: None,
            audio: None,
            findings: Vec::new(),
            logged: BTreeSet::new(),
        };
        let name = stream_name(camera, &rid);
        Self { rid, name, state: Arc::new(Mutex::new(state)), sent_bytes: Arc::default(), version }
    }

    /// How texts name it: "camera 'Gate' (main stream)".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its place among its camera's streams: 0 for the largest.
    pub fn place(&self) -> usize {
        usize::from(self.rid != Rid::high())
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

    /// The size of the picture in pixels, once it is known.
    pub fn size(&self) -> Option<(u32, u32)> {
        lock(&self.state).size
    }

    /// Sound that browsers play was heard.
    pub fn set_sound(&self, codec: sound::Codec) {
        self.set_audio(Some(&Audio { codec: codec.name().to_owned(), live: true }));
    }

    /// The stream's sound; `None` when it has none.
    pub fn set_audio(&self, audio: Option<&Audio>) {
        self.change(|s| s.audio.as_ref() != audio, |s| s.audio = audio.cloned());
    }

    /// What was found in the stream, in place of what was found before.
    pub fn set_findings(&self, mut found: Vec<Kind>) {
        found.sort();
        let mut new = Vec::new();
        let take = |s: &mut Stream| {
            new = found.iter().filter(|k| s.logged.insert(k.code())).cloned().collect();
            s.findings.clone_from(&found);
        };
        self.change(|s| s.findings != found, take);
        for kind in new {
            tracing::warn!("{}", kind.text(&self.name));
        }
    }

    /// What was found in the stream, besides what was found before.
    pub fn add_findings(&self, mut found: Vec<Kind>) {
        let mut known = lock(&self.state).findings.clone();
        known.retain(|k| !found.iter().any(|f| f.code() == k.code()));
        found.extend(known);
        self.set_findings(found);
    }

    /// The stream's sound, once it is known.
    pub fn audio(&self) -> Option<Audio> {
        lock(&self.state).audio.clone()
    }

    /// What somebody should change in the stream.
    pub fn findings(&self) -> Vec<Finding> {
        lock(&self.state).findings.iter().map(|k| k.report(&self.name, Some(self.rid.clone()))).collect()
    }

    /// Whether the encoding is being sent.
    pub fn set_sending(&self, sending: bool) {
        self.change(|s| s.sending != sending, |s| s.sending = sending);
    }

    /// The encoding is wanted and held back, and why in plain words; or is not.
    pub fn set_held(&self, why: Option<&str>) {
        self.change(|s| s.held.as_deref() != why, |s| s.held = why.map(str::to_owned));
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
            detail: stream.detail.clone().or_else(|| publishing.map(str::to_owned)).or_else(|| stream.held.clone()),
            width: stream.size.map(|s| s.0),
            height: stream.size.map(|s| s.1),
            sending: stream.sending,
            sent_bytes: self.sent_bytes(),
        }
    }

    fn change(&self, is_news: impl FnOnce(&Stream) -> bool, change: impl FnOnce(&mut Stream)) {
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
