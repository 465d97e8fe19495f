//! TURN servers: whom they are told to, and with what.

mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use protocol::{SessionId, grant::Audience};
use reqwest::StatusCode;
use ring::hmac;
use serde_json::{Value, json};
use signaling::{Terms, Turn, TurnUrl};
use support::{OFFER, Stage, camera, now};

const SECRET: &str = "a secret of the TURN servers";
const BY_UDP: &str = "turn:turn.example:3478";
const BY_TCP: &str = "turns:[2001:db8::1]:443?transport=tcp";

async fn stage() -> Stage {
    let folder = tempfile::tempdir().expect("a folder");
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, format!("{SECRET}\n")).expect("writable");
    let urls = [BY_UDP, BY_TCP].map(|url| url.parse().expect("an address")).into();
    let turn = Turn { urls, secret_file, lifetime_seconds: 600 };
    Stage::start(Terms { turn: Some(turn.servers().expect("readable")), ..Terms::default() }, false).await
}

/// What a TURN server checks: the time has not come, and the password is the name's.
fn check(username: &str, credential: &str) {
    let (end, session) = username.split_once(':').expect("two parts");
    let left = end.parse::<u64>().expect("a time") - now();
    assert!((590..=600).contains(&left), "{left} s");
    assert_eq!(session, SessionId::from_random([5; 16]).to_string());
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let password = STANDARD.decode(credential).expect("base64");
    hmac::verify(&key, username.as_bytes(), &password).expect("the name's password");
}

#[tokio::test]
async fn a_session_is_told_of_them_as_a_browser_takes_them() {
    let stage = stage().await;
    let body = json!({"offer": OFFER, "slots": [{"camera": camera(1)}]});
    let request = stage.http.post(format!("{}/v1/sessions", stage.url)).bearer_auth(stage.view()).json(&body);
    let made: Value = request.send().await.expect("answered").json().await.expect("JSON");
    let [server] = made["iceServers"].as_array().expect("a list").as_slice() else { panic!("one: {made}") };
    assert_eq!(server["urls"], json!([BY_UDP, BY_TCP]));
    check(server["username"].as_str().expect("a text"), server["credential"].as_str().expect("a text"));
}

#[tokio::test]
async fn whip_and_whep_name_them_in_links() {
    let stage = stage().await;
    let publisher = stage.grant(Audience::Publish, |_| {});
    for (path, grant) in [("whep", stage.view()), ("whip", publisher)] {
        let response = stage.offer(&format!("/{path}/{}", camera(1)), &grant).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        let links: Vec<&str> = response.headers().get_all("link").iter().map(|v| v.to_str().expect("text")).collect();
        assert_eq!(links.len(), 2);
        for (link, url) in links.into_iter().zip([BY_UDP, BY_TCP]) {
            let parts: Vec<&str> = link.split("; ").collect();
            assert_eq!(parts[..2], [format!("<{url}>").as_str(), "rel=\"ice-server\""]);
            let value = |name: &str| {
                let quoted = parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
                quoted.and_then(|q| q.strip_prefix('"')?.strip_suffix('"')).expect("a quoted text")
            };
            check(value("username"), value("credential"));
            assert_eq!(value("credential-type"), "password");
        }
    }
}

#[tokio::test]
async fn without_any_nothing_is_said_of_them() {
    let stage = Stage::new().await;
    let response = stage.offer(&format!("/whep/{}", camera(1)), &stage.view()).await;
    assert!(response.headers().get("link").is_none());
    let request = stage.http.post(format!("{}/v1/sessions", stage.url)).bearer_auth(stage.view());
    let made: Value =
        request.json(&json!({"offer": OFFER})).send().await.expect("answered").json().await.expect("JSON");
    assert!(made.get("answer").is_some() && made.get("iceServers").is_none());
}

#[test]
fn an_address_that_is_none_is_refused() {
    for sound in [BY_UDP, BY_TCP, "turn:192.0.2.1", "turns:turn-1.example?transport=udp"] {
        assert_eq!(String::from(sound.parse::<TurnUrl>().expect(sound)), sound);
    }
    for wrong in [
        "",
        "turn:",
        "stun:a",
        "https://a",
        "turn:a b",
        "turn:a>",
        "turn:user@a",
        "turn:a?transport=tls",
        "turn:a\"b",
        "turn:a:99999",
        "turn:[[",
        "turn:a/b",
    ] {
        let error = wrong.parse::<TurnUrl>().expect_err(wrong);
        assert!(error.contains("is no TURN server; write turn:HOST:PORT"), "{error}");
    }
}
