//! The node's configuration: what is wrong with it is said before anything starts.

use sfu::Config;
use std::process::Command;

fn check(yaml: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sfu.yaml");
    std::fs::write(&path, yaml).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_sfu")).arg("--check-config").arg("--config").arg(path).output();
    let output = output.expect("it runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn a_configuration_is_checked_and_errors_name_their_key() {
    assert_eq!(check("# all defaults\n"), Ok(()));
    for (yaml, said) in [
        ("media: {shard: 2}\n", "did you mean 'media.shards'?"),
        ("media: {port: 70000}\n", "media.port"),
        ("internal: {addr: '0.0.0.0:7400'}\n", "internal"),
        ("media: {port: 65535, shards: 2}\n", "media.port"),
        ("media: {linger_seconds: 18446744073709551615}\n", "media.linger_seconds"),
        ("media: {advertise: ['0.0.0.0']}\n", "media.advertise"),
        ("media: {ring_bytes: 0}\n", "media.ring_bytes"),
        ("media: {estimation: gcc}\n", "media.estimation"),
    ] {
        let error = check(yaml).expect_err(yaml);
        assert!(error.contains(said), "{said} is not in: {error}");
    }
}

#[test]
fn the_example_of_the_reference_loads() {
    let reference = include_str!("../../docs/configuration.md");
    let example = reference.split_once("# sfu.yaml\n").expect("an example").1.split_once("```").expect("its end").0;
    let config: Config = settings::from_yaml(example).expect("sound");
    assert_eq!((config.media.port, config.media.shards), (40_000, 4));
    assert_eq!(config.media.estimation, sfu::Estimation::Twcc);
}
