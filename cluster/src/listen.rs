//! How every service of ours is reached: a listener that is bound first, then serves a router. Invariant: plain HTTP
//! never leaves loopback, and an internal listener off loopback serves nobody without a client certificate.

use crate::tls;
use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use serde::{Deserialize, Serialize};
use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

/// How long requests under way may take after a shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// How long a client may take over a request's header lines.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// IP address and port; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Certificate files; only a loopback address may do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::Files>,
}

impl Config {
    /// Plain HTTP on this address, which must be a loopback one.
    pub fn plain(addr: SocketAddr) -> Self {
        Self { addr, tls: None }
    }
}

/// Why a listener cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No certificate, and other machines could connect.
    #[error("{0}: plain HTTP is for loopback only; set tls.cert and tls.key")]
    Plain(SocketAddr),
    /// An internal listener that other machines could connect to does not check who they are.
    #[error("{0}: an internal listener off loopback needs mutual TLS; set tls.client_ca")]
    NotMutual(SocketAddr),
    /// The certificate files cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The address cannot be listened on.
    #[error("{addr}: cannot listen: {source}")]
    Bind {
        /// Which address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A bound socket that serves HTTP and WebSockets.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    addr: SocketAddr,
    tls: Option<Arc<tls::ServerConfig>>,
}

impl Listener {
    /// Binds a listener that strangers may reach: TLS, or plain HTTP on loopback.
    pub fn public(config: &Config) -> Result<Self, Error> {
        Self::check_public(config).and_then(|tls| Self::bind(config, tls))
    }

    /// Binds a listener that only our own services may reach: mutual TLS, or loopback.
    pub fn internal(config: &Config) -> Result<Self, Error> {
        Self::check_internal(config).and_then(|tls| Self::bind(config, tls))
    }

    /// What [`Listener::public`] checks before it binds, certificate files included.
    pub fn check_public(config: &Config) -> Result<Option<tls::ServerConfig>, Error> {
        if config.tls.is_none() && !config.addr.ip().is_loopback() {
            return Err(Error::Plain(config.addr));
        }
        Ok(config.tls.as_ref().map(tls::server).transpose()?)
    }

    /// What [`Listener::internal`] checks before it binds, certificate files included.
    pub fn check_internal(config: &Config) -> Result<Option<tls::ServerConfig>, Error> {
        let mutual = config.tls.as_ref().is_none_or(|t| t.client_ca.is_some());
        if !mutual && !config.addr.ip().is_loopback() {
            return Err(Error::NotMutual(config.addr));
        }
        Self::check_public(config)
    }

    fn bind(config: &Config, tls: Option<tls::ServerConfig>) -> Result<Self, Error> {
        let bind_error = |source| Error::Bind { addr: config.addr, source };
        let socket = TcpListener::bind(config.addr).map_err(bind_error)?;
        let addr = socket.local_addr().map_err(bind_error)?;
        Ok(Self { socket, addr, tls: tls.map(Arc::new) })
    }

    /// The address it is bound to, with the port it got.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL of this listener, by its address.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Serves `router` until `shutdown` is ready, then lets requests under way end, for 5 s at most. Handlers may
    /// extract `ConnectInfo<SocketAddr>`.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let handle = Handle::new();
        let stopping = async {
            shutdown.await;
            handle.graceful_shutdown(Some(GRACE));
            pending::<Infallible>().await
        };
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        macro_rules! serve {
            ($server:expr) => {{
                let mut server = $server.handle(handle.clone()).first_request_timeout(HEADER_TIME);
                server.http_builder().http1().header_read_timeout(HEADER_TIME);
                tokio::select! {
                    ended = server.serve(service) => ended,
                    never = stopping => match never {},
                }
            }};
        }
        match self.tls {
            None => serve!(axum_server::from_tcp(self.socket)?),
            Some(tls) => serve!(axum_server::from_tcp_rustls(self.socket, RustlsConfig::from_config(tls))?),
        }
    }
}
