//! A look into a ClientHello before the handshake begins: does it offer AEAD_AES_128_GCM (RFC 7714)?
//!
//! The handshake library follows the client's order of SRTP profiles, and browsers put AES-CM first; so what we offer
//! is chosen by what is seen here. A ClientHello may span datagrams (RFC 6347, section 4.2.3).

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const USE_SRTP: u16 = 14;
const AEAD_AES_128_GCM: u16 = 0x0007;
/// Longest ClientHello that is put together, in bytes.
const MAX_HELLO: usize = 8 * 1024;
/// Most datagrams that are kept for the handshake.
const MAX_DATAGRAMS: usize = 8;

/// A ClientHello as far as it has come.
#[derive(Default)]
pub(super) struct ClientHello {
    datagrams: Vec<Vec<u8>>,
    body: Vec<u8>,
    missing: Vec<bool>,
}

/// What is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peek {
    /// More is to come.
    Incomplete,
    /// All is here, or it is so odd that the handshake may judge it.
    Complete {
        /// AEAD_AES_128_GCM is among the client's SRTP profiles.
        offers_gcm: bool,
    },
}

impl ClientHello {
    pub(super) fn push(&mut self, datagram: &[u8]) -> Peek {
        self.datagrams.push(datagram.to_vec());
        let whole = self.take_in(datagram).is_none() || self.datagrams.len() >= MAX_DATAGRAMS;
        if !whole && self.missing.iter().any(|missing| *missing) {
            return Peek::Incomplete;
        }
        Peek::Complete { offers_gcm: offers_gcm(&self.body).unwrap_or(false) }
    }

    pub(super) fn into_datagrams(self) -> Vec<Vec<u8>> {
        self.datagrams
    }

    /// Takes in the fragments of a datagram's records; `None` when something does not fit.
    fn take_in(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let kind = *records.first()?;
            let len = usize::from(u16::from_be_bytes([*records.get(11)?, *records.get(12)?]));
            let fragment = records.get(13..13 + len)?;
            records = &records[13 + len..];
            if kind != HANDSHAKE || *fragment.first()? != CLIENT_HELLO {
                return None;
            }
            let number = |at: usize| {
                Some(u32::from_be_bytes([0, *fragment.get(at)?, *fragment.get(at + 1)?, *fragment.get(at + 2)?])
                    as usize)
            };
            let (total, offset, length) = (number(1)?, number(6)?, number(9)?);
            if total > MAX_HELLO || offset + length > total {
                return None;
            }
            if self.body.len() != total {
                self.body = vec![0; total];
                self.missing = vec![true; total];
            }
            self.body[offset..offset + length].copy_from_slice(fragment.get(12..12 + length)?);
            self.missing[offset..offset + length].fill(false);
        }
        Some(())
    }
}

/// Walks a ClientHello's body (RFC 5246, section 7.4.1.2, with DTLS's cookie) to its extensions.
fn offers_gcm(body: &[u8]) -> Option<bool> {
    let mut rest = body.get(2 + 32..)?;
    for width in [1, 1, 2, 1] {
        let len = rest.get(..width)?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
        rest = rest.get(width + len..)?;
    }
    let mut extensions = rest.get(2..)?;
    while let [k0, k1, l0, l1, data @ ..] = extensions {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = data.get(..len)?;
        if u16::from_be_bytes([*k0, *k1]) == USE_SRTP {
            let profiles = usize::from(u16::from_be_bytes([*value.first()?, *value.get(1)?]));
            let mut pairs = value.get(2..2 + profiles)?.chunks_exact(2);
            return Some(pairs.any(|p| u16::from_be_bytes([p[0], p[1]]) == AEAD_AES_128_GCM));
        }
        extensions = &data[len..];
    }
    Some(false)
}
