//! The engine's loop: commands, datagrams, frames that are due, a wheel that visits every viewer once a second.

use super::socket::{Buffers, RawSocket};
use super::{Command, Event, Network, PeerId, Role, unix_micros};
use crate::client::Client;
use crate::measure::Measures;
use crate::publisher::{self, Publisher};
use crate::viewer::{self, Viewer};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// From one slot of the wheel to the next; a turn takes a second.
const TICK: Duration = Duration::from_millis(20);
const SLOTS: usize = 50;
/// How long a peer may take to connect.
const PATIENCE: Duration = Duration::from_secs(15);
/// Datagrams to viewers gather for so long: on one machine, waking up for each train would cost its sender more than the
/// train. Receive times of media are the kernel's; to each step of a join this adds up to as much.
const GATHER_MS: u8 = 1;
/// Sockets that are looked at in one turn of the loop.
const EVENTS: usize = 1024;
/// Marks the bell among the sockets.
const BELL: u64 = u64::MAX;

struct Seat {
    id: PeerId,
    socket: RawSocket,
    since: Instant,
    is_restless: bool,
    peer: Peer,
}

enum Peer {
    Viewer(Box<Viewer>),
    Publisher(Box<Publisher>),
}

impl Peer {
    fn client(&mut self) -> &mut Client {
        match self {
            Self::Viewer(viewer) => viewer.client(),
            Self::Publisher(publisher) => publisher.client(),
        }
    }
}

/// See the module.
pub(super) struct Engine {
    network: Network,
    events: UnboundedSender<Event>,
    inbox: Receiver<Command>,
    bell: Arc<EventFd>,
    epoll: Epoll,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    by_id: HashMap<PeerId, usize>,
    /// Seats with a handshake under way, or packets missing.
    restless: Vec<usize>,
    frames: BinaryHeap<Reverse<(Instant, usize)>>,
    is_silent: bool,
    buffers: Buffers,
    train: Vec<u8>,
    measures: Measures,
    tick: usize,
    next_tick: Instant,
}

impl Engine {
    pub(super) fn new(
        network: Network,
        events: UnboundedSender<Event>,
        inbox: Receiver<Command>,
        bell: Arc<EventFd>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(bell.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        Ok(Self {
            network,
            events,
            inbox,
            bell,
            epoll,
            seats: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            restless: Vec::new(),
            frames: BinaryHeap::new(),
            is_silent: false,
            buffers: Buffers::new(),
            train: Vec::new(),
            measures: Measures::default(),
            tick: 0,
            next_tick: Instant::now(),
        })
    }

    pub(super) fn run(mut self) -> io::Result<()> {
        let mut ready = vec![EpollEvent::empty(); EVENTS];
        loop {
            let count = self.wait(&mut ready)?;
            let _ = self.bell.read();
            if !self.obey()? {
                return Ok(());
            }
            for event in &ready[..count] {
                if event.data() != BELL {
                    self.receive(event.data() as usize);
                }
            }
            self.send_frames();
            let now = Instant::now();
            if now >= self.next_tick {
                self.next_tick = (self.next_tick + TICK).max(now);
                self.turn(now);
            }
        }
    }

    fn wait(&mut self, ready: &mut [EpollEvent]) -> io::Result<usize> {
        let due = self.frames.peek().map_or(self.next_tick, |Reverse((at, _))| self.next_tick.min(*at));
        let until = due.saturating_duration_since(Instant::now());
        if self.frames.is_empty() {
            let mut bell = [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
            match poll(&mut bell, PollTimeout::from(GATHER_MS)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let timeout = EpollTimeout::try_from(until).unwrap_or(EpollTimeout::ZERO);
        match self.epoll.wait(ready, timeout) {
            Ok(count) => Ok(count),
            Err(nix::errno::Errno::EINTR) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Does what was told; false when it is to stop.
    fn obey(&mut self) -> io::Result<bool> {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Add { id, client, role }) => {
                    if let Err(error) = self.add(id, *client, role) {
                        tracing::warn!(%error, "a virtual peer gets no socket");
                        self.measures.fail("socket");
                        self.tell(Event::Failed(id));
                    }
                }
                Ok(Command::Switch { id, slot, camera, told }) => {
                    let seat = self.by_id.get(&id).and_then(|place| self.seats[*place].as_mut());
                    if let Some(Peer::Viewer(viewer)) = seat.map(|seat| &mut seat.peer) {
                        viewer.switch(slot, camera, Instant::now(), unix_micros(), &mut self.measures);
                    }
                    // Who asks no more does not care.
                    let _ = told.send(());
                }
                Ok(Command::Remove(id)) => {
                    if let Some(place) = self.by_id.get(&id) {
                        self.remove(*place);
                    }
                }
                Ok(Command::Take(to)) => {
                    // Who asks no more does not care.
                    let _ = to.send(std::mem::take(&mut self.measures));
                }
                Ok(Command::Addresses(to)) => {
                    let seats = self.seats.iter().flatten();
                    let _ = to.send(seats.filter_map(|seat| seat.socket.address().ok()).collect());
                }
                Ok(Command::Silence(silent)) => self.silence(silent),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) => return Ok(true),
            }
        }
    }

    fn silence(&mut self, silent: bool) {
        self.is_silent = silent;
        let now = Instant::now();
        for seat in self.seats.iter_mut().flatten() {
            if let Peer::Publisher(publisher) = &mut seat.peer {
                publisher.resume(now);
            }
        }
    }

    fn tell(&self, event: Event) {
        // Who listens no more does not care.
        let _ = self.events.send(event);
    }

    fn add(&mut self, id: PeerId, client: Client, role: Role) -> io::Result<()> {
        let now = Instant::now();
        let socket = RawSocket::towards(client.server(), self.network)?;
        let place = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        self.epoll.add(socket.fd(), EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
        let peer = match role {
            Role::Viewer { cameras, begun, is_made } => {
                Peer::Viewer(Box::new(Viewer::new(client, &cameras, begun, is_made, now)))
            }
            Role::Publisher { camera, film } => {
                let publisher = Publisher::new(client, camera, film, now);
                self.frames.push(Reverse((publisher.due(), place)));
                Peer::Publisher(Box::new(publisher))
            }
        };
        self.by_id.insert(id, place);
        self.restless.push(place);
        self.seats[place] = Some(Seat { id, socket, since: now, is_restless: true, peer });
        self.flush(place);
        Ok(())
    }

    fn remove(&mut self, place: usize) {
        let Some(seat) = self.seats[place].take() else { return };
        // The kernel forgets a socket that is closed.
        let _ = self.epoll.delete(seat.socket.fd());
        self.by_id.remove(&seat.id);
        self.restless.retain(|restless| *restless != place);
        let frames = std::mem::take(&mut self.frames);
        self.frames = frames.into_iter().filter(|Reverse((_, of))| *of != place).collect();
        self.free.push(place);
    }

    fn end(&mut self, place: usize, event: fn(PeerId) -> Event) {
        if let Some(id) = self.seats[place].as_ref().map(|seat| seat.id) {
            self.remove(place);
            self.tell(event(id));
        }
    }

    /// Sends what a peer has to say.
    fn flush(&mut self, place: usize) {
        let Some(seat) = self.seats[place].as_mut() else { return };
        let client = seat.peer.client();
        let to = client.server();
        for datagram in client.out.drain(..) {
            seat.socket.send(to, &datagram);
        }
    }

    fn receive(&mut self, place: usize) {
        let Self { seats, buffers, measures, restless, .. } = self;
        let Some(seat) = seats.get_mut(place).and_then(Option::as_mut) else { return };
        let now = Instant::now();
        let (mut ended, mut is_ready) = (None, false);
        let peer = &mut seat.peer;
        seat.socket.receive(buffers, |datagram, unix| match peer {
            Peer::Viewer(viewer) => match viewer.receive(now, unix.unwrap_or_else(unix_micros), datagram, measures) {
                Ok(Some(viewer::Event::Playing)) => is_ready = true,
                Ok(Some(viewer::Event::Closed)) => ended = Some(Event::Closed as fn(PeerId) -> Event),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a viewer's handshake fails");
                    ended = Some(Event::Failed);
                }
            },
            Peer::Publisher(publisher) => match publisher.receive(now, datagram) {
                Ok(Some(publisher::Event::Closed)) => ended = Some(Event::Closed),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a publisher's handshake fails");
                    ended = Some(Event::Failed);
                }
            },
        });
        let is_restless = matches!(&seat.peer, Peer::Viewer(viewer) if viewer.is_restless());
        if is_restless && !std::mem::replace(&mut seat.is_restless, true) {
            restless.push(place);
        }
        let id = seat.id;
        self.flush(place);
        if is_ready {
            self.tell(Event::Ready(id));
        }
        if let Some(event) = ended {
            self.end(place, event);
        }
    }

    /// Frames whose time has come.
    fn send_frames(&mut self) {
        let now = Instant::now();
        while self.frames.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, place))) = self.frames.pop() else { return };
            let Self { seats, measures, train, is_silent, frames, .. } = self;
            let Some(seat) = seats[place].as_mut() else { continue };
            let Peer::Publisher(publisher) = &mut seat.peer else { continue };
            if *is_silent {
                frames.push(Reverse((at.max(now) + TICK, place)));
                continue;
            }
            let (socket, to, id) = (&seat.socket, publisher.client().server(), seat.id);
            let event = publisher.frames(now, unix_micros, measures, |packets| socket.send_trains(to, packets, train));
            frames.push(Reverse((publisher.due(), place)));
            self.flush(place);
            if event == Some(publisher::Event::Publishing) {
                self.tell(Event::Ready(id));
            }
        }
    }

    /// The wheel goes on by one slot.
    fn turn(&mut self, now: Instant) {
        self.tick = (self.tick + 1) % SLOTS;
        for place in std::mem::take(&mut self.restless) {
            self.calm(place, now);
        }
        for place in (self.tick..self.seats.len()).step_by(SLOTS) {
            let Some(seat) = self.seats[place].as_mut() else { continue };
            match &mut seat.peer {
                Peer::Viewer(viewer) => viewer.visit(now, &mut self.measures),
                Peer::Publisher(publisher) => publisher.client().handle_timeout(now),
            }
            self.flush(place);
        }
    }

    /// Does what is urgent for a restless peer, and keeps it among them while it is one.
    fn calm(&mut self, place: usize, now: Instant) {
        let Some(seat) = self.seats[place].as_mut() else { return };
        let is_connected = seat.peer.client().is_connected();
        if !is_connected && now >= seat.since + PATIENCE {
            self.measures.fail("never_connected");
            return self.end(place, Event::NeverConnected);
        }
        seat.is_restless = match &mut seat.peer {
            Peer::Viewer(viewer) => {
                viewer.handle_timeout(now, &mut self.measures);
                viewer.is_restless()
            }
            Peer::Publisher(publisher) => {
                publisher.client().handle_timeout(now);
                !is_connected
            }
        };
        if seat.is_restless {
            self.restless.push(place);
        }
        self.flush(place);
    }
}
