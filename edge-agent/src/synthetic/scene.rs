//! The picture of the synthetic camera: a sky whose sun wanders, hills, a name and a clock; the cells on top.
//!
//! Invariant: between two frames only the rectangles of sun, clock and cells are drawn anew; the rest stays as it is,
//! which is what makes it cheap to encode.

use super::{font, timecode};
use openh264::formats::YUVSource;

/// Distance that the sun covers in one frame is a part of the width in this many frames.
const SUN_PERIOD_MILLIS: u64 = 40_000;

/// An I420 picture that is drawn again and again.
pub(super) struct Scene {
    width: usize,
    height: usize,
    planes: [Vec<u8>; 3],
    background: [Vec<u8>; 3],
    sun: Rect,
}

#[derive(Clone, Copy, Debug)]
struct Rect {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// Luma and chroma of a colour (limited range).
type Colour = [u8; 3];

const SKY_TOP: Colour = [150, 148, 112];
const SKY_HORIZON: Colour = [212, 118, 136];
const HILL_FAR: Colour = [138, 118, 116];
const HILL_NEAR: Colour = [98, 112, 116];
const SUN: Colour = [222, 62, 150];
const INK: Colour = [40, 128, 128];
const PAPER: Colour = [228, 126, 130];

impl Scene {
    /// The scene with a name in it. Width and height are even.
    pub(super) fn new(width: usize, height: usize, name: &str) -> Self {
        let planes = [vec![0; width * height], vec![0; width * height / 4], vec![0; width * height / 4]];
        let sun = Rect { x: 0, y: 0, width: 0, height: 0 };
        let mut scene = Self { width, height, background: planes.clone(), planes, sun };
        scene.paint_landscape();
        scene.paint_text(&name.chars().take(16).collect::<String>(), height * 5 / 8, height / 160 + 1);
        scene.background.clone_from(&scene.planes);
        scene
    }

    /// Draws the frame of a time, in milliseconds since the Unix epoch.
    pub(super) fn draw(&mut self, unix_millis: u64) {
        self.restore(self.sun);
        self.paint_sun(unix_millis);
        let day = unix_millis / 100 % 864_000;
        let (hours, minutes, seconds) = (day / 36_000, day / 600 % 60, day / 10 % 60);
        let scale = self.width / 120;
        self.paint_text(&format!("{hours:02}:{minutes:02}:{seconds:02}.{} UTC", day % 10), self.height * 3 / 4, scale);
        self.paint_cells(unix_millis);
    }

    fn paint_landscape(&mut self) {
        let (width, height) = (self.width, self.height);
        for y in 0..height {
            let sky = mix(SKY_TOP, SKY_HORIZON, y as f32 / (height as f32 * 0.7));
            for x in 0..width {
                let across = x as f32 / width as f32;
                let far = 0.62 + 0.05 * (across * 7.0).sin();
                let near = 0.78 + 0.06 * (across * 4.0 + 2.0).sin();
                let down = y as f32 / height as f32;
                let colour = match (down > near, down > far) {
                    (true, _) => HILL_NEAR,
                    (_, true) => HILL_FAR,
                    _ => sky,
                };
                self.set(x, y, colour);
            }
        }
    }

    fn paint_sun(&mut self, unix_millis: u64) {
        let radius = (self.height / 12) & !1;
        let phase = (unix_millis % SUN_PERIOD_MILLIS) as f32 / SUN_PERIOD_MILLIS as f32;
        let across = 0.5 - 0.5 * (phase * std::f32::consts::TAU).cos();
        let left = ((self.width - 2 * radius) as f32 * across) as usize & !1;
        let rise = (4.0 * across * (1.0 - across) * self.height as f32 * 0.18) as usize;
        let top = (self.height / 3).saturating_sub(rise) & !1;
        self.sun = Rect { x: left, y: top, width: 2 * radius, height: 2 * radius };
        for y in 0..2 * radius {
            for x in 0..2 * radius {
                let (dx, dy) = (x.abs_diff(radius), y.abs_diff(radius));
                if dx * dx + dy * dy < radius * radius {
                    self.set(left + x, top + y, SUN);
                }
            }
        }
    }

    /// Text in the middle of the line that starts at `top`, on a plate of its own.
    fn paint_text(&mut self, text: &str, top: usize, scale: usize) {
        let (columns, rows) = font::SIZE;
        let advance = (columns + 1) * scale;
        let width = advance * text.chars().count() + scale;
        let left = (self.width.saturating_sub(width) / 2) & !1;
        let plate = Rect { x: left, y: top & !1, width, height: (rows + 2) * scale };
        self.fill(plate, PAPER);
        for (i, c) in text.chars().enumerate() {
            for (row, dots) in font::glyph(c).into_iter().enumerate() {
                for column in (0..columns).filter(|c| dots >> (columns - 1 - c) & 1 == 1) {
                    let (x, y) = (left + scale + i * advance + column * scale, plate.y + (row + 1) * scale);
                    self.fill(Rect { x, y, width: scale, height: scale }, INK);
                }
            }
        }
    }

    fn paint_cells(&mut self, unix_millis: u64) {
        let size = self.width / timecode::CELLS;
        // The cells hold the time modulo 2^32: truncation is meant.
        #[expect(clippy::cast_possible_truncation)]
        let cells = timecode::cells(unix_millis as u32);
        for (i, is_white) in cells.into_iter().enumerate() {
            let luma = if is_white { timecode::WHITE } else { timecode::BLACK };
            self.fill(Rect { x: i * size, y: 0, width: size, height: size }, [luma, 128, 128]);
        }
    }

    fn fill(&mut self, rect: Rect, colour: Colour) {
        let (right, bottom) = ((rect.x + rect.width).min(self.width), (rect.y + rect.height).min(self.height));
        for y in rect.y..bottom {
            self.planes[0][y * self.width + rect.x..y * self.width + right].fill(colour[0]);
        }
        let stride = self.width / 2;
        for (plane, value) in self.planes.iter_mut().zip(colour).skip(1) {
            for y in rect.y / 2..bottom / 2 {
                plane[y * stride + rect.x / 2..y * stride + right / 2].fill(value);
            }
        }
    }

    fn restore(&mut self, rect: Rect) {
        for (plane, half) in [(0, 1), (1, 2), (2, 2)] {
            let stride = self.width / half;
            for y in rect.y / half..(rect.y + rect.height) / half {
                let range = y * stride + rect.x / half..y * stride + (rect.x + rect.width) / half;
                self.planes[plane][range.clone()].copy_from_slice(&self.background[plane][range]);
            }
        }
    }

    fn set(&mut self, x: usize, y: usize, colour: Colour) {
        self.planes[0][y * self.width + x] = colour[0];
        let chroma = y / 2 * (self.width / 2) + x / 2;
        self.planes[1][chroma] = colour[1];
        self.planes[2][chroma] = colour[2];
    }
}

fn mix(from: Colour, to: Colour, part: f32) -> Colour {
    let part = part.clamp(0.0, 1.0);
    std::array::from_fn(|i| (f32::from(from[i]) * (1.0 - part) + f32::from(to[i]) * part) as u8)
}

impl YUVSource for Scene {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.planes[0]
    }

    fn u(&self) -> &[u8] {
        &self.planes[1]
    }

    fn v(&self) -> &[u8] {
        &self.planes[2]
    }
}
