//! What the synthetic camera encodes can be decoded, read, and joined where it should be.

use edge_agent::{
    h264::{AccessUnit, NalKind, nal_kind},
    source::Picture,
    synthetic::{Camera, timecode},
};
use openh264::{decoder::Decoder, formats::YUVSource};

const START: u64 = 1_790_000_000 * 25;

fn annex_b(unit: &AccessUnit) -> Vec<u8> {
    unit.nals.iter().flat_map(|n| [0, 0, 0, 1].into_iter().chain(n.iter().copied())).collect()
}

#[test]
fn every_frame_shows_its_time_and_keyframes_come_when_due() {
    for (width, height, kbps) in [(1280, 720, 1500), (640, 360, 400), (160, 90, 100)] {
        let mut camera = Camera::new(Picture { width, height, kbps, fps: 25 }, "Gate").expect("an encoder");
        let mut decoder = Decoder::new().expect("a decoder");
        let mut bytes = 0;
        for k in START..START + 130 {
            let unit = camera.frame(k, k == START + 20).expect("encoded").expect("a frame");
            assert_eq!(unit.is_keyframe, k % 100 == 0 || k == START + 20, "frame {k}");
            let kinds: Vec<_> = unit.nals.iter().map(|n| nal_kind(n)).collect();
            let expected: &[_] =
                if unit.is_keyframe { &[NalKind::Sps, NalKind::Pps, NalKind::Idr] } else { &[NalKind::Slice] };
            assert_eq!(kinds, expected, "one slice a frame");
            assert_eq!(unit.captured_micros, k * 40_000);
            bytes += unit.len();
            let picture = decoder.decode(&annex_b(&unit)).expect("decodes").expect("a picture");
            let line = width as usize / timecode::CELLS / 2 * picture.strides().0;
            let seen = timecode::read(&picture.y()[line..line + width as usize]);
            assert_eq!(seen, Some((k * 40) as u32), "frame {k} of {width}x{height}");
        }
        let actual = bytes as f64 * 8.0 / (130.0 * 0.04) / 1000.0;
        assert!(actual < f64::from(kbps) * 1.6, "{actual:.0} kbps of {kbps}");
    }
}

#[test]
fn cells_are_laid_out_as_the_kit_reads_them() {
    let cells = timecode::cells(0x8000_0001);
    assert_eq!(&cells[..3], [true, false, true]);
    assert!(cells[33]);
    // 0x8 ^ 0x1 ^ 0xA = 0x3
    assert_eq!(&cells[34..], [false, false, true, true, false, true]);
    let line: Vec<u8> = cells.iter().flat_map(|c| [if *c { 235 } else { 16 }; 8]).collect();
    assert_eq!(timecode::read(&line), Some(0x8000_0001));
    assert_eq!(timecode::read(&vec![128; 320]), None);
}
