//! The agents connected here, and what is on its way to them. Invariant: at most one socket a subject; a socket that
//! does not read is let go, never waited for.

use crate::wanted::Wish;
use protocol::CameraId;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Commands that may wait for one socket.
const QUEUE: usize = 256;

/// For the task that holds an agent's socket.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// What of a camera to send from now on.
    Wanted(CameraId, Wish),
    /// A renewed grant; not verified yet.
    Renewed(String),
}

#[derive(Default)]
pub(crate) struct Agents(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    by_subject: HashMap<String, Agent>,
    by_camera: HashMap<CameraId, Vec<String>>,
}

struct Agent {
    socket: u64,
    cameras: Vec<CameraId>,
    commands: Sender<Command>,
}

/// A socket's place in the table; leaves it when dropped.
pub(crate) struct Place<'a> {
    agents: &'a Agents,
    subject: String,
    socket: u64,
}

impl Agents {
    fn table(&self) -> MutexGuard<'_, Table> {
        // No code panics between two writes of the table, so a poisoned lock still guards a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the subject's place. The commands of the socket that had it end.
    pub(crate) fn enter(&self, subject: &str, cameras: Vec<CameraId>) -> (Place<'_>, Receiver<Command>) {
        let (commands, queue) = channel(QUEUE);
        let mut table = self.table();
        table.remove(subject);
        table.last += 1;
        let socket = table.last;
        for camera in &cameras {
            table.by_camera.entry(*camera).or_default().push(subject.to_owned());
        }
        table.by_subject.insert(subject.to_owned(), Agent { socket, cameras, commands });
        (Place { agents: self, subject: subject.to_owned(), socket }, queue)
    }

    /// Passes a command to every agent that holds the camera.
    pub(crate) fn tell_camera(&self, camera: CameraId, command: &Command) {
        let mut table = self.table();
        for subject in table.by_camera.get(&camera).cloned().unwrap_or_default() {
            table.tell(&subject, command.clone());
        }
    }

    /// Passes a command to an agent, if it is connected here.
    pub(crate) fn tell(&self, subject: &str, command: Command) {
        self.table().tell(subject, command);
    }
}

impl Table {
    fn tell(&mut self, subject: &str, command: Command) {
        let failed = self.by_subject.get(subject).is_some_and(|agent| agent.commands.try_send(command).is_err());
        if failed {
            self.remove(subject);
        }
    }

    fn remove(&mut self, subject: &str) {
        let Some(agent) = self.by_subject.remove(subject) else { return };
        for camera in agent.cameras {
            let Some(subjects) = self.by_camera.get_mut(&camera) else { continue };
            subjects.retain(|s| s != subject);
            if subjects.is_empty() {
                self.by_camera.remove(&camera);
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut table = self.agents.table();
        if table.by_subject.get(&self.subject).is_some_and(|a| a.socket == self.socket) {
            table.remove(&self.subject);
        }
    }
}
