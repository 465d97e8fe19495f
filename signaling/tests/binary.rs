//! The binary's configuration: what is checked, and how it complains.

mod support;

use protocol::grant::Jwks;
use std::{path::Path, process::Command};
use support::signer;

fn check(folder: &Path, yaml: &str, variable: Option<(&str, &str)>) -> Result<(), String> {
    let file = folder.join("signaling.yaml");
    std::fs::write(&file, yaml).expect("the folder is writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_signaling"));
    command.arg("--check-config").arg("--config").arg(file).env_clear().envs(variable);
    let output = command.output().expect("it starts");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn a_configuration_is_checked_and_errors_name_their_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let jwks = folder.path().join("jwks.json");
    let keys = Jwks { keys: vec![signer().jwk()] };
    std::fs::write(&jwks, serde_json::to_string(&keys).expect("plain data")).expect("writable");
    let good = format!(
        "listen: {{addr: '127.0.0.1:0'}}\ninternal: {{addr: '127.0.0.1:0'}}\n\
         grants: {{issuer: 'https://control.test', jwks_file: '{}'}}\n",
        jwks.display()
    );
    let check = |yaml: &str, variable| check(folder.path(), yaml, variable);
    let loadtest = |file: &str| {
        good.replace("jwks_file:", &format!("loadtest_jwks_file: '{}', jwks_file:", folder.path().join(file).display()))
    };
    assert_eq!(check(&good, None), Ok(()));
    assert_eq!(check(&loadtest("jwks.json"), None), Ok(()));

    let cases = [
        (format!("{good}surprise: 1\n"), "known are listen, internal, grants, cors, limits, turn, node_identity"),
        (good.replace("listen:", "lissten:"), "did you mean 'listen'?"),
        (format!("{good}limits: {{subject: {{burst: 0, per_second: 1}}}}\n"), "limits.subject.burst"),
        (format!("{good}limits: {{subject: {{burst: 1}}}}\n"), "limits.subject.per_second"),
        (format!("{good}limits: {{trusted_proxies: ['10.0.0.0/8', proxy]}}\n"), "limits.trusted_proxies"),
        (good.replace("issuer: 'https://control.test', ", ""), "issuer"),
        (good.replace("listen: {addr: '127.0.0.1:0'}", "listen: {addr: 'nowhere'}"), "listen.addr"),
        (good.replace("listen: {addr: '127.0.0.1:0'}", "listen: {addr: '0.0.0.0:0'}"), "set tls.cert and tls.key"),
        (good.replace("jwks.json", "none.json"), "grants.jwks_file: "),
        (good.replace("jwks.json", "none.json"), "none.json"),
        (loadtest("none.json"), "grants.loadtest_jwks_file: "),
        (loadtest("signaling.yaml"), "not a JWKS"),
        (format!("{good}turn: {{urls: ['stun:a'], secret_file: jwks.json}}\n"), "turn.urls"),
        (format!("{good}turn: {{urls: ['turn:a'], secret_file: none}}\n"), "turn.secret_file: none"),
        (format!("{good}turn: {{urls: [], secret_file: none}}\n"), "turn.urls: it names no server"),
        (format!("{good}cors: {{origins: ['app.example']}}\n"), "origins"),
    ];
    for (yaml, key) in cases {
        let error = check(&yaml, None).expect_err("it is wrong");
        assert!(error.contains(key), "{key} is not named in: {error}");
    }
    let error = check(&good, Some(("SUNROOM_INTERNAL__ADDR", "0.0.0.0:9"))).expect_err("the environment comes last");
    assert!(error.contains("internal") && error.contains("0.0.0.0:9"), "{error}");
    let error = check(&good, Some(("SUNROOM_LISTEN__ADRR", "127.0.0.1:9"))).expect_err("a mistyped variable");
    assert!(error.contains("SUNROOM_LISTEN__ADRR") && error.contains("did you mean 'listen.addr'?"), "{error}");
    let error = check(&good, Some(("SUNROOM_LISTEN__ADDR", "here"))).expect_err("no address");
    assert!(error.contains("SUNROOM_LISTEN__ADDR"), "{error}");
}

#[test]
fn the_example_of_the_reference_loads() {
    let reference = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
    let reference = reference.expect("the reference stands beside the crates");
    let start = "```yaml\n# signaling.yaml\n";
    let example = reference.split_once(start).expect("an example").1.split_once("```").expect("its end").0;
    let config: signaling::Config = settings::from_yaml(example).expect("it is sound");
    assert_eq!(config.limits, signaling::Limits::default(), "the defaults are told as they are");
    assert_eq!(config.listen.addr.port(), 8443);
}
