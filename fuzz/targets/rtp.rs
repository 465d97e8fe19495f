//! RTP headers with their extensions: everything found lies within the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sfu_core::rtp::{FIXED_HEADER, Fields, Header, HeaderTemplate, ViewerExtensions, is_rtcp};

fuzz_target!(|packet: &[u8]| {
    for encrypted in [false, true] {
        let Some(header) = Header::read(packet, encrypted) else { continue };
        assert!(header.payload.start >= FIXED_HEADER && header.payload.start <= header.payload.end);
        assert!(header.payload.end <= packet.len());
        if encrypted {
            assert_eq!(header.payload.end, packet.len(), "padding is inside the ciphertext");
        }
        let block = &packet[FIXED_HEADER..header.payload.start];
        for id in 0..=u8::MAX {
            let Some(value) = header.extension(packet, id) else { continue };
            assert!(value.is_empty() || block.as_ptr_range().contains(&value.as_ptr()), "outside of the header");
            assert!(value.as_ptr_range().end <= block.as_ptr_range().end, "beyond the header");
        }
        assert_eq!(is_rtcp(packet), (64..=95).contains(&header.payload_type) && header.marker);
        write(&header);
    }
});

/// What we write of the same fields is read back the same.
fn write(header: &Header) {
    let id = header.payload_type % 14 + 1;
    let numbered = id % 14 + 1;
    let extensions =
        ViewerExtensions { abs_send_time: Some(id), playout_delay: None, transport_number: Some(numbered) };
    let template = HeaderTemplate::new(header.ssrc, extensions);
    let mut packet = vec![0; template.size() + 1];
    let (payload_type, marker) = (header.payload_type, header.marker);
    let Header { sequence, time, .. } = *header;
    let fields = Fields { payload_type, marker, sequence, time, send_time: time >> 8, number: !sequence };
    template.write(&mut packet, fields);
    let read = Header::read(&packet, false).expect("our own header");
    assert_eq!((read.marker, read.payload_type, read.sequence), (marker, payload_type, header.sequence));
    assert_eq!((read.time, read.ssrc), (header.time, header.ssrc));
    assert_eq!(read.extension(&packet, id), Some(&fields.send_time.to_be_bytes()[1..]));
    assert_eq!(read.extension(&packet, numbered), Some(&fields.number.to_be_bytes()[..]));
}
