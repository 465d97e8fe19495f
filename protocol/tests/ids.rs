//! Cameras of load tests have ids of their own, which no real camera can have.

use protocol::CameraId;
use std::collections::BTreeSet;

#[test]
fn a_load_tests_camera_is_known_by_its_id_and_shows_its_run_and_number() {
    let table = [
        (0, 0, "10ad7e57-0000-8000-8000-000000000000"),
        (0x0102_0304, 0x0506_0708, "10ad7e57-0102-8000-8000-030405060708"),
        (u32::MAX, u32::MAX, "10ad7e57-ffff-8000-8000-ffffffffffff"),
    ];
    for (run, number, text) in table {
        let id = CameraId::loadtest(run, number);
        assert_eq!(id.to_string(), text);
        assert!(id.is_loadtest());
        assert_eq!((id.0.get_version_num(), id.0.get_variant()), (8, uuid::Variant::RFC4122), "RFC 9562, section 5.8");
    }
    let many = (0..100).flat_map(|run| (0..100).map(move |number| CameraId::loadtest(run, number)));
    assert_eq!(many.collect::<BTreeSet<_>>().len(), 100 * 100);
}

#[test]
fn no_other_camera_is_a_load_tests() {
    let table = [
        "01935f00-0000-7000-8000-000000000001",
        "10ad7e57-0000-7000-8000-000000000001",
        "10ad7e57-0000-4000-8000-000000000001",
        "10ad7e57-0000-8000-c000-000000000001",
        "10ad7e57-0000-8000-0000-000000000001",
        "10ad7e56-0000-8000-8000-000000000001",
        "00000000-0000-0000-0000-000000000000",
    ];
    for text in table {
        assert!(!text.parse::<CameraId>().expect("a uuid").is_loadtest(), "{text}");
    }
}
