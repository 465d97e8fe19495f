//! Lets viewers come, switch, go and be replaced, each at its time; hears what happens to peers.

use super::{FIRST_VIEWER, Order, Shared};
use crate::api::Session;
use crate::engine::{Event, PeerId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc::UnboundedReceiver, watch};
use tokio::task::JoinSet;

/// How often the schedule is looked at.
const STEP: Duration = Duration::from_millis(2);

pub(super) struct Director {
    shared: Arc<Shared>,
    orders: watch::Receiver<Order>,
    ready: watch::Sender<usize>,
    next_join: Option<Instant>,
    next_leave: Option<Instant>,
    next_switch: Option<Instant>,
    /// Viewers in the order of their turns to switch.
    switching: VecDeque<PeerId>,
    /// Calls under way.
    calls: JoinSet<()>,
}

impl Director {
    pub(super) fn new(shared: Arc<Shared>, orders: watch::Receiver<Order>, ready: watch::Sender<usize>) -> Self {
        Self {
            shared,
            orders,
            ready,
            next_join: None,
            next_leave: None,
            next_switch: None,
            switching: VecDeque::new(),
            calls: JoinSet::new(),
        }
    }

    pub(super) async fn run(mut self, mut events: UnboundedReceiver<Event>) {
        let mut clock = tokio::time::interval(STEP);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = clock.tick() => {}
                Some(event) = events.recv() => {
                    self.hear(event);
                    continue;
                }
            }
            let order = *self.orders.borrow();
            if order.is_over {
                // What is under way may still open connections: they are to be known before all are closed.
                while self.calls.join_next().await.is_some() {}
                return;
            }
            while self.calls.try_join_next().is_some() {}
            let now = Instant::now();
            self.let_join(now, order);
            self.let_leave(now, order);
            self.let_switch(now);
        }
    }

    fn let_join(&mut self, now: Instant, order: Order) {
        let mut state = self.shared.state();
        loop {
            // Everybody who is to be there is there or comes: the schedule begins anew with the next who is missing.
            if state.joining + state.playing >= order.viewers {
                self.next_join = None;
                return;
            }
            let at = *self.next_join.get_or_insert(now);
            if at > now {
                return;
            }
            self.next_join = Some(at + Duration::from_secs_f64(1.0 / order.rate));
            state.joining += 1;
            self.calls.spawn(Arc::clone(&self.shared).join(at));
        }
    }

    fn let_leave(&mut self, now: Instant, order: Order) {
        let churn = self.shared.share.scenario.churn / f64::from(self.shared.share.machine.1);
        let is_full = self.shared.state().playing >= order.viewers.max(1);
        if churn <= 0.0 || (!is_full && self.next_leave.is_none()) {
            return;
        }
        let mut at = *self.next_leave.get_or_insert(now);
        while at <= now {
            at += Duration::from_secs_f64(1.0 / churn);
            if let Some(session) = self.oldest_leaves() {
                self.calls.spawn(Arc::clone(&self.shared).leave(session));
            }
        }
        self.next_leave = Some(at);
    }

    fn oldest_leaves(&self) -> Option<Session> {
        let mut state = self.shared.state();
        while let Some(id) = state.oldest.pop_front() {
            if let Some(watching) = state.viewers.remove(&id) {
                state.playing -= 1;
                self.shared.viewers.remove(id);
                return Some(watching.session);
            }
        }
        None
    }

    /// Switches are spread evenly over the viewers' interval.
    fn let_switch(&mut self, now: Instant) {
        let Some(every) = self.shared.share.scenario.switch_every else { return };
        let viewers = self.shared.state().playing.max(1);
        let at = *self.next_switch.get_or_insert(now);
        if at > now || self.switching.is_empty() {
            return;
        }
        let step = every.div_f64(viewers as f64);
        let due = (now.saturating_duration_since(at).as_secs_f64() / step.as_secs_f64()) as usize + 1;
        for _ in 0..due.min(self.switching.len()) {
            let Some(id) = self.switching.pop_front() else { return };
            if self.shared.state().viewers.contains_key(&id) {
                self.switching.push_back(id);
                self.calls.spawn(Arc::clone(&self.shared).switch(id));
            }
        }
        self.next_switch = Some(at + step.mul_f64(due as f64));
    }

    fn hear(&mut self, event: Event) {
        let (id, reason) = match event {
            Event::Ready(id) => return self.is_ready(id),
            // What the engine has counted already.
            Event::NeverConnected(id) => (id, None),
            Event::Failed(id) => (id, Some("handshake")),
            Event::Closed(id) => (id, Some("ended by the server")),
        };
        let mut state = self.shared.state();
        if id.0 < FIRST_VIEWER {
            state.lost_cameras += 1;
            state.measures.fail("a camera's connection ended");
            return;
        }
        let Some(watching) = state.viewers.remove(&id) else { return };
        if watching.is_playing {
            state.playing -= 1;
        } else {
            state.joining -= 1;
        }
        if let Some(reason) = reason {
            state.measures.fail(reason);
        }
    }

    fn is_ready(&mut self, id: PeerId) {
        let mut state = self.shared.state();
        if id.0 < FIRST_VIEWER {
            state.ready_cameras += 1;
            // Who waits no more does not care.
            let _ = self.ready.send(state.ready_cameras);
            return;
        }
        let Some(watching) = state.viewers.get_mut(&id) else { return };
        watching.is_playing = true;
        state.joining -= 1;
        state.playing += 1;
        state.oldest.push_back(id);
        self.switching.push_back(id);
    }
}
