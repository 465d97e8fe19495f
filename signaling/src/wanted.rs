//! What each camera's origin wants to receive, as last heard. Invariant: an entry is told only while the claim that it
//! was heard under is the camera's origin still.

use cluster::Origin;
use protocol::{CameraId, NodeId, Rid};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The table. One entry a camera.
#[derive(Default)]
pub(crate) struct Wanted(Mutex<HashMap<CameraId, Entry>>);

struct Entry {
    origin: Origin,
    wish: Wish,
}

/// What of a camera is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// All encodings that are.
    pub(crate) encodings: Vec<Rid>,
    /// Whether its sound is.
    pub(crate) audio: bool,
}

impl Wanted {
    fn entries(&self) -> MutexGuard<'_, HashMap<CameraId, Entry>> {
        // Every write is one call, so a poisoned lock still guards a whole table.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, camera: CameraId, origin: Origin, wish: Wish) {
        self.entries().insert(camera, Entry { origin, wish });
    }

    /// Forgets what a former origin wanted.
    pub(crate) fn forget(&self, camera: CameraId, node: &NodeId) {
        let mut entries = self.entries();
        if entries.get(&camera).is_some_and(|e| e.origin.node == *node) {
            entries.remove(&camera);
        }
    }

    /// What the camera's present origin wants, if it has said.
    pub(crate) fn of(&self, camera: CameraId, origin: Option<&Origin>) -> Option<Wish> {
        self.entries().get(&camera).filter(|e| Some(&e.origin) == origin).map(|e| e.wish.clone())
    }
}
