//! Parameter sets and slice headers of H.264 and H.265: sizes and rates are believable or not told at all.
#![no_main]

use edge_agent::survey::{Codec, Survey};
use edge_agent::{h264, h265};
use fuzz::steps;
use libfuzzer_sys::fuzz_target;

const MAX_SIDE: u32 = 16_384;

fuzz_target!(|data: &[u8]| {
    nal(data);
    for codec in [Codec::H264, Codec::H265] {
        let mut survey = Survey::new(codec);
        let mut pictures = 0;
        for step in steps(data) {
            nal(step.bytes);
            let ticks = (step.kind & 1 == 0).then(|| (u64::from(step.whom) * 3_600) << (step.kind >> 1 & 31));
            survey.picture([step.bytes], ticks);
            pictures += 1;
        }
        assert_eq!(survey.pictures(), pictures);
        assert!(survey.keyframes() <= pictures && survey.longest_gop().pictures <= pictures);
        assert!(survey.longest_gop().seconds.is_none_or(|s| s >= 0.0));
        assert!(survey.frames_per_second().is_none_or(|f| f > 0.0 && f.is_finite()));
        let findings = survey.findings();
        assert!(findings.iter().all(|kind| !kind.text("camera").is_empty()));
    }
});

fn nal(bytes: &[u8]) {
    let _ = h264::is_b_slice(bytes);
    if let Some(sps) = h264::sps(bytes) {
        assert_eq!(h264::nal_kind(bytes), h264::NalKind::Sps);
        assert!(sps.frames_per_second.is_none_or(|f| (0.1..1000.0).contains(&f)));
    }
    assert!(!h265::is_keyframe(bytes) || h265::is_slice(bytes));
    if let Some(sps) = h265::sps(bytes) {
        assert!(!h265::is_slice(bytes));
        assert!([sps.width, sps.height].iter().all(|side| (1..=MAX_SIDE).contains(side)), "{sps:?}");
    }
}
