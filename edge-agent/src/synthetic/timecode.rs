//! A clock that programs read: 40 black and white cells in a picture's first row.
//!
//! A cell is a square of `width / 40` pixels. Layout: white, black, 32 bits of payload with the most significant first,
//! 4 check bits, black, white. The payload is the time in milliseconds since the Unix epoch, modulo 2^32; the check is
//! the exclusive or of its eight nibbles and 0xA.

/// Cells in the row.
pub const CELLS: usize = 40;

/// Luma of a white and of a black cell (limited range).
pub const WHITE: u8 = 235;
/// Luma of a black cell.
pub const BLACK: u8 = 16;

/// The cells for a time: true is white.
pub fn cells(millis: u32) -> [bool; CELLS] {
    let check = (0..8).fold(0xA, |c, i| c ^ (millis >> (4 * i) & 15));
    std::array::from_fn(|i| match i {
        0 | 39 => true,
        1 | 38 => false,
        2..=33 => millis >> (33 - i) & 1 == 1,
        _ => check >> (37 - i) & 1 == 1,
    })
}

/// The time that a line of luma through the middle of the row shows, if its check holds.
pub fn read(line: &[u8]) -> Option<u32> {
    let seen: [bool; CELLS] =
        std::array::from_fn(|i| line.get((2 * i + 1) * line.len() / (2 * CELLS)).is_some_and(|l| *l > 125));
    let millis = seen[2..34].iter().fold(0, |n, bit| n << 1 | u32::from(*bit));
    (cells(millis) == seen).then_some(millis)
}
