//! SDP fragments: what is read, and what is not one.

use signaling::sdpfrag::{Fragment, MAX_FRAGMENT, Malformed};

const PWD: &str = "a=ice-pwd:0123456789012345678901\n";

#[test]
fn credentials_are_read_wherever_the_grammar_has_them() {
    let ufrag = "a=ice-ufrag:Ab/+\r\n";
    let password = "a=ice-pwd:0123456789012345678901\r\n";
    let media = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\n";
    let candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n";
    let expected = Fragment { ufrag: "Ab/+", password: "0123456789012345678901" };
    for text in [
        format!("{ufrag}{password}{media}{candidate}"),
        format!("a=ice-options:trickle ice2\r\n{media}{ufrag}{password}{candidate}"),
        format!("{ufrag}{password}{media}{ufrag}{password}{candidate}{media}{ufrag}{password}"),
        format!("{password}{ufrag}").replace('\r', ""),
        format!("a=ice-lite\r\na=x-new:\u{e9}\r\n{ufrag}{}", password.trim_end()),
    ] {
        assert_eq!(Fragment::parse(text.as_bytes()), Ok(expected), "{text}");
    }
}

#[test]
fn what_breaks_the_grammar_is_refused_with_its_line() {
    let cases: [(&str, Malformed); 16] = [
        ("", Malformed::Missing("ice-ufrag")),
        ("a=ice-ufrag:abcd\n", Malformed::Missing("ice-pwd")),
        ("a=ice-ufrag:abc\n", Malformed::Credential("ice-ufrag")),
        ("a=ice-ufrag:abcd \n", Malformed::Credential("ice-ufrag")),
        ("a=ice-ufrag:ab\"d\n", Malformed::Credential("ice-ufrag")),
        ("a=ice-pwd:short\n", Malformed::Credential("ice-pwd")),
        ("a=ice-ufrag:abcd\na=ice-ufrag:abce\n", Malformed::Contradiction("ice-ufrag")),
        ("a=mid:0\nv=0\n", Malformed::Line(2)),
        ("\n", Malformed::Line(1)),
        ("a=\n", Malformed::Line(1)),
        ("a=:x\n", Malformed::Line(1)),
        ("a=x:\u{0}\n", Malformed::Line(1)),
        ("\u{e9}=x\n", Malformed::Line(1)),
        ("m=audio\n", Malformed::Line(1)),
        ("m=audio 99999 RTP/AVP 0\n", Malformed::Line(1)),
        ("m=audio 9 RTP/AVP \n", Malformed::Line(1)),
    ];
    for (text, expected) in cases {
        assert_eq!(Fragment::parse(text.as_bytes()), Err(expected), "{text:?}");
    }
    assert_eq!(Fragment::parse(&[b'a', b'=', 0xff]), Err(Malformed::NotText));
}

#[test]
fn no_more_is_read_than_the_bounds_allow() {
    let good = format!("a=ice-ufrag:{}\n{PWD}", "u".repeat(256));
    assert!(Fragment::parse(good.as_bytes()).is_ok());
    let long = format!("a=ice-ufrag:{}\n{PWD}", "u".repeat(257));
    assert_eq!(Fragment::parse(long.as_bytes()), Err(Malformed::Credential("ice-ufrag")));
    let lines = format!("{good}{}", "a=x\n".repeat(255));
    assert_eq!(Fragment::parse(lines.as_bytes()), Err(Malformed::TooLong));
    assert_eq!(Fragment::parse(&vec![b'a'; MAX_FRAGMENT + 1]), Err(Malformed::TooLong));
}
