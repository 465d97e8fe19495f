//! Sessions' events (`GET /v1/sessions/{id}/events`): the node's server-sent events (WHATWG HTML, section 9.2), passed on
//! as they are. Invariant: a stream lives no longer than its session's record, than its reader reads, or than the second
//! next stream of the same session.

use crate::{Signaling, authorize::Caller, connections::Resource, failure::Failure};
use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};
use cluster::NodeEvents;
use futures_util::stream;
use protocol::{ConnectionId, grant::Audience};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

/// Silence after which a node's stream is given up; it writes a comment every 10 s.
const SILENCE: Duration = Duration::from_secs(30);
/// Pause between looks at the session's record.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long a piece may wait for its reader.
const READ_TIME: Duration = Duration::from_secs(10);
/// Pieces that may wait for a reader.
const QUEUE: usize = 16;
/// Streams that a session may have: a page that reconnects may have a dead one still.
const MOST: usize = 2;

/// The streams that are open here.
#[derive(Default)]
pub(crate) struct Streams(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<ConnectionId, Vec<(u64, oneshot::Sender<()>)>>,
}

/// A stream's place in the table; leaves it when dropped.
struct Place {
    service: Signaling,
    connection: ConnectionId,
    number: u64,
    /// Ready when the place is taken away.
    over: oneshot::Receiver<()>,
}

impl Streams {
    fn table(&self) -> MutexGuard<'_, Table> {
        // No code panics between two writes of the table, so a poisoned lock still guards a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all of them: this service stops.
    pub(crate) fn end(&self) {
        self.table().open.clear();
    }
}

impl Place {
    /// Takes a place; the oldest of a session that has too many is taken away.
    fn take(service: &Signaling, connection: ConnectionId) -> Self {
        let (alive, over) = oneshot::channel();
        let mut table = service.0.streams.table();
        table.last += 1;
        let number = table.last;
        let open = table.open.entry(connection).or_default();
        if open.len() == MOST {
            open.remove(0);
        }
        open.push((number, alive));
        drop(table);
        Self { service: service.clone(), connection, number, over }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.service.0.streams.table();
        let Some(open) = table.open.get_mut(&self.connection) else { return };
        open.retain(|(number, _)| *number != self.number);
        if open.is_empty() {
            table.open.remove(&self.connection);
        }
    }
}

/// `GET /v1/sessions/{id}/events`.
pub(crate) async fn events(
    State(service): State<Signaling>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, Failure> {
    let claims = service.claims(&caller, Audience::View)?;
    let record = service.reached(Resource::Session, &id, &claims).await?;
    let connection = record.connection;
    service.within(service.0.limits.session(connection))?;
    let node = service.holder(Resource::Session, &record).await?;
    let call = service.0.nodes.events(&node, connection, SILENCE);
    let events = service.at_node(Resource::Session, connection, call).await?;
    let (pieces, reader) = mpsc::channel(QUEUE);
    tokio::spawn(pass_on(Place::take(&service, connection), events, pieces));
    let body = stream::unfold(reader, |mut reader| async move {
        let piece = reader.recv().await?;
        Some((Ok::<_, Infallible>(piece), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would hold the events back until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// A task of its own, so that a reader who has gone without a word is noticed although nothing is taken from here.
async fn pass_on(mut place: Place, mut events: NodeEvents, pieces: mpsc::Sender<Bytes>) {
    let _counted = place.service.0.metrics.event_stream();
    let mut checks = interval(CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gone = 0;
    loop {
        tokio::select! {
            piece = events.next() => match piece {
                Ok(Some(piece)) => match tokio::time::timeout(READ_TIME, pieces.send(piece)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return,
                },
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, connection = %place.connection, "a stream of events is lost");
                    return;
                }
            },
            () = pieces.closed() => return,
            _ = &mut place.over => return,
            _ = checks.tick() => {
                // A directory that is out of reach ends nothing.
                let record = place.service.0.directory.connection(place.connection).await;
                gone = if matches!(record, Ok(None)) { gone + 1 } else { 0 };
                // Not at the first look: why the session ended is on its way from the node.
                if gone == 2 {
                    return;
                }
            }
        }
    }
}
