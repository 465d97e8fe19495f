//! What a viewer's slots show, as its app is told. Plain bookkeeping, no I/O.
//!
//! Invariant: no slot shows what its grant does not name, nor larger than its grant allows; an app that reads its events
//! knows how every slot is: the state of each when it begins to read, and every change since.

#[cfg(test)]
mod tests;

use protocol::grant::CameraGrant;
use protocol::node::{Change, Listen, Show, View};
use protocol::session::{EndReason, Event, SlotState};
use protocol::{CameraId, Problem, Rid};
use sfu_core::SlotId;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events that may wait for a reader; one that is slower has to begin anew.
const QUEUE: usize = 256;
/// Readers of one viewer's events at a time; the oldest makes room.
const MAX_READERS: usize = 2;

/// One slot.
#[derive(Clone, Debug)]
struct Slot {
    id: SlotId,
    /// What was asked for, if the grant allows it.
    wish: Option<Show>,
    /// What the grant no longer, or never, allowed of what was asked for.
    withdrawn: Option<CameraId>,
    /// What it was last said to show, and how that is.
    told: (Option<CameraId>, SlotState),
}

/// See the module.
pub(crate) struct Viewing {
    slots: Vec<Slot>,
    readers: Vec<Sender<Event>>,
}

impl Viewing {
    /// So many slots, and sound or none, that show nothing yet.
    pub(crate) fn new(slots: usize, has_audio: bool) -> Self {
        let videos = (0..slots).map(|number| SlotId::Video(number as u8));
        let ids = videos.chain(has_audio.then_some(SlotId::Audio));
        let slot = |id| Slot { id, wish: None, withdrawn: None, told: (None, SlotState::Empty) };
        Self { slots: ids.map(slot).collect(), readers: Vec::new() }
    }

    /// What the slots show first: those that do show something.
    pub(crate) fn begin(&mut self, ask: &View) -> Result<Vec<(SlotId, Show)>, Problem> {
        let wishes: Vec<_> = ask.show.iter().enumerate().map(|(slot, show)| (slot, show.as_ref())).collect();
        let listen = ask.listen.map(|camera| Listen { camera: Some(camera) });
        let changes = self.change(&wishes, listen.as_ref(), &ask.granted)?;
        Ok(changes.into_iter().filter_map(|(id, wish)| Some((id, wish?))).collect())
    }

    /// Takes over a change; what the slots are to show that differ by it. Nothing changes when it is refused.
    pub(crate) fn apply(&mut self, ask: &Change) -> Result<Vec<(SlotId, Option<Show>)>, Problem> {
        let wishes: Vec<_> = ask.slots.iter().map(|change| (change.slot, change.show.as_ref())).collect();
        self.change(&wishes, ask.listen.as_ref(), &ask.granted)
    }

    fn change(
        &mut self,
        wishes: &[(usize, Option<&Show>)],
        listen: Option<&Listen>,
        granted: &[CameraGrant],
    ) -> Result<Vec<(SlotId, Option<Show>)>, Problem> {
        let mut next = self.slots.clone();
        for (number, show) in wishes {
            let id = u8::try_from(*number).map(SlotId::Video);
            let slot = next.iter_mut().find(|slot| Ok(slot.id) == id).ok_or_else(|| no_such_slot(*number))?;
            if let Some(show) = show
                && !granted.iter().any(|g| g.id == show.camera)
            {
                let detail = format!("the grant does not name camera {}", show.camera);
                return Err(Problem::new(403, "camera_not_granted", detail));
            }
            slot.wish = show.cloned();
            slot.withdrawn = None;
        }
        // An app that asks for sound where it has no m-line for it gets silence.
        if let (Some(listen), Some(slot)) = (listen, next.iter_mut().find(|slot| slot.id == SlotId::Audio)) {
            slot.wish = listen.camera.map(|camera| Show { camera, max: Rid::high(), priority: 0 });
            slot.withdrawn = None;
        }
        next.iter_mut().for_each(|slot| slot.bound(granted));
        let changed = next.iter().zip(&self.slots).filter(|(new, old)| new.wish != old.wish);
        let changed = changed.map(|(new, _)| (new.id, new.wish.clone())).collect();
        let before = std::mem::replace(&mut self.slots, next);
        for (at, before) in before.iter().enumerate() {
            let slot = &self.slots[at];
            if (slot.camera(), slot.withdrawn) != (before.camera(), before.withdrawn) {
                let state = if slot.wish.is_some() { SlotState::Waiting } else { SlotState::Empty };
                self.tell(at, slot.withdrawn.map_or(state, |_| SlotState::Withdrawn));
            }
        }
        Ok(changed)
    }

    /// Takes note of how a slot is, as its shard says.
    pub(crate) fn heard(&mut self, id: SlotId, camera: Option<CameraId>, state: sfu_core::SlotState) {
        let Some(at) = self.slots.iter().position(|slot| slot.id == id) else { return };
        let slot = &self.slots[at];
        // What the shard says of an earlier wish is out of date.
        if camera != slot.camera() {
            return;
        }
        let state = match state {
            sfu_core::SlotState::Empty if slot.withdrawn.is_some() => SlotState::Withdrawn,
            sfu_core::SlotState::Empty => SlotState::Empty,
            sfu_core::SlotState::Waiting => SlotState::Waiting,
            sfu_core::SlotState::Live => SlotState::Live,
            sfu_core::SlotState::NoSignal => SlotState::NoSignal,
            sfu_core::SlotState::Paused => SlotState::Paused,
        };
        self.tell(at, state);
    }

    fn tell(&mut self, at: usize, state: SlotState) {
        let slot = &mut self.slots[at];
        let told = (slot.camera().or(slot.withdrawn), state);
        if slot.told != told {
            slot.told = told;
            let event = slot.event();
            self.send(&event);
        }
    }

    /// Reads events from now on: the state of every slot first.
    pub(crate) fn read(&mut self) -> (Vec<Event>, Receiver<Event>) {
        let (sender, receiver) = channel(QUEUE);
        if self.readers.len() == MAX_READERS {
            self.readers.remove(0);
        }
        self.readers.push(sender);
        (self.slots.iter().map(Slot::event).collect(), receiver)
    }

    /// Says that the connection is over, and why; nothing is said after that.
    pub(crate) fn end(&mut self, reason: EndReason) {
        self.send(&Event::Ended { reason });
        self.readers.clear();
    }

    fn send(&mut self, event: &Event) {
        // A reader that is gone, or does not keep up, is let go: it begins anew with the state of every slot.
        self.readers.retain(|reader| reader.try_send(event.clone()).is_ok());
    }
}

impl Slot {
    /// What it is to show.
    fn camera(&self) -> Option<CameraId> {
        self.wish.as_ref().map(|wish| wish.camera)
    }

    /// Keeps its wish within a grant.
    fn bound(&mut self, granted: &[CameraGrant]) {
        let Some(wish) = &mut self.wish else { return };
        let grant = granted.iter().find(|g| g.id == wish.camera && (self.id != SlotId::Audio || g.audio));
        match grant {
            Some(grant) if wish.max.rank() > grant.max.rank() => wish.max = grant.max.clone(),
            Some(_) => (),
            None => self.withdrawn = self.wish.take().map(|wish| wish.camera),
        }
    }

    fn event(&self) -> Event {
        let (camera, state) = self.told;
        match self.id {
            SlotId::Video(number) => Event::Slot { slot: usize::from(number), camera, state },
            SlotId::Audio => Event::Audio { camera, state },
        }
    }
}

fn no_such_slot(number: usize) -> Problem {
    Problem::new(422, "no_such_slot", format!("slot {number} is none of the offer's video m-lines, counted from 0"))
}
