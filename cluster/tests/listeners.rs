//! Who is served by a listener, and who is not.

mod support;

use axum::{Router, extract::ConnectInfo, routing::get};
use cluster::{
    listen::{Config, Error, Listener},
    tls,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use support::Authority;
use tokio::{
    net::TcpStream,
    sync::{Notify, oneshot},
};

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn everywhere() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

fn echo() -> Router {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    Router::new().route("/", get(peer))
}

fn client(identity: Option<&tls::Identity>) -> reqwest::Client {
    let config = tls::client(identity).expect("good files");
    reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().expect("a client")
}

fn spawn(listener: Listener) -> String {
    let url = format!("{}/", listener.url().replace("0.0.0.0", "127.0.0.1"));
    tokio::spawn(listener.serve(echo(), std::future::pending()));
    url
}

#[tokio::test]
async fn plain_http_serves_loopback_and_tells_handlers_the_peer() {
    let url = spawn(Listener::public(&Config::plain(loopback())).expect("loopback may be plain"));
    let body = client(None).get(url).send().await.expect("served").text().await.expect("a body");
    assert_eq!(body, "127.0.0.1");
}

#[test]
fn plain_http_off_loopback_is_refused() {
    for listener in [Listener::public, Listener::internal] {
        let error = listener(&Config::plain(everywhere())).expect_err("others could connect");
        let expected = "0.0.0.0:0: plain HTTP is for loopback only; set tls.cert and tls.key";
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_internal_listener_off_loopback_needs_a_client_ca() {
    let files = tls::Files { client_ca: None, ..Authority::new().mutual() };
    let error = Listener::internal(&Config { addr: everywhere(), tls: Some(files) }).expect_err("strangers could call");
    assert!(matches!(error, Error::NotMutual(_)), "{error}");
}

#[tokio::test]
async fn a_stranger_is_refused_by_an_internal_listener_and_a_service_of_ours_is_served() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let config = Config { addr: everywhere(), tls: Some(ours.mutual()) };
    let url = spawn(Listener::internal(&config).expect("mutual TLS"));

    let served = client(Some(&ours.client(&ours))).get(&url).send().await.expect("one of ours is served");
    assert_eq!(served.status(), 200);
    let forged = client(Some(&theirs.client(&ours))).get(&url).send().await;
    assert!(forged.is_err(), "a certificate of another CA");

    let stranger = anonymous(&ours).get(&url).send().await;
    assert!(stranger.is_err(), "no certificate at all");
}

/// A client that trusts the authority's servers and shows no certificate.
fn anonymous(authority: &Authority) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(authority.ca()).expect("written before");
    let cert = <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(&pem);
    roots.add(cert.expect("a certificate")).expect("a CA");
    let config =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has suites")
            .with_root_certificates(roots)
            .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().expect("a client")
}

#[tokio::test]
async fn a_public_listener_with_a_certificate_asks_for_none() {
    let authority = Authority::new();
    let files = tls::Files { client_ca: None, ..authority.mutual() };
    let url = spawn(Listener::public(&Config { addr: everywhere(), tls: Some(files) }).expect("TLS"));
    assert_eq!(anonymous(&authority).get(url).send().await.expect("served").status(), 200);
}

#[tokio::test]
async fn a_request_under_way_ends_before_the_listener_does() {
    let (started, mut begun) = tokio::sync::mpsc::channel::<()>(1);
    let goes_on = Arc::new(Notify::new());
    let may_end = Arc::clone(&goes_on);
    let slow = move || async move {
        started.send(()).await.expect("the test waits");
        may_end.notified().await;
        "done"
    };
    let listener = Listener::public(&Config::plain(loopback())).expect("loopback may be plain");
    let (url, addr) = (listener.url(), listener.addr());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { stopped.await.expect("the test says when") };
    let server = tokio::spawn(listener.serve(Router::new().route("/", get(slow)), shutdown));
    let call = tokio::spawn(client(None).get(url).send());
    begun.recv().await.expect("the call arrives");
    stop.send(()).expect("the server listens");
    // Nobody else is let in: the shutdown has begun, and the request is still under way.
    let closed = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(4), closed).await.expect("the listener closes");
    goes_on.notify_one();
    assert_eq!(call.await.expect("no panic").expect("answered").text().await.expect("a body"), "done");
    server.await.expect("no panic").expect("ends well");
}

#[test]
fn a_bad_file_is_named() {
    let files = tls::Files { cert: "/nowhere/cert.pem".into(), key: "/nowhere/key.pem".into(), client_ca: None };
    let error = Listener::public(&Config { addr: loopback(), tls: Some(files) }).expect_err("no such file");
    assert!(error.to_string().starts_with("/nowhere/cert.pem: "), "{error}");
}
