//! Peers: coming and going, addresses, handshakes.

use super::{Ended, NewPeer, NewRole, Notice, Origin, Output, Peer, Role, Shard, ShardMessage};
use crate::dtls::{DtlsError, Progress};
use crate::ice::{BindingRequest, Credentials};
use crate::publisher::Publisher;
use crate::srtp::Session;
use crate::types::{CameraKey, EncodingId, ShardId, TransportAddress};
use crate::viewer::{SlotAt, Viewer};
use crate::{rtcp, rtp};
use std::time::{Duration, Instant};

/// Most addresses that one peer may have proved.
const MAX_VALIDATED: usize = 8;
/// An address belongs to the connected peer that was heard from it so lately: no other may take it over.
const OWNED: Duration = Duration::from_secs(5);
/// A connected peer's address is given up for another when nothing was heard from it for so long.
const QUIET: Duration = Duration::from_secs(2);
/// Longest SRTP or SRTCP datagram that is taken: rings keep the whole of it for its payload.
const MAX_SRTP: usize = 2048;

impl Shard {
    pub(super) fn connect(&mut self, new: NewPeer) {
        if self.by_id.contains_key(&new.id) {
            return;
        }
        let (role, viewer, show) = match new.role {
            NewRole::Publisher { camera, media, ssrc } => {
                (Role::Publisher(Publisher::new(camera, media, ssrc)), None, Vec::new())
            }
            NewRole::Viewer { show, media, first_sequence } => {
                (Role::Viewer, Some(Viewer::new(self.now, &media, first_sequence)), show)
            }
        };
        if self.by_id.is_empty() {
            self.next_tick = self.now;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.peers.push(None);
            self.viewers.push(None);
            self.peers.len() as u32 - 1
        });
        self.by_id.insert(new.id, place);
        self.by_ufrag.insert(new.ice.ufrag.clone(), place);
        self.handshaking.push(place);
        self.viewers[place as usize] = viewer;
        self.peers[place as usize] = Some(Box::new(Peer {
            id: new.id,
            ice: new.ice,
            ice_next: None,
            fingerprint: new.fingerprint,
            address: None,
            validated: Vec::new(),
            since: self.now,
            heard: self.now,
            heard_here: self.now,
            until: new.until,
            inbound: None,
            rtcp_out: None,
            role,
        }));
        for (slot, wish) in show {
            self.show(SlotAt { place, slot }, Some(wish));
        }
    }

    /// Gives a peer new credentials beside those that it uses.
    pub(super) fn restart(&mut self, id: crate::PeerId, ice: Credentials) {
        let Some(place) = self.by_id.get(&id).copied() else { return };
        let ufrag = ice.ufrag.clone();
        let unused = self.peer_mut(place).and_then(|peer| peer.ice_next.replace(ice));
        if let Some(unused) = unused {
            self.by_ufrag.remove(&unused.ufrag);
        } else {
            self.restarting.push(place);
        }
        self.by_ufrag.insert(ufrag, place);
    }

    /// Ends a connection, saying good-bye.
    pub(super) fn remove(&mut self, place: u32, why: Ended) {
        self.say_goodbye(place);
        let Some(peer) = self.peers.get_mut(place as usize).and_then(Option::take) else { return };
        self.by_id.remove(&peer.id);
        for ice in std::iter::once(&peer.ice).chain(&peer.ice_next) {
            self.by_ufrag.remove(&ice.ufrag);
        }
        for address in &peer.validated {
            if self.by_address.get(address) == Some(&place) {
                self.by_address.remove(address);
            }
        }
        self.handshaking.retain(|p| *p != place);
        self.restarting.retain(|p| *p != place);
        if let Some(viewer) = self.viewers[place as usize].take() {
            self.viewer_left(place, &viewer);
        }
        if let Role::Publisher(publisher) = peer.role {
            self.publisher_left(place, peer.id, publisher.camera);
        }
        self.free.push(place);
        self.notify(Notice::Gone(peer.id, why));
    }

    fn say_goodbye(&mut self, place: u32) {
        let ours = match (self.viewer(place).map(|viewer| viewer.ssrcs()), self.peer(place).map(|peer| &peer.role)) {
            (Some(ssrcs), _) => ssrcs,
            (None, Some(Role::Publisher(publisher))) => vec![publisher.ssrc],
            _ => return,
        };
        self.send_rtcp(place, &rtcp::goodbye(&ours));
        self.dtls.close(self.now, place);
        self.send_dtls();
    }

    fn publisher_left(&mut self, place: u32, id: crate::PeerId, camera: CameraKey) {
        self.publishers.retain(|p| *p != place);
        if self.cameras.get(&camera).is_some_and(|c| c.origin == Some(Origin::Here(place))) {
            self.set_origin(camera, None, &[]);
            let message = ShardMessage::Origin { camera, from: self.config.shard, tracks: None };
            self.outputs.push_back(Output::ToAllShards(message));
            self.notify(Notice::Unpublished(id, camera));
        }
    }

    /// Whether a peer has proved that it is at this address.
    pub fn knows(&self, address: TransportAddress) -> bool {
        self.by_address.contains_key(&address)
    }

    pub(super) fn closed(&mut self, address: TransportAddress) {
        let Some(place) = self.by_address.remove(&address) else { return };
        if let Some(peer) = self.peer_mut(place) {
            peer.validated.retain(|known| *known != address);
            peer.address = peer.address.filter(|at| *at != address);
        }
        self.lead(place);
    }

    /// Tells datagrams apart (RFC 7983).
    pub(super) fn receive(&mut self, from: TransportAddress, bytes: &[u8], waited: Duration) {
        let came = self.now.checked_sub(waited).unwrap_or(self.now);
        match bytes.first() {
            Some(0..=3) => self.receive_stun(from, bytes, came),
            Some(20..=63) => self.receive_dtls(from, bytes),
            Some(128..=191) => self.receive_srtp(from, bytes, came),
            _ => self.counters.refused_unknown_address += 1,
        }
    }

    fn receive_stun(&mut self, from: TransportAddress, bytes: &[u8], came: Instant) {
        let now = self.now;
        let request = BindingRequest::read(bytes);
        let place = request.as_ref().and_then(|r| self.by_ufrag.get(&r.ufrag).copied());
        let (Some(request), Some(place)) = (request, place) else {
            self.counters.refused_stun += 1;
            return;
        };
        let owner = self.by_address.get(&from).copied().filter(|owner| *owner != place);
        let is_taken = owner
            .and_then(|owner| self.peer(owner))
            .is_some_and(|owner| owner.inbound.is_some() && now < owner.heard + OWNED);
        let Some(peer) = self.peers[place as usize].as_mut().filter(|_| !is_taken) else {
            self.counters.refused_stun += 1;
            return;
        };
        let is_next = peer.ice_next.as_ref().is_some_and(|next| next.ufrag == request.ufrag);
        let ours = peer.ice_next.as_ref().filter(|_| is_next).unwrap_or(&peer.ice);
        let Some(reply) = request.answer(ours, from.socket, self.provider.crypto()) else {
            self.counters.refused_stun += 1;
            return;
        };
        peer.heard = now;
        if let Some(next) = peer.ice_next.take_if(|_| is_next) {
            // The peer acts on the restart: what it used before is over, and the pair it checks first is its pair.
            let before = std::mem::replace(&mut peer.ice, next);
            self.by_ufrag.remove(&before.ufrag);
            self.restarting.retain(|p| *p != place);
            peer.address = Some(from);
        }
        if !peer.validated.contains(&from) {
            let spare = peer.validated.iter().position(|known| Some(*known) != peer.address);
            if let (Some(spare), true) = (spare, peer.validated.len() == MAX_VALIDATED) {
                let forgotten = peer.validated.remove(spare);
                if self.by_address.get(&forgotten) == Some(&place) {
                    self.by_address.remove(&forgotten);
                }
            }
            peer.validated.push(from);
        }
        // A check can be recorded on its way and sent again from elsewhere, so it moves a connection whose present
        // address is quiet; else the next packet that only the peer can make does.
        let may_move = peer.inbound.is_none() || now >= peer.heard_here + QUIET;
        if peer.address.is_none() || (reply.nominated && may_move) {
            peer.address = Some(from);
        }
        if peer.address == Some(from) {
            peer.heard_here = peer.heard_here.max(came);
        }
        self.by_address.insert(from, place);
        self.lead(place);
        self.send_datagram(from, reply.response);
    }

    /// A viewer's trains go to its peer's address from now on.
    fn lead(&mut self, place: u32) {
        let to = self.peer(place).and_then(|peer| peer.address);
        if let Some(viewer) = self.viewer(place) {
            if viewer.to.is_some() && viewer.to != to {
                viewer.moved();
            }
            viewer.to = to;
        }
    }

    fn receive_dtls(&mut self, from: TransportAddress, bytes: &[u8]) {
        let known = self.by_address.get(&from).copied().and_then(|place| Some((place, self.peer(place)?.fingerprint)));
        let Some((place, fingerprint)) = known else {
            self.counters.refused_unknown_address += 1;
            return;
        };
        let progress = self.dtls.read(self.now, place, bytes, fingerprint);
        self.send_dtls();
        match progress {
            Ok(Progress::Going) => {}
            Ok(Progress::Up(session)) => self.up(place, *session),
            Ok(Progress::Closed) => self.remove(place, Ended::Left),
            Err(error) => {
                self.counters.refused_dtls += 1;
                let connected = self.peer(place).is_some_and(|p| p.inbound.is_some());
                tracing::debug!(place, %error, connected, "DTLS datagram refused");
                // What nobody vouches for is dropped (RFC 6347, section 4.1.2.7).
                if !connected && !matches!(error, DtlsError::Protocol(_) | DtlsError::Excess) {
                    self.remove(place, Ended::Handshake);
                }
            }
        }
    }

    /// The handshake is complete: media may flow.
    fn up(&mut self, place: u32, session: Session) {
        let Some(peer) = self.peers[place as usize].as_mut() else { return };
        peer.inbound = Some(session.inbound);
        peer.rtcp_out = Some(session.rtcp_out);
        let id = peer.id;
        self.handshaking.retain(|p| *p != place);
        match &mut peer.role {
            Role::Viewer => {
                let Some(viewer) = self.viewer(place) else { return };
                viewer.sealer = Some(session.sealer);
                let slots = viewer.slot_ids();
                self.notify(Notice::Connected(id));
                for slot in slots {
                    self.join(SlotAt { place, slot });
                }
            }
            Role::Publisher(publisher) => {
                let (camera, tracks) = (publisher.camera, publisher.media.tracks());
                self.publishers.push(place);
                // The other shards first: whoever hears the notice may end an older publisher there.
                let told = Some(tracks.clone());
                let message = ShardMessage::Origin { camera, from: self.config.shard, tracks: told };
                self.outputs.push_back(Output::ToAllShards(message));
                self.notify(Notice::Connected(id));
                self.notify(Notice::Published(id, camera));
                self.set_origin(camera, Some(Origin::Here(place)), &tracks);
            }
        }
    }

    fn receive_srtp(&mut self, from: TransportAddress, bytes: &[u8], came: Instant) {
        let place = self.by_address.get(&from).copied().filter(|_| bytes.len() <= MAX_SRTP);
        let inbound = place.and_then(|p| self.peers[p as usize].as_mut()?.inbound.as_mut());
        let (Some(place), Some(inbound)) = (place, inbound) else {
            self.counters.refused_unknown_address += 1;
            return;
        };
        let is_rtcp = rtp::is_rtcp(bytes);
        let plain = if is_rtcp { inbound.decrypt_rtcp(bytes) } else { inbound.decrypt_rtp(bytes) };
        let Ok(plain) = plain else {
            self.counters.refused_srtp += 1;
            return;
        };
        let now = self.now;
        if let Some(peer) = self.peer_mut(place) {
            peer.heard = now;
            // What came before its peer was last heard where it is now took the way that it left.
            if came >= peer.heard_here {
                (peer.heard_here, peer.address) = (came, Some(from));
            }
        }
        self.lead(place);
        let is_publisher = matches!(self.peer(place).map(|p| &p.role), Some(Role::Publisher(_)));
        match (is_rtcp, is_publisher) {
            (true, true) => self.publisher_reports(place, &plain),
            (true, false) => self.viewer_reports(place, &plain, came),
            (false, true) => self.ingest(place, &plain.freeze()),
            (false, false) => self.counters.refused_rtp += 1,
        }
    }

    /// Encrypts and sends an RTCP datagram.
    pub(super) fn send_rtcp(&mut self, place: u32, plain: &[u8]) {
        let Some(peer) = self.peer_mut(place) else { return };
        let (Some(to), Some(context)) = (peer.address, peer.rtcp_out.as_mut()) else { return };
        if let Ok(sealed) = context.encrypt_rtcp(plain) {
            self.send_datagram(to, sealed.into());
        }
    }

    pub(super) fn send_dtls(&mut self) {
        while let Some((place, datagram)) = self.dtls.poll_transmit() {
            if let Some(to) = self.peer(place).and_then(|p| p.address) {
                self.send_datagram(to, datagram.into());
            }
        }
    }

    /// The slot of an encoding, if `from` is its camera's origin: what a former origin still says is void.
    fn slot_from(&self, encoding: EncodingId, from: ShardId) -> Option<usize> {
        let camera = self.cameras.get(&encoding.camera)?;
        (camera.origin == Some(Origin::Shard(from))).then(|| self.encoding_slots.get(&encoding).copied())?
    }

    /// Hears another shard.
    pub(super) fn hear(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Origin { camera, from, tracks: Some(tracks) } => {
                self.set_origin(camera, Some(Origin::Shard(from)), &tracks);
            }
            ShardMessage::Origin { camera, from, tracks: None } => {
                if self.cameras.get(&camera).is_some_and(|c| c.origin == Some(Origin::Shard(from))) {
                    self.set_origin(camera, None, &[]);
                }
            }
            ShardMessage::Subscribe { encoding, from } => self.subscribed(encoding, from),
            ShardMessage::Unsubscribe { encoding, from } => self.unsubscribed(encoding, from),
            ShardMessage::Batch { encoding, from, packets } => {
                if let Some(slot) = self.slot_from(encoding, from) {
                    self.take_batch(slot, &packets);
                }
            }
            ShardMessage::Restarted { encoding, from } => {
                if let Some(slot) = self.slot_from(encoding, from) {
                    self.restarted(slot);
                }
            }
            ShardMessage::Stopped { encoding, from } => {
                if let Some(slot) = self.slot_from(encoding, from) {
                    self.stopped(slot);
                }
            }
            ShardMessage::Clock { encoding, from, clock } => {
                if let Some(slot) = self.slot_from(encoding, from) {
                    self.encodings[slot].clock = Some(clock);
                }
            }
            ShardMessage::KeyframeRequest { encoding } => {
                if let Some(slot) = self.encoding_slots.get(&encoding) {
                    self.request_keyframe(*slot);
                }
            }
        }
    }
}
