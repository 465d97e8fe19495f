//! Which encodings each camera's origin wants, as last heard. Invariant: an entry is told only while the claim that it
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
    encodings: Vec<Rid>,
}

impl Wanted {
    fn entries(&self) -> MutexGuard<'_, HashMap<CameraId, Entry>> {
        // Every write is one call, so a poisoned lock still guards a whole table.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, camera: CameraId, origin: Origin, encodings: Vec<Rid>) {
        self.entries().insert(camera, Entry { origin, encodings });
    }

    /// Forgets what a former origin wanted.
    pub(crate) fn forget(&self, camera: CameraId, node: &NodeId) {
        let mut entries = self.entries();
        if entries.get(&camera).is_some_and(|e| e.origin.node == *node) {
            entries.remove(&camera);
        }
    }

    /// What the camera's present origin wants, if it has said.
    pub(crate) fn of(&self, camera: CameraId, origin: Option<&Origin>) -> Option<Vec<Rid>> {
        self.entries().get(&camera).filter(|e| Some(&e.origin) == origin).map(|e| e.encodings.clone())
    }
}
