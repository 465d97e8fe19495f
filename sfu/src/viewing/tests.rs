//! What a viewer may be shown, and what its app hears of it.

use super::Viewing;
use protocol::grant::CameraGrant;
use protocol::node::{Change, Listen, Show, SlotChange};
use protocol::session::{EndReason, Event, SlotState};
use protocol::{CameraId, Rid};
use sfu_core::SlotId;
use tokio::sync::mpsc::error::TryRecvError;

fn camera(n: u8) -> CameraId {
    format!("01935f00-0000-7000-8000-0000000000{n:02}").parse().expect("a uuid")
}

fn granted(n: u8, max: Rid, audio: bool) -> CameraGrant {
    CameraGrant { id: camera(n), max, audio }
}

fn show(n: u8, max: Rid) -> Option<Show> {
    Some(Show { camera: camera(n), max, priority: 0 })
}

fn change(granted: Vec<CameraGrant>, slots: &[(usize, Option<Show>)]) -> Change {
    let slots = slots.iter().map(|(slot, show)| SlotChange { slot: *slot, show: show.clone() }).collect();
    Change { granted, until: 4_000_000_000, slots, listen: None }
}

fn both() -> Vec<CameraGrant> {
    vec![granted(1, Rid::high(), true), granted(2, Rid::low(), false)]
}

#[test]
fn a_wish_is_bounded_by_the_grant() {
    let mut viewing = Viewing::new(2, false);
    let ask = change(both(), &[(0, show(1, Rid::low())), (1, show(2, Rid::high()))]);
    let changed = viewing.apply(&ask).expect("granted");
    assert_eq!(changed, [(SlotId::Video(0), show(1, Rid::low())), (SlotId::Video(1), show(2, Rid::low()))]);
    assert_eq!(viewing.apply(&change(both(), &[])).expect("granted"), [], "what stays is not said again");
}

#[test]
fn a_priority_is_told_to_the_shard_and_leaves_the_state_as_it_is() {
    let mut viewing = Viewing::new(1, false);
    let slot = SlotId::Video(0);
    viewing.apply(&change(both(), &[(0, show(1, Rid::high()))])).expect("granted");
    viewing.heard(slot, Some(camera(1)), sfu_core::SlotState::Live);
    let (_, mut events) = viewing.read();
    let first = Some(Show { camera: camera(1), max: Rid::high(), priority: 1 });
    let ask = change(both(), &[(0, first.clone())]);
    assert_eq!(viewing.apply(&ask).expect("granted"), [(slot, first)]);
    assert_eq!(viewing.apply(&ask).expect("granted"), [], "what stays is not said again");
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_call_for_what_is_not_granted_or_not_there_changes_nothing() {
    let mut viewing = Viewing::new(1, false);
    let ask = change(both(), &[(0, show(1, Rid::high())), (0, show(3, Rid::high()))]);
    assert_eq!(viewing.apply(&ask).expect_err("not granted").status, 403);
    let ask = change(both(), &[(0, show(1, Rid::high())), (1, show(2, Rid::high()))]);
    assert_eq!(viewing.apply(&ask).expect_err("no such slot").code, "no_such_slot");
    assert_eq!(viewing.apply(&change(both(), &[(300, None)])).expect_err("no such slot").status, 422);
    let (present, _) = viewing.read();
    assert_eq!(present, [Event::Slot { slot: 0, camera: None, state: SlotState::Empty }]);
}

#[test]
fn a_grant_that_names_less_takes_away_at_once_and_says_so() {
    let mut viewing = Viewing::new(2, true);
    let mut ask = change(both(), &[(0, show(1, Rid::high())), (1, show(2, Rid::low()))]);
    ask.listen = Some(Listen { camera: Some(camera(1)) });
    viewing.apply(&ask).expect("granted");
    let (_, mut events) = viewing.read();
    let changed = viewing.apply(&change(vec![granted(1, Rid::low(), false)], &[])).expect("a grant");
    assert_eq!(changed, [(SlotId::Video(0), show(1, Rid::low())), (SlotId::Video(1), None), (SlotId::Audio, None)]);
    let withdrawn = SlotState::Withdrawn;
    assert_eq!(events.try_recv(), Ok(Event::Slot { slot: 1, camera: Some(camera(2)), state: withdrawn }));
    assert_eq!(events.try_recv(), Ok(Event::Audio { camera: Some(camera(1)), state: withdrawn }));
    // The shard's word for an empty slot does not hide the reason.
    viewing.heard(SlotId::Video(1), None, sfu_core::SlotState::Empty);
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn sound_that_the_grant_does_not_allow_is_withdrawn_and_not_asked_for() {
    let mut viewing = Viewing::new(1, true);
    let ask = Change { listen: Some(Listen { camera: Some(camera(2)) }), ..change(both(), &[]) };
    assert_eq!(viewing.apply(&ask).expect("a grant"), []);
    let (present, _) = viewing.read();
    assert_eq!(present[1], Event::Audio { camera: Some(camera(2)), state: SlotState::Withdrawn });
}

#[test]
fn a_reader_hears_the_present_and_then_every_change_once() {
    let mut viewing = Viewing::new(1, false);
    viewing.apply(&change(both(), &[(0, show(1, Rid::high()))])).expect("granted");
    let (present, mut events) = viewing.read();
    let at = |state| Event::Slot { slot: 0, camera: Some(camera(1)), state };
    assert_eq!(present, [at(SlotState::Waiting)]);
    let slot = SlotId::Video(0);
    viewing.heard(slot, Some(camera(1)), sfu_core::SlotState::Waiting);
    viewing.heard(slot, Some(camera(1)), sfu_core::SlotState::Live);
    viewing.heard(slot, Some(camera(2)), sfu_core::SlotState::Live); // of an earlier wish
    viewing.heard(slot, Some(camera(1)), sfu_core::SlotState::Paused);
    viewing.heard(slot, Some(camera(1)), sfu_core::SlotState::NoSignal);
    viewing.end(EndReason::Silent);
    assert_eq!(events.try_recv(), Ok(at(SlotState::Live)));
    assert_eq!(events.try_recv(), Ok(at(SlotState::Paused)));
    assert_eq!(events.try_recv(), Ok(at(SlotState::NoSignal)));
    assert_eq!(events.try_recv(), Ok(Event::Ended { reason: EndReason::Silent }));
    assert_eq!(events.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn readers_are_bounded_in_number_and_in_what_waits_for_them() {
    let mut viewing = Viewing::new(1, false);
    viewing.apply(&change(both(), &[(0, show(1, Rid::high()))])).expect("granted");
    let (_, mut first) = viewing.read();
    let (_, mut slow) = viewing.read();
    let (_, _third) = viewing.read();
    assert_eq!(first.try_recv(), Err(TryRecvError::Disconnected), "the oldest made room");
    for n in 0..2 * super::QUEUE {
        let state = if n % 2 == 0 { sfu_core::SlotState::Live } else { sfu_core::SlotState::NoSignal };
        viewing.heard(SlotId::Video(0), Some(camera(1)), state);
    }
    let mut waiting = 0;
    while slow.try_recv().is_ok() {
        waiting += 1;
    }
    assert_eq!(waiting, super::QUEUE);
    assert_eq!(slow.try_recv(), Err(TryRecvError::Disconnected), "one that does not read begins anew");
}
