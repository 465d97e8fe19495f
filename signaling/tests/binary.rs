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
    assert_eq!(check(&good, None), Ok(()));

    let cases = [
        (format!("{good}surprise: 1\n"), "surprise"),
        (good.replace("issuer: 'https://control.test', ", ""), "issuer"),
        (good.replace("listen: {addr: '127.0.0.1:0'}", "listen: {addr: 'nowhere'}"), "listen.addr"),
        (good.replace("listen: {addr: '127.0.0.1:0'}", "listen: {addr: '0.0.0.0:0'}"), "set tls.cert and tls.key"),
        (good.replace("jwks.json", "none.json"), "none.json"),
        (format!("{good}cors: {{origins: ['app.example']}}\n"), "origins"),
    ];
    for (yaml, key) in cases {
        let error = check(&yaml, None).expect_err("it is wrong");
        assert!(error.contains(key), "{key} is not named in: {error}");
    }
    let error = check(&good, Some(("SUNROOM_INTERNAL__ADDR", "0.0.0.0:9"))).expect_err("the environment comes last");
    assert!(error.contains("internal") && error.contains("0.0.0.0:9"), "{error}");
}
