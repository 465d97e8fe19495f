//! A configuration that cannot be acted on is refused in words that help, and gives no secret away.

use edge_agent::{
    config::{Config, InvalidConfig},
    source::{Picture, Source},
};

const CAMERA: &str = "
cameras:
  - id: 0190a1b2-0000-7000-8000-000000000001
    name: Gate
    main: rtsp://admin:s3%40cret@10.0.0.5/main
    sub: synthetic:640x360@400/12
";

fn with(head: &str) -> Result<Config, InvalidConfig> {
    Config::from_yaml(&format!("{head}{CAMERA}"))
}

#[test]
fn a_sound_one_is_read() {
    let config = with("signaling: https://signaling.example\ngrant_file: /grant\n").expect("sound");
    let streams = config.cameras[0].streams();
    assert_eq!(streams.len(), 2);
    assert_eq!(streams[1].1, Source::Synthetic(Picture { width: 640, height: 360, kbps: 400, fps: 12 }));
}

#[test]
fn an_unknown_key_is_named() {
    let error = with("signaling: https://signaling.example\ngrant_file: /grant\nsignalling: x\n").expect_err("unknown");
    assert!(error.to_string().contains("signalling"), "{error}");
    assert!(error.to_string().contains("did you mean 'signaling'?"), "{error}");
}

#[test]
fn the_example_of_the_reference_loads() {
    let reference = include_str!("../../docs/configuration.md");
    let example =
        reference.split_once("# edge-agent.yaml\n").expect("an example").1.split_once("```").expect("its end").0;
    assert_eq!(Config::from_yaml(example).expect("sound").cameras.len(), 2);
}

#[test]
fn http_is_for_loopback_only() {
    let error = with("signaling: http://signaling.example\ngrant_file: /grant\n").expect_err("in the clear");
    assert!(matches!(error, InvalidConfig::Insecure(_)), "{error}");
    for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
        with(&format!("signaling: http://{host}\ngrant_file: /grant\n")).expect("loopback");
    }
    let error = with("signaling: ftp://signaling.example\ngrant_file: /grant\n").expect_err("no web server");
    assert!(matches!(error, InvalidConfig::Scheme(_)), "{error}");
}

#[test]
fn there_is_exactly_one_grant() {
    for grants in ["", "grant: abc\ngrant_file: /grant\n"] {
        let error = with(&format!("signaling: https://signaling.example\n{grants}")).expect_err("none, or two");
        assert!(matches!(error, InvalidConfig::Grant), "{error}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let config = with("signaling: https://signaling.example\ngrant: topsecret\n").expect("sound");
    let printed = format!("{config:?}");
    for secret in ["topsecret", "s3", "cret", "admin", "10.0.0.5"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    let bad = "signaling: https://s.example\ngrant: g\ncameras:\n  - {id: 0190a1b2-0000-7000-8000-000000000001, name: A, \
               main: 'rtsp://u:hunter2@bad host/x'}\n";
    let error = Config::from_yaml(bad).expect_err("no URL").to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_synthetic_size_is_checked() {
    for (text, is_valid) in [
        ("synthetic:1280x720", true),
        ("synthetic:640x360@500", true),
        ("synthetic:640x360/10", true),
        ("synthetic:650x360", false),
        ("synthetic:640x361", false),
        ("synthetic:640", false),
        ("synthetic:", false),
        ("http://10.0.0.5/", false),
    ] {
        assert_eq!(text.parse::<Source>().is_ok(), is_valid, "{text}");
    }
}
