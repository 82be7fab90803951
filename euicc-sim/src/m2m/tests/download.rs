//! Download of a profile over SCP03t.

use profile::{EuiccResponse, PeStatusCode};
use rsp::der::Asn1;
use rsp::ids::Aid;
use rsp::ota::script::Chaining;

use super::oce::{Host, Plan, establish, initialize_update, open, personalised, tlvs};
use super::testbed::{BOOTSTRAP, NEW, NO_RULES, Testbed, iccid, isd_p_group, package, unhex};
use crate::state::m2m::LifeCycle;

/// Sends a package in segments of this length, one script each, and returns the final response.
pub(super) fn send(
    testbed: &mut Testbed,
    host: &mut Host,
    number: u16,
    package: &[u8],
    octets: usize,
) -> EuiccResponse {
    let segments: Vec<_> = package.chunks(octets).collect();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        let chaining = if is_last { Chaining::Last } else { Chaining::Following };
        let answer = tlvs(testbed, number, Some(chaining), &[host.segment(segment)]).concat();
        if answer != "8600" {
            return EuiccResponse::from_der(&host.response(&unhex(&answer))).unwrap();
        }
    }
    panic!("the card did not finish the package");
}

fn status(response: &EuiccResponse) -> PeStatusCode {
    assert_eq!(
        response.profile_installation_aborted.is_some(),
        response.pe_status[0].status != PeStatusCode::OK
    );
    response.pe_status.last().unwrap().status
}

#[test]
fn a_downloaded_profile_is_disabled_and_can_be_enabled() {
    let mut testbed = Testbed::new();
    let keys = personalised(&mut testbed, NEW);
    let mut host = open(&mut testbed, keys, NEW);
    let response = send(&mut testbed, &mut host, NEW, &package(NEW, Some(1)), 1000);
    assert_eq!(status(&response), PeStatusCode::OK);
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Disabled));
    assert_eq!(testbed.store(&isd_p_group("3A03", NEW)), "9000");
    testbed.card.reset();
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Enabled));
    assert_eq!(testbed.terminal("00A4000C022FE2"), "9000");
    assert_eq!(testbed.terminal("00B000000A"), format!("{}9000", hex::encode_upper(iccid(NEW).0)));
    // The connectivity parameters and policy rules of the profile header.
    let context = testbed.commit(|context| {
        let isd_p = Aid::isd_p(NEW);
        let parameters = context.state.connectivity(&context.persistent, &isd_p).unwrap();
        (hex::encode_upper(parameters), context.persistent.pol1(&isd_p).disable_not_allowed)
    });
    assert_eq!(context.unwrap(), ("A0090607913386994211F1".to_owned(), true));
}

#[test]
fn segments_can_have_any_length_and_share_a_script() {
    let package_octets = package(NEW, None);
    for octets in [1, 17, 255, 1024] {
        let mut testbed = Testbed::new();
        let keys = personalised(&mut testbed, NEW);
        let mut host = open(&mut testbed, keys, NEW);
        let segments: Vec<_> = package_octets.chunks(octets).map(|segment| host.segment(segment)).collect();
        let scripts: Vec<_> = segments.chunks(100).collect();
        for (at, script) in scripts.iter().enumerate() {
            let is_last = at + 1 == scripts.len();
            let chaining = if is_last { Chaining::Last } else { Chaining::Following };
            let answers = tlvs(&mut testbed, NEW, Some(chaining), script);
            let (last, others) = answers.split_last().unwrap();
            assert!(others.iter().all(|answer| answer == "8600"), "{octets}");
            assert_eq!(is_last, last != "8600");
        }
        assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Disabled), "{octets}");
    }
}

#[test]
fn after_a_failed_installation_the_download_can_be_repeated() {
    let package_octets = package(NEW, None);
    let mut wrong_element = package_octets.clone();
    let at = wrong_element.len() - 4;
    wrong_element[at] ^= 0xFF;
    let another = package(NO_RULES, None);
    let headless = package_octets[rsp::der::tlv::each(&package_octets).unwrap()[0].len()..].to_vec();
    for (package, code) in [
        (&wrong_element, PeStatusCode::INVALID_REQUEST_FORMAT),
        // The card already has a profile with this ICCID.
        (&another, PeStatusCode::BAD_VALUES),
        (&headless, PeStatusCode::INVALID_REQUEST_FORMAT),
    ] {
        let mut testbed = Testbed::new();
        let keys = personalised(&mut testbed, NEW);
        let mut host = open(&mut testbed, keys, NEW);
        let before = testbed.memory();
        assert_eq!(status(&send(&mut testbed, &mut host, NEW, package, 1000)), code);
        assert!(testbed.memory() == before);
        assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Personalised));
        let mut host = open(&mut testbed, keys, NEW);
        let response = send(&mut testbed, &mut host, NEW, &package_octets, 1000);
        assert_eq!(status(&response), PeStatusCode::OK);
    }
}

#[test]
fn of_two_downloads_with_one_iccid_the_first_to_finish_is_installed() {
    let package_octets = package(NEW, None);
    let (beginning, end) = package_octets.split_at(package_octets.len() - 8);
    let mut testbed = Testbed::new();
    let mut hosts = [NEW, NEW + 1].map(|number| {
        let keys = personalised(&mut testbed, number);
        open(&mut testbed, keys, number)
    });
    // Both headers arrive before either profile is installed.
    for (number, host) in [NEW, NEW + 1].into_iter().zip(&mut hosts) {
        for segment in beginning.chunks(1000) {
            let answer = tlvs(&mut testbed, number, Some(Chaining::Following), &[host.segment(segment)]);
            assert_eq!(answer, ["8600"]);
        }
    }
    let [first, second] = &mut hosts;
    assert_eq!(status(&send(&mut testbed, second, NEW + 1, end, 8)), PeStatusCode::OK);
    let before = testbed.memory();
    assert_eq!(status(&send(&mut testbed, first, NEW, end, 8)), PeStatusCode::BAD_VALUES);
    assert!(testbed.memory() == before);
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Personalised));
}

#[test]
fn a_profile_is_limited_by_the_granted_and_by_the_free_memory() {
    let package_octets = package(NEW, None);
    let mut testbed = Testbed::new();
    let keys = personalised(&mut testbed, NEW);
    let mut host = open(&mut testbed, keys, NEW);
    assert_eq!(status(&send(&mut testbed, &mut host, NEW, &package_octets, 1000)), PeStatusCode::OK);
    let needed = testbed.card.persistent.profile(&Aid::isd_p(NEW)).unwrap().memory;
    for (granted, expected) in [(needed - 1, PeStatusCode::NOT_ENOUGH_MEMORY), (needed, PeStatusCode::OK)] {
        let mut testbed = Testbed::new();
        assert_eq!(testbed.create(NEW, Some(granted)), "009000");
        let plan = Plan::for_isd_p(NEW);
        assert!(establish(&mut testbed, &plan).1.ends_with("9000"));
        let mut host = open(&mut testbed, keys, NEW);
        assert_eq!(status(&send(&mut testbed, &mut host, NEW, &package_octets, 1000)), expected);
        assert_eq!(
            testbed.state().isd_p(&Aid::isd_p(NEW)).unwrap().memory_used(&testbed.card.persistent),
            granted
        );
    }
    // Without granted memory, with little free memory.
    let testbed = Testbed::new();
    let used = testbed.memory_used();
    let mut testbed =
        Testbed::with(|description| description.memory_size = used + needed - 1, world::RamMemory::default());
    let keys = personalised(&mut testbed, NEW);
    let mut host = open(&mut testbed, keys, NEW);
    let before = testbed.memory();
    assert_eq!(
        status(&send(&mut testbed, &mut host, NEW, &package_octets, 1000)),
        PeStatusCode::NOT_ENOUGH_MEMORY
    );
    assert!(testbed.memory() == before);
}

#[test]
fn no_segment_is_accepted_after_the_end_of_a_package() {
    let package_octets = package(NEW, None);
    let mut testbed = Testbed::new();
    let keys = personalised(&mut testbed, NEW);
    let mut host = open(&mut testbed, keys, NEW);
    let (before_end, end) = package_octets.split_at(package_octets.len() - 8);
    let mut sent: Vec<_> = before_end.chunks(1000).map(|segment| host.segment(segment)).collect();
    sent.push(host.segment(end));
    sent.push(host.segment(b"more"));
    let answers = tlvs(&mut testbed, NEW, Some(Chaining::Last), &sent);
    assert_eq!(answers.last().unwrap(), "9F460102");
    assert_eq!(testbed.life_cycle(NEW), Some(LifeCycle::Disabled));
    // An ISD-P with a profile accepts neither a second profile nor new keys.
    assert_eq!(tlvs(&mut testbed, NEW, None, &[initialize_update(0x30)]), ["9F440102"]);
    assert_eq!(establish(&mut testbed, &Plan::for_isd_p(NEW)).0, "6985");
}

// req: SGP.02-4.1.3.3-Channel
#[test]
fn channel_errors_have_their_reason_codes() {
    let mut testbed = Testbed::new();
    let keys = personalised(&mut testbed, NEW);
    assert_eq!(testbed.create(NEW + 1, None), "009000");
    for (isd_p, command, answer) in [
        // INITIALIZE UPDATE with a key version that does not exist, and to an ISD-P without keys,
        // to an ISD-P that does not exist, and to an ISD-P with a profile.
        (NEW, initialize_update(0x31), "9F440103"),
        (NEW + 1, initialize_update(0x00), "9F440103"),
        (NEW + 2, initialize_update(0x30), "9F440103"),
        // req: SGP.02-4.1.3.3-Replacement
        (BOOTSTRAP, initialize_update(0x30), "9F440102"),
        // A key identifier, a challenge that is too short or too long, no data.
        (NEW, unhex("840A30010102030405060708"), "9F440101"),
        (NEW, unhex("8409300001020304050607"), "9F440101"),
        (NEW, unhex("840B3000010203040506070809"), "9F440101"),
        (NEW, unhex("8400"), "9F440101"),
        // EXTERNAL AUTHENTICATE is sent without INITIALIZE UPDATE.
        (NEW, unhex("8511330000000000000000 0000000000000000"), "9F450102"),
        (NEW, unhex("86080000000000000000"), "9F460102"),
    ] {
        assert_eq!(tlvs(&mut testbed, isd_p, None, &[command]), [answer], "{isd_p:X}");
    }
    // The ISD-R has no such channel.
    let script = rsp::ota::script::Script {
        form: rsp::ota::script::Form::Definite,
        chaining: None,
        commands: vec![rsp::ota::script::Command::SecureChannel(initialize_update(0x30))],
    };
    assert_eq!(super::testbed::text(&testbed.run(super::testbed::ISD_R, &script)), ["9F440103"]);
    // A security level other than 33 with a correct cryptogram.
    let answer = tlvs(&mut testbed, NEW, Some(Chaining::First), &[initialize_update(0x30)]).concat();
    let mut host = Host::new(keys, NEW, &unhex(&answer[4..]));
    let authenticate = host.authenticate(0x03);
    assert_eq!(tlvs(&mut testbed, NEW, Some(Chaining::Last), &[authenticate]), ["9F450102"]);
    // A segment that is too long, and one with an invalid MAC.
    for (segment, answer) in [(vec![0x5A; 1100], "9F460101"), (Vec::new(), "9F460101")] {
        let mut host = open(&mut testbed, keys, NEW);
        let mut tlv = host.segment(&segment);
        if segment.is_empty() {
            tlv = vec![0x86, 0x07, 0, 0, 0, 0, 0, 0, 0];
        }
        assert_eq!(tlvs(&mut testbed, NEW, Some(Chaining::Last), &[tlv]), [answer]);
    }
    // The message formats cannot be mixed: an APDU channel accepts no segments.
    let initialize = format!("8050300008{}00", hex::encode(super::oce::HOST_CHALLENGE));
    let answer = testbed.apdus(Aid::isd_p(NEW), Some(Chaining::First), &[initialize]).concat();
    let mut host = Host::new(keys, NEW, &unhex(answer.strip_suffix("9000").unwrap()));
    assert_eq!(tlvs(&mut testbed, NEW, Some(Chaining::Last), &[host.authenticate(0x33)]), ["9F450102"]);
}
