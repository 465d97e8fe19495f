//! What somebody reads who has mistyped something.

use serde::Deserialize;
use std::net::SocketAddr;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    listen: Listen,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    cameras: Vec<Camera>,
    #[serde(default)]
    secret: Option<Pin>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    addr: SocketAddr,
    #[serde(default)]
    backlog: Option<u16>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Tcp,
    Udp,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Camera {
    name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(transparent)]
struct Pin(u32);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct AllOptional {
    size: u32,
}

const GOOD: &str = "listen: {addr: '127.0.0.1:80'}\n";

fn complaint(text: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.yaml");
    std::fs::write(&path, text).expect("writable");
    let error = settings::load::<Config>(&path).expect_err("it is wrong");
    error.to_string().replace(&path.display().to_string(), "x.yaml")
}

#[test]
fn a_mistyped_key_is_told_what_was_meant() {
    let said = complaint(&format!("{GOOD}lissten: 1\n"));
    assert_eq!(said, "unknown key 'lissten' in x.yaml: did you mean 'listen'?");
    let said = complaint("listen: {adr: '127.0.0.1:80'}\n");
    assert_eq!(said, "unknown key 'listen.adr' in x.yaml: did you mean 'listen.addr'?");
    let said = complaint(&format!("{GOOD}cameras: [{{name: a}}, {{name: b, nmae: c}}]\n"));
    assert_eq!(said, "unknown key 'cameras.1.nmae' in x.yaml: did you mean 'cameras.1.name'?");
}

#[test]
fn a_key_like_no_other_is_told_what_there_is() {
    let said = complaint(&format!("{GOOD}zoom: 1\n"));
    assert_eq!(said, "unknown key 'zoom' in x.yaml: known are listen, mode, cameras, secret");
}

#[test]
fn wrong_and_missing_values_are_named_by_their_path() {
    let cases = [
        ("mode: tcp\n", "'listen' is missing in x.yaml"),
        ("listen: {}\n", "'listen.addr' is missing in x.yaml"),
        ("listen: {addr: nowhere}\n", "listen.addr in x.yaml: invalid socket address syntax"),
        (
            "listen: {addr: '127.0.0.1:80', backlog: 70000}\n",
            "listen.backlog in x.yaml: found unsigned int `70000`, expected u16",
        ),
        ("listen: {addr: '127.0.0.1:80'}\nmode: tpc\n", "mode in x.yaml: unknown value 'tpc': did you mean 'tcp'?"),
        ("listen: {addr: '127.0.0.1:80'}\nmode: x\n", "mode in x.yaml: unknown value 'x': known are tcp, udp"),
    ];
    for (text, expected) in cases {
        assert_eq!(complaint(text), expected, "{text}");
    }
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    let said = complaint(&format!("{GOOD}secret: hunter2\n"));
    assert_eq!(said, "secret in x.yaml: found a text, expected u32");
}

#[test]
fn a_file_that_is_no_yaml_or_is_not_there_is_named() {
    let said = complaint("listen: [\n");
    assert!(said.starts_with("x.yaml: ") && said.contains("line"), "{said}");
    assert!(complaint("- 1\n").starts_with("x.yaml: "), "a list is no configuration");
    let error = settings::load::<Config>("/nowhere/x.yaml".as_ref()).expect_err("it is not there");
    assert!(error.to_string().starts_with("cannot read /nowhere/x.yaml: "), "{error}");
    let long = complaint(&format!("#{}\n{GOOD}", "x".repeat(1024 * 1024)));
    assert_eq!(long, "x.yaml is larger than 1048576 bytes");
}

#[test]
fn a_file_of_comments_sets_nothing() {
    for text in ["", "\n# all defaults\n", "{}"] {
        assert_eq!(settings::from_yaml::<AllOptional>(text).expect("all is optional"), AllOptional::default());
    }
}
