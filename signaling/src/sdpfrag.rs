//! Bodies of `application/trickle-ice-sdpfrag` (RFC 8840, section 9.2), read for their ICE credentials. Invariant: what
//! was read kept to the grammar, within the bounds below, and names one ICE session.
//!
//! Candidates are not read: a node is ICE-lite (RFC 8445, section 2.5) and learns addresses from connectivity checks.

/// Media type.
pub const MEDIA_TYPE: &str = "application/trickle-ice-sdpfrag";
/// Largest fragment, in bytes.
pub const MAX_FRAGMENT: usize = 16 * 1024;
/// Most lines of a fragment.
const MAX_LINES: usize = 256;
/// Shortest and longest username fragment (RFC 8839, section 5.4).
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
/// Shortest and longest password (RFC 8839, section 5.4).
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

/// What a fragment says of its sender's ICE session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Username fragment.
    pub ufrag: &'a str,
    /// Password.
    pub password: &'a str,
}

/// Why a text is no fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Above [`MAX_FRAGMENT`], or too many lines.
    #[error("it is longer than {MAX_FRAGMENT} bytes or {MAX_LINES} lines")]
    TooLong,
    /// Not text.
    #[error("it is not UTF-8")]
    NotText,
    /// A line that may not stand in a fragment.
    #[error("line {0} is neither an attribute nor a media line")]
    Line(usize),
    /// Credentials of other characters or lengths than the standard's.
    #[error("the value of a={0} is not of ICE characters, or is too short or too long")]
    Credential(&'static str),
    /// A credential is not there.
    #[error("there is no a={0}")]
    Missing(&'static str),
    /// Two ICE sessions: all media share one transport here.
    #[error("a={0} comes twice with different values")]
    Contradiction(&'static str),
}

impl<'a> Fragment<'a> {
    /// Reads a fragment. Lines end with CRLF or LF.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        if body.len() > MAX_FRAGMENT {
            return Err(Malformed::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| Malformed::NotText)?;
        let (mut ufrag, mut password) = (None, None);
        for (index, line) in text.lines().enumerate() {
            if index == MAX_LINES {
                return Err(Malformed::TooLong);
            }
            match line.split_at_checked(2) {
                Some(("a=", attribute)) if is_attribute(attribute) => {
                    if let Some(value) = attribute.strip_prefix("ice-ufrag:") {
                        note(&mut ufrag, "ice-ufrag", value, UFRAG)?;
                    } else if let Some(value) = attribute.strip_prefix("ice-pwd:") {
                        note(&mut password, "ice-pwd", value, PASSWORD)?;
                    }
                }
                Some(("m=", media)) if is_media(media) => {}
                _ => return Err(Malformed::Line(index + 1)),
            }
        }
        let ufrag = ufrag.ok_or(Malformed::Missing("ice-ufrag"))?;
        Ok(Self { ufrag, password: password.ok_or(Malformed::Missing("ice-pwd"))? })
    }
}

/// The username fragment of a whole session description, if it has a good one. Bundled media share it.
pub(crate) fn username_fragment(sdp: &str) -> Option<&str> {
    let value = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"))?;
    is_credential(value, &UFRAG).then_some(value)
}

fn note<'a>(
    held: &mut Option<&'a str>,
    name: &'static str,
    value: &'a str,
    length: std::ops::RangeInclusive<usize>,
) -> Result<(), Malformed> {
    if !is_credential(value, &length) {
        return Err(Malformed::Credential(name));
    }
    match held.replace(value) {
        Some(before) if before != value => Err(Malformed::Contradiction(name)),
        _ => Ok(()),
    }
}

/// `1*ice-char` of a length (RFC 8839, section 5.1).
fn is_credential(value: &str, length: &std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// `attribute-name [":" value]` (RFC 8866, section 9): the name is a token.
fn is_attribute(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_graphic() && !br#""(),/:;<=>?@[\]"#.contains(&b))
        && !text.contains(|c: char| c.is_control())
}

/// `media SP port SP proto 1*(SP fmt)` (RFC 8866, section 5.14).
fn is_media(text: &str) -> bool {
    let mut words = text.split(' ');
    let kind = words.next().is_some_and(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric()));
    let port = words.next().is_some_and(|w| w.parse::<u16>().is_ok());
    let rest = words.clone().count();
    kind && port && rest >= 2 && words.all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_graphic()))
}
