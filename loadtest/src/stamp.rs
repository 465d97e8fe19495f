//! The harness's clock in the media: stands at the end of each frame's last RTP payload, where servers leave it alone and
//! decoders pass over it.

/// Length of a stamp, in bytes.
pub const SIZE: usize = 24;
const MAGIC: [u8; 4] = *b"SRlt";

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the camera in its run.
    pub camera: u32,
    /// Number of the frame, from the publisher's beginning.
    pub frame: u32,
    /// Place of its encoding by size, `l` being 0.
    pub rank: u8,
    /// A decoder may begin with it.
    pub is_key: bool,
    /// When its last packet was sent, in Unix microseconds.
    pub sent: u64,
}

impl Stamp {
    /// As it stands in the payload.
    pub fn write(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.camera.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.frame.to_be_bytes());
        bytes[12] = self.rank;
        bytes[13] = u8::from(self.is_key);
        bytes[16..].copy_from_slice(&self.sent.to_be_bytes());
        bytes
    }

    /// Reads the stamp at the end of a payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; SIZE] = payload.last_chunk()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        (bytes[..4] == MAGIC).then(|| Self {
            camera: word(4),
            frame: word(8),
            rank: bytes[12],
            is_key: bytes[13] != 0,
            sent: u64::from(word(16)) << 32 | u64::from(word(20)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_nothing_else_is_one() {
        let stamp = Stamp { camera: 7, frame: 123_456, rank: 2, is_key: true, sent: 1_790_000_000_123_456 };
        let mut payload = vec![0xab; 100];
        payload.extend(stamp.write());
        assert_eq!(Stamp::read(&payload), Some(stamp));
        payload.push(0);
        assert_eq!(Stamp::read(&payload), None);
        assert_eq!(Stamp::read(&[]), None);
    }
}
