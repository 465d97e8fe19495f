//! Signaling: WHIP and WHEP, viewers' sessions, the cameras' list, and the agents' socket. `docs/signaling.md` is its reference.
//!
//! It decides who may connect and to which node, and never sees media. Invariant: nothing is answered, forwarded or
//! announced for anybody whose grant has not been verified in that same call.

mod agent;
mod agents;
mod authorize;
mod body;
mod cameras;
mod config;
mod connections;
mod events;
mod failure;
mod ice;
mod internal;
mod limits;
mod metrics;
mod observe;
mod router;
pub mod sdpfrag;
mod sessions;
mod streams;
mod turn;
mod wanted;
mod whip;

pub use config::{Config, Cors, Grants, LoadError};
pub use failure::not_found;
pub use limits::{Limits, Rate};
pub use turn::{Turn, TurnServers, TurnUrl};

use axum::Router;
use cluster::{Directory, NodeClient, listen::Listener};
use protocol::grant::Verifier;
use std::{future::Future, io, sync::Arc};

/// The signaling service. Cheap to clone: clones are the same service.
#[derive(Clone)]
pub struct Signaling(Arc<Inner>);

/// What holds for its callers.
#[derive(Default)]
pub struct Terms {
    /// Which pages may call from a browser.
    pub cors: Cors,
    /// How often somebody may call.
    pub limits: Limits,
    /// TURN servers that peers are told of.
    pub turn: Option<TurnServers>,
}

struct Inner {
    cors: Cors,
    turn: Option<TurnServers>,
    directory: Arc<dyn Directory>,
    verifier: Arc<Verifier>,
    nodes: NodeClient,
    agents: agents::Agents,
    limits: limits::Buckets,
    streams: streams::Streams,
    wanted: wanted::Wanted,
    metrics: metrics::Metrics,
    registry: prometheus::Registry,
}

impl Signaling {
    /// A service over what the nodes know together. Its metrics go into `registry`, where no other signaling service has
    /// put its own.
    pub fn new(
        terms: Terms,
        directory: Arc<dyn Directory>,
        verifier: Arc<Verifier>,
        nodes: NodeClient,
        registry: &prometheus::Registry,
    ) -> Result<Self, prometheus::Error> {
        let Terms { cors, limits, turn } = terms;
        Ok(Self(Arc::new(Inner {
            cors,
            turn,
            directory,
            verifier,
            nodes,
            agents: agents::Agents::default(),
            limits: limits::Buckets::new(&limits),
            streams: streams::Streams::default(),
            wanted: wanted::Wanted::default(),
            metrics: metrics::Metrics::new(registry)?,
            registry: registry.clone(),
        })))
    }

    /// What browsers, WHIP clients and agents call. It has no fallback, so that pages can be merged in; [`not_found`]
    /// is the one to use where there are none. Served with `ConnectInfo<SocketAddr>`, as [`Listener`] does it; without,
    /// all callers share one address's limit.
    pub fn router(&self) -> Router {
        router::public(self)
    }

    /// `/healthz`, `/readyz` and `/metrics`, for an internal listener.
    pub fn internal_router(&self) -> Router {
        internal::router(self)
    }

    /// Follows the event bus from this call on; ends with the directory. [`Signaling::serve`] does it by itself; who
    /// serves the routers otherwise drives it too, once.
    pub fn follow(&self) -> impl Future<Output = ()> + Send + 'static {
        events::follow(self.clone(), self.0.directory.subscribe())
    }

    /// Serves both listeners and follows the event bus, until `shutdown` is ready.
    pub async fn serve(
        &self,
        public: Listener,
        internal: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (stop, _) = tokio::sync::watch::channel(false);
        let stopped = || {
            let mut stop = stop.subscribe();
            async move {
                // An error means that the sender is gone, and so that this service ends.
                let _ = stop.wait_for(|stopped| *stopped).await;
            }
        };
        let stopping = async {
            shutdown.await;
            stop.send_replace(true);
            // They would hold the listener open for as long as it waits for requests under way.
            self.0.streams.end();
            Ok(())
        };
        let follow = async {
            tokio::select! {
                () = self.follow() => {}
                () = stopped() => {}
            }
            Ok(())
        };
        let public = public.serve(self.router().fallback(not_found), stopped());
        let internal = internal.serve(self.internal_router().fallback(not_found), stopped());
        tokio::try_join!(public, internal, follow, stopping).map(drop)
    }
}
