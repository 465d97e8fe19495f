//! What virtual cameras send.

use loadtest::profile::{Encoding, Film, PAYLOAD, Profile};
use loadtest::stamp;
use std::path::Path;
use std::time::Duration;

fn film(profile: &str) -> Film {
    profile.parse::<Profile>().expect("a profile").film().expect("a film")
}

fn rate(encoding: &Encoding) -> f64 {
    let bytes: usize = encoding.frames.iter().flat_map(|frame| &frame.payloads).map(bytes::Bytes::len).sum();
    let seconds = encoding.frames.len() as f64 * encoding.frame_time.as_secs_f64();
    // What is added when it is sent.
    let stamps = encoding.frames.len() * stamp::SIZE;
    8.0 * (bytes + stamps) as f64 / seconds
}

#[test]
fn a_made_film_has_its_bitrate() {
    let mut rates: Vec<(String, Vec<f64>)> =
        vec![("camera-360p".into(), vec![5e5]), ("camera-720p".into(), vec![2e6, 5e5])];
    // Around here, deltas become longer than a packet.
    rates.extend((320..350).map(|k| (format!("{k}k"), vec![f64::from(k) * 1e3])));
    rates.extend([30, 99, 300, 661, 1100, 4000, 100_000].map(|k| (format!("{k}k"), vec![f64::from(k) * 1e3])));
    for (name, wanted) in rates {
        let found: Vec<f64> = film(&name).encodings.iter().map(rate).collect();
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (found, wanted) in found.into_iter().zip(wanted) {
            assert!((found / wanted - 1.0).abs() < 0.02, "{name}: {found}");
        }
    }
}

#[test]
fn a_made_frame_is_a_train_of_sound_h264() {
    for name in ["30k", "340k", "1.1M", "camera-720p"] {
        for encoding in film(name).encodings {
            let keys: Vec<bool> = encoding.frames.iter().map(|frame| frame.is_key).collect();
            assert!(keys[0] && keys[1..].iter().all(|is_key| !is_key), "{name}: one keyframe, the first");
            for frame in &encoding.frames {
                let (last, full) = frame.payloads.split_last().expect("something is sent");
                assert!(full.iter().all(|payload| payload.len() == PAYLOAD), "{name}: equal but for the last");
                assert!(last.len() + stamp::SIZE <= PAYLOAD, "{name}: room for the stamp");
                let kind = if frame.is_key { 5 } else { 1 };
                let sent: Vec<(u8, u8)> = frame.payloads.iter().map(|p| (p[0] & 0x1f, p[1])).collect();
                if let [(only, _)] = sent[..] {
                    assert_eq!(only, kind, "{name}: a slice in one piece");
                    continue;
                }
                for (n, (unit, flags)) in sent.iter().enumerate() {
                    let edges = u8::from(n == 0) << 7 | u8::from(n + 1 == sent.len()) << 6;
                    assert_eq!((*unit, *flags), (28, edges | kind), "{name}: FU-A");
                }
            }
        }
    }
}

#[test]
fn profiles_are_written_as_they_are_read() {
    let cases = [
        ("camera-360p", "camera-360p"),
        ("camera-720p", "camera-720p"),
        ("1.1M", "1100k"),
        ("1.001M", "1001k"),
        ("500k", "500k"),
        ("123456", "123456"),
        ("films/gate.h264", "films/gate.h264"),
    ];
    for (text, written) in cases {
        let profile: Profile = text.parse().expect(text);
        assert_eq!(profile.to_string(), written);
        assert_eq!(written.parse::<Profile>().as_ref(), Ok(&profile));
        let json = serde_json::to_string(&profile).expect("plain data");
        assert_eq!(serde_json::from_str::<Profile>(&json).expect("as it was written"), profile);
    }
    for text in ["", "camera", "29k", "101M", "NaNk", "infM", "-1M", "1G", "film.mp4"] {
        assert!(text.parse::<Profile>().is_err(), "{text}");
    }
}

/// Writes a byte stream and reads its film.
fn read(stream: &[u8]) -> Result<Film, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.h264");
    std::fs::write(&path, stream).expect("writable");
    film_of(&path)
}

fn film_of(path: &Path) -> Result<Film, String> {
    let profile: Profile = path.to_str().expect("plain").parse().expect("a profile");
    profile.film().map_err(|e| e.to_string())
}

#[test]
fn a_film_is_cut_into_pictures() {
    let slice = |head: u8, first: u8, size: usize| [vec![0, 0, 1, head, first], vec![0x55; size]].concat();
    let stream = [
        slice(0x41, 0x9a, 10),                   // a picture before the first keyframe, which is left out
        vec![0, 0, 0, 1, 0x09, 0xf0],            // access unit delimiter
        vec![0, 0, 0, 1, 0x67, 66, 0, 31, 1, 2], // parameter sets
        vec![0, 0, 0, 1, 0x68, 0xce, 3],
        slice(0x65, 0x88, 3000), // a keyframe in two slices
        slice(0x65, 0x44, 20),
        vec![0, 0, 0, 1, 0x09, 0xf0],
        slice(0x41, 0x9a, 100),
        slice(0x01, 0x9a, 50),
    ]
    .concat();
    let film = read(&stream).expect("a film");
    let [encoding] = &film.encodings[..] else { panic!("one encoding") };
    assert_eq!((encoding.rid, encoding.frame_time), ("h", Duration::from_millis(40)));
    let keys: Vec<bool> = encoding.frames.iter().map(|frame| frame.is_key).collect();
    assert_eq!(keys, [true, false, false]);
    let units: Vec<Vec<u8>> =
        encoding.frames.iter().map(|frame| frame.payloads.iter().map(|p| p[0] & 0x1f).collect()).collect();
    // The parameter sets together, three fragments and a whole slice.
    assert_eq!(units, [vec![24, 28, 28, 28, 5], vec![1], vec![1]]);
    let sizes = encoding.frames.iter().flat_map(|frame| &frame.payloads).map(bytes::Bytes::len);
    assert!(sizes.max() <= Some(PAYLOAD));
}

#[test]
fn a_film_of_no_use_is_refused() {
    let cases: [(&[u8], &str); 3] =
        [(&[], "no keyframe"), (&[0, 0, 1, 0x41, 0x9a, 1, 2], "no keyframe"), (b"not a film", "no keyframe")];
    for (stream, reason) in cases {
        let said = read(stream).expect_err("it is no film");
        assert!(said.contains(reason), "{said}");
    }
    let said = film_of(Path::new("/nowhere/x.h264")).expect_err("it is not there");
    assert!(said.starts_with("cannot read /nowhere/x.h264: "), "{said}");
}
