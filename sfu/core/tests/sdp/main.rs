//! Offers of browsers and of others: which are answered, and what the answers say.

mod numbering;
mod odd;
mod setup;

use setup::*;
use sfu_core::dtls::Fingerprint;
use sfu_core::ice::Credentials;
use sfu_core::sdp::{AudioTypes, MAX_MEDIA, MAX_SLOTS, PayloadTypes, SdpError, restart_fragment};
use sfu_core::{Rid, ShardId, Ssrc, TransportAddress};
use std::collections::BTreeSet;

#[test]
fn chromiums_offer_to_view_is_answered() {
    let (media, answer) = view(CHROMIUM).expect("answered");
    assert_eq!(
        media.slots[0].payload_types,
        PayloadTypes { media: 108, rtx: Some(109) },
        "constrained baseline is preferred"
    );
    assert_eq!((media.slots[0].extensions.abs_send_time, media.slots[0].extensions.playout_delay), (Some(2), Some(5)));
    assert_eq!(media.fingerprint.to_string(), FINGERPRINT);
    assert_eq!((media.slots[0].ssrc, media.slots[0].rtx_ssrc), (Ssrc(1025), Ssrc(0x8000_0401)));
    for line in [
        "o=- 42 1 IN IP4 0.0.0.0",
        "a=group:BUNDLE 0",
        "a=ice-lite",
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
        "a=setup:passive",
        "a=mid:0",
        "a=rtcp-mux",
        "a=sendonly",
        "a=rtcp-xr:rcvr-rtt=all",
        "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        "a=rtpmap:108 H264/90000",
        "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=rtcp-fb:108 nack",
        "a=rtcp-fb:108 nack pli",
        "a=rtpmap:109 rtx/90000",
        "a=fmtp:109 apt=108",
        "a=ssrc-group:FID 1025 2147484673",
        "a=end-of-candidates",
    ] {
        assert!(has(&answer, line), "{line} is not in\n{answer}");
    }
    assert_eq!(lines(&answer, "a=extmap:").len(), 2, "nothing else is agreed");
    assert!(!answer.contains("transport-cc"));
    parsed(&answer);
}

#[test]
fn an_answer_names_our_side() {
    let (_, answer) = view(CHROMIUM).expect("answered");
    let ice = Credentials::new(ShardId(0), &[5; 24]);
    assert_eq!(lines(&answer, "a=ice-ufrag:"), [ice.ufrag]);
    assert_eq!(lines(&answer, "a=ice-pwd:"), [ice.password]);
    assert_eq!(lines(&answer, "a=fingerprint:sha-256 "), [Fingerprint([0xab; 32]).to_string()]);
    let candidates: Vec<Vec<String>> =
        lines(&answer, "a=candidate:").iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect();
    let addresses: Vec<String> = candidates.iter().map(|c| format!("{} {} {}", c[2], c[4], c[5])).collect();
    assert_eq!(addresses, ["udp 192.0.2.1 4000", "udp 2001:db8::1 4000", "udp 192.0.2.3 4001", "tcp 192.0.2.1 443"]);
    assert_eq!(candidates[3][6..], ["typ", "host", "tcptype", "passive"], "RFC 6544, section 4.5");
    let priorities: Vec<u32> = candidates.iter().map(|c| c[3].parse().expect("a number")).collect();
    assert!(priorities.is_sorted_by(|a, b| a > b), "{priorities:?}");
}

#[test]
fn a_simulcast_publisher_is_answered_with_its_encodings() {
    let (media, answer) = publish(&simulcast()).expect("answered");
    let rids: Vec<&str> = media.encodings.iter().map(Rid::as_str).collect();
    assert_eq!(rids, ["h", "m", "l"]);
    assert!(media.is_simulcast);
    assert_eq!((media.mids.0.as_str(), media.payload_types), ("0", PayloadTypes { media: 102, rtx: Some(103) }));
    assert_eq!((media.mid_extension, media.rid_extension, media.repaired_rid_extension), (Some(4), Some(10), Some(11)));
    for line in ["a=recvonly", "a=rid:h recv", "a=rid:m recv", "a=rid:l recv", "a=simulcast:recv h;m;l"] {
        assert!(has(&answer, line), "{line} is not in\n{answer}");
    }
    parsed(&answer);
}

#[test]
fn a_publisher_without_simulcast_has_one_encoding() {
    let (media, answer) = publish(&(session() + &video("0", "sendrecv"))).expect("answered");
    assert_eq!((media.encodings, media.is_simulcast), (vec![Rid::SINGLE], false));
    assert!(!answer.contains("simulcast") && !answer.contains("a=rid"));
}

#[test]
fn simulcast_lines_are_read_as_rfc_8853_says() {
    for (line, expected) in [
        ("send h;l", Some(&["h", "l"][..])),
        ("send h,x;l,y", Some(&["h", "l"])),
        ("send ~h;l", Some(&["h", "l"])),
        ("recv a send h", Some(&["h"])),
        ("recv a;b", Some(&["h"])), // it sends one, which we call h
        ("send a;b;c;d", None),
        ("send ;", None),
        ("send a-b", None),
        ("send aaaaaaaaaaaaaaaaa", None),
    ] {
        let offer = simulcast().replace("send h;m;l", line);
        let rids = publish(&offer).ok().map(|(media, _)| media.encodings);
        let rids = rids.as_ref().map(|rids| rids.iter().map(Rid::as_str).collect::<Vec<_>>());
        assert_eq!(rids.as_deref(), expected, "{line}");
    }
    let unnamed = simulcast().replace("sdes:rtp-stream-id", "something-else");
    assert!(matches!(publish(&unnamed), Err(SdpError::Unsupported(_))), "packets could not name their encoding");
}

#[test]
fn all_m_lines_come_back_in_order_and_whep_takes_one_picture_and_its_sound() {
    let offer = session() + &audio("0") + &data("d") + &video("v", "recvonly") + &video("w", "recvonly");
    let (_, answer) = view(&offer).expect("answered");
    assert_eq!(
        lines(&answer, "m="),
        [
            "audio 9 UDP/TLS/RTP/SAVPF 111 0",
            "application 0 UDP/DTLS/SCTP webrtc-datachannel",
            "video 9 UDP/TLS/RTP/SAVPF 102 103",
            "video 0 UDP/TLS/RTP/SAVPF 96",
        ]
    );
    assert_eq!(lines(&answer, "a=mid:"), ["0", "d", "v", "w"]);
    assert_eq!(lines(&answer, "a=group:"), ["BUNDLE 0 v"], "what is rejected is not bundled");
    assert_eq!(lines(&answer, "a=ice-ufrag:").len(), 2, "one transport, said in each m-line");
    assert_eq!(lines(&answer, "a=candidate:").len(), 4, "its candidates stand in the first");
    assert_eq!(lines(&answer, "a=msid:"), ["sunroom audio", "sunroom video"], "they play in step");
    parsed(&answer);
}

#[test]
fn every_picture_of_a_session_gets_a_slot_of_its_own() {
    let offer = session() + &video("a", "recvonly") + &audio("b") + &video("c", "recvonly") + &video("d", "sendonly");
    let (media, answer) = view_slots(&offer).expect("answered");
    assert_eq!(media.slots.len(), 2);
    let sound = media.audio.expect("sound");
    assert_eq!(sound.types, AudioTypes { opus: Some(111), pcma: None, pcmu: Some(0) });
    let ssrcs = media.slots.iter().flat_map(|slot| [slot.ssrc, slot.rtx_ssrc]).chain([sound.ssrc]);
    assert_eq!(ssrcs.collect::<BTreeSet<_>>().len(), 5, "no two streams have one SSRC");
    assert_eq!(lines(&answer, "a=group:"), ["BUNDLE a b c"]);
    assert_eq!(lines(&answer, "a=msid:"), ["sunroom-0 video", "sunroom-sound audio", "sunroom-1 video"]);
    assert_eq!(lines(&answer, "m=")[1], "audio 9 UDP/TLS/RTP/SAVPF 111 0", "G.711 needs no rtpmap");
    assert!(has(&answer, "a=rtpmap:111 opus/48000/2") && has(&answer, "a=rtpmap:0 PCMU/8000"));
    parsed(&answer);
}

#[test]
fn more_pictures_than_slots_are_refused() {
    let offer = |count| session() + &video("0", "recvonly").repeat(count);
    assert_eq!(view_slots(&offer(MAX_SLOTS)).expect("answered").0.slots.len(), MAX_SLOTS);
    assert!(matches!(view_slots(&offer(MAX_SLOTS + 1)), Err(SdpError::Unsupported(_))));
}

#[test]
fn sound_without_a_codec_that_we_carry_is_rejected_and_harms_nothing() {
    let aac = audio("1").replace("111 0", "97").replace("111 opus/48000/2", "97 mpeg4-generic/16000");
    let (media, answer) = view(&(session() + &video("0", "recvonly") + &aac)).expect("answered");
    assert_eq!(media.audio, None);
    assert_eq!(lines(&answer, "m=")[1], "audio 0 UDP/TLS/RTP/SAVPF 97");
    let (media, _) = publish(&(session() + &video("0", "sendonly") + &audio("1").replace("recvonly", "sendonly")))
        .expect("answered");
    assert_eq!(media.audio.map(|types| types.opus), Some(Some(111)));
}

#[test]
fn an_ice_restart_is_answered_with_a_fragment_for_the_bundle() {
    let ice = Credentials::new(ShardId(0), &[6; 24]);
    let fragment = restart_fragment(&ice, &[TransportAddress::udp("192.0.2.1:4000".parse().expect("an address"))], "a");
    for line in [&format!("a=ice-ufrag:{}", ice.ufrag), &format!("a=ice-pwd:{}", ice.password), "a=mid:a", "a=ice-lite"]
    {
        assert!(has(&fragment, line), "{line} is not in\n{fragment}");
    }
    assert!(fragment.find("a=mid:a") < fragment.find("a=candidate:1 1 udp"), "candidates belong to the m-line");
}

#[test]
fn the_m_line_that_can_do_it_is_taken() {
    let both = session() + &video("0", "sendonly") + &video("1", "recvonly");
    assert_eq!(lines(&view(&both).expect("answered").1, "a=group:"), ["BUNDLE 1"]);
    assert_eq!(lines(&publish(&both).expect("answered").1, "a=group:"), ["BUNDLE 0"]);
    let rejected = session() + &video("0", "recvonly").replace("m=video 9", "m=video 0") + &video("1", "recvonly");
    assert_eq!(lines(&view(&rejected).expect("answered").1, "a=group:"), ["BUNDLE 1"]);
}

#[test]
fn the_h264_that_is_preferred_is_taken() {
    // (profile-level-id of 102, of 104, taken)
    for (first, second, taken) in [
        ("42001f", "42e01f", 104),
        ("42e01f", "42001f", 102),
        ("4d001f", "42001f", 104),
        ("640c1f", "4d001f", 104),
        ("42E01F", "42e01f", 102),
        ("640c1f", "640c1f", 102),
    ] {
        let offer = session() + &video("0", "recvonly").replace("42e01f", first);
        let offer = offer + "a=rtpmap:104 h264/90000\r\n" + "a=fmtp:104 packetization-mode=1; profile-level-id=";
        let (media, _) = view(&(offer + second + "\r\n")).expect("answered");
        assert_eq!(media.slots[0].payload_types.media, taken, "{first} {second}");
        assert_eq!(media.slots[0].payload_types.rtx, (taken == 102).then_some(103));
    }
}

#[test]
fn offers_that_cannot_be_answered_are_refused_with_the_reason() {
    let sound = || session() + &video("0", "recvonly");
    let without = |line: &str| sound().replace(&format!("{line}\r\n"), "");
    let fingerprint = format!("a=fingerprint:sha-256 {FINGERPRINT}");
    assert!(view(&sound()).is_ok());
    let unsupported = |e: &SdpError| matches!(e, SdpError::Unsupported(_));
    let malformed = |e: &SdpError| matches!(e, SdpError::Malformed(_));
    let no_codec = |e: &SdpError| *e == SdpError::NoCodec;
    type Kind<'a> = &'a dyn Fn(&SdpError) -> bool;
    let table: [(&str, String, Kind<'_>); 16] = [
        ("nothing", String::new(), &malformed),
        ("no SDP", "hello".into(), &malformed),
        ("no m-line", session(), &malformed),
        ("too many m-lines", session() + &video("0", "recvonly").repeat(MAX_MEDIA + 1), &unsupported),
        ("no H.264", sound().replace("H264/", "VP9/"), &no_codec),
        ("only packetization-mode=0", sound().replace("mode=1", "mode=0"), &no_codec),
        ("no packetization-mode, which means 0", sound().replace("packetization-mode=1;", ""), &no_codec),
        ("no rtcp-mux", without("a=rtcp-mux"), &unsupported),
        ("no mid", without("a=mid:0"), &malformed),
        ("no fingerprint", without(&fingerprint), &malformed),
        ("SHA-1", sound().replace(&fingerprint, "a=fingerprint:sha-1 AA:BB"), &unsupported),
        ("a fingerprint that is cut", sound().replace(FINGERPRINT, &FINGERPRINT[..92]), &malformed),
        ("a fingerprint without value", sound().replace(&fingerprint, "a=fingerprint:sha-256"), &malformed),
        ("setup:passive", sound().replace("actpass", "passive"), &unsupported),
        ("only audio", session() + &audio("0"), &unsupported),
        ("sends to one who sends", sound().replace("recvonly", "sendonly"), &unsupported),
    ];
    for (name, offer, is_expected) in table {
        let error = view(&offer).expect_err(name);
        assert!(is_expected(&error), "{name}: {error:?}");
    }
    for direction in ["recvonly", "inactive"] {
        let error = publish(&(session() + &video("0", direction))).expect_err(direction);
        assert!(unsupported(&error), "{direction}: {error:?}");
    }
}

#[test]
fn as_many_m_lines_as_are_allowed_are_answered() {
    let offer = session() + &video("0", "recvonly") + &audio("1").repeat(MAX_MEDIA - 1);
    let (_, answer) = view(&offer).expect("answered");
    assert_eq!(parsed(&answer).media_descriptions.len(), MAX_MEDIA);
}

#[test]
fn certificate_and_setup_may_stand_in_the_session() {
    let fingerprint = format!("a=fingerprint:sha-256 {FINGERPRINT}\r\n");
    let media = video("0", "recvonly").replace(&fingerprint, "").replace("a=setup:actpass\r\n", "");
    let offer = |setup: &str| session() + &fingerprint + "a=setup:" + setup + "\r\n" + &media;
    assert_eq!(view(&offer("active")).expect("answered").0.fingerprint.to_string(), FINGERPRINT);
    assert!(matches!(view(&offer("passive")), Err(SdpError::Unsupported(_))));
}

#[test]
fn lower_case_fingerprints_are_read() {
    let offer = session() + &video("0", "recvonly").replace(FINGERPRINT, &FINGERPRINT.to_lowercase());
    assert_eq!(view(&offer).expect("answered").0.fingerprint.to_string(), FINGERPRINT);
}

#[test]
fn extended_reports_are_agreed_only_where_offered() {
    let plain = session() + &video("0", "recvonly");
    assert!(!view(&plain).expect("answered").1.contains("rtcp-xr"));
    let (_, answer) = view(&(plain + "a=rtcp-xr:rcvr-rtt=all\r\n")).expect("answered");
    assert!(has(&answer, "a=rtcp-xr:rcvr-rtt=all"));
}

#[test]
fn header_extensions_are_agreed_by_ids_of_the_one_byte_form() {
    let uri = sfu_core::rtp::ABS_SEND_TIME;
    for (line, id) in [
        (format!("1 {uri}"), Some(1)),
        (format!("14 {uri}"), Some(14)),
        (format!("3/sendrecv {uri}"), Some(3)),
        (format!("15 {uri}"), None),
        (format!("16 {uri}"), None),
        (format!("255 {uri}"), None),
        (format!("256 {uri}"), None),
        (format!("0 {uri}"), None),
        (format!("-1 {uri}"), None),
        (format!("x {uri}"), None),
        ("1".to_owned(), None),
        (format!("1 {uri}x"), None),
    ] {
        let offer = format!("{}{}a=extmap:{line}\r\n", session(), video("0", "recvonly"));
        let (media, answer) = view(&offer).expect("answered");
        assert_eq!(media.slots[0].extensions.abs_send_time, id, "{line}");
        assert_eq!(lines(&answer, "a=extmap:").len(), usize::from(id.is_some()), "{line}");
    }
}

#[test]
fn a_viewer_without_rtx_gets_none() {
    let offer = session() + &video("0", "recvonly").replace("apt=102", "apt=96");
    let (media, answer) = view(&offer).expect("answered");
    assert_eq!(media.slots[0].payload_types.rtx, None);
    assert!(has(&answer, "m=video 9 UDP/TLS/RTP/SAVPF 102"));
    assert!(!answer.contains("rtx") && !answer.contains("ssrc-group") && !answer.contains("2147484673"));
}
