//! Refusals of LoadBoundProfilePackage: the reason is reported and nothing is installed, SGP.22
//! sections 2.5.6 and 5.7.6. `results` has one case per reason, `hostile` has modified packages,
//! and this module the remaining cases.

use crypto::Curve;
use profile::element::{
    AlgoConfiguration, AlgorithmId, Application, Fcp, FileManagement, GenericFileManagement, PeHeader,
    Service,
};
use profile::generic::Subscription;
use profile::{EuiccResponse, Fid, Octets, Package, PeStatusCode, ProfileElement, generic};
use rsp::der::{Asn1, BitString};
use rsp::finding::{Finding, FindingKind};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId, ErrorReason, FinalResult, InitialiseSecureChannelRequest,
    StoreMetadataRequest, store_data_segments,
};
use rsp::sgp22::es10b::{CancelSessionRequest, CancelSessionResponse, PrepareDownloadResponse};
use rsp::sgp22::es10c::EnableResult;
use rsp::sgp22::{CancelSessionReason, EuiccInfo2, IconType, ProfileClass, ppr, uicc_capability};
use world::RamMemory;

use super::download::ICCID;
use super::mutual_authentication::challenge;
use super::server::{Server, TestPackage, load, outcome, send};
use super::testbed::{Testbed, pki};
use crate::CardDescription;

/// Loads a modified package. Asserts that a refusal has no effect and that the correct package can
/// be installed afterwards.
fn load_modified(
    change_request: impl FnOnce(&mut InitialiseSecureChannelRequest),
    change_test_package: impl FnOnce(&mut TestPackage),
    change_package: impl FnOnce(&mut BoundProfilePackage),
) -> Result<(), (BppCommandId, ErrorReason)> {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let mut test_package = TestPackage::small(ICCID);
    change_test_package(&mut test_package);
    let PrepareDownloadResponse::DownloadResponseOk(ok) = server.prepare(&mut testbed) else { panic!() };
    let mut package = server.bind_to(&testbed, &ok, &test_package, change_request);
    change_package(&mut package);
    let before = free_memory(&mut testbed);
    let result = load(&mut testbed, &package.to_der()).expect("an installation result");
    let outcome = outcome(&result);
    if outcome.is_err() {
        assert!(testbed.profiles().is_empty());
        assert_eq!(free_memory(&mut testbed), before);
        testbed.reset();
        assert!(testbed.profiles().is_empty());
        // The correct package can be installed.
        assert_eq!(
            super::server::outcome(&server.download(&mut testbed, &TestPackage::small(ICCID))),
            Ok(())
        );
    }
    outcome
}

fn free_memory(testbed: &mut Testbed) -> Vec<u8> {
    let info = testbed.es10(&[0xBF, 0x22, 0]).unwrap();
    EuiccInfo2::from_der(&info).unwrap().ext_card_resource
}

#[test]
fn an_unsupported_initialise_secure_channel_is_refused() {
    use BppCommandId as Id;
    use ErrorReason as Why;
    type Change = fn(&mut InitialiseSecureChannelRequest);
    let signed: [(Why, Change); 3] = [
        (Why::UNSUPPORTED_CRT_VALUES, |request| request.control_ref_template.key_type = [0x80]),
        (Why::UNSUPPORTED_CRT_VALUES, |request| request.control_ref_template.host_id = vec![1; 17]),
        (Why::INCORRECT_INPUT_VALUES, |request| request.smdp_otpk = vec![4; 65]),
    ];
    for (why, change) in signed {
        assert_eq!(load_modified(change, |_| {}, |_| {}), Err((Id::INITIALISE_SECURE_CHANNEL, why)));
    }
}

// req: SGP.22-2.6.4-AlteredSegment
#[test]
fn altered_segments_are_refused() {
    use BppCommandId as Id;
    fn alter_last_octet(segment: &mut [u8]) {
        *segment.last_mut().unwrap() ^= 1;
    }
    type Change = fn(&mut BoundProfilePackage);
    let cases: [(Id, ErrorReason, Change); 3] = [
        (Id::CONFIGURE_ISDP, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            alter_last_octet(&mut package.first_sequence_of87.0[0])
        }),
        (Id::STORE_METADATA, ErrorReason::SCP03T_SECURITY_ERROR, |package| {
            alter_last_octet(&mut package.sequence_of88.0[0])
        }),
        (Id::CONFIGURE_ISDP, ErrorReason::INCORRECT_INPUT_VALUES, |package| {
            package.first_sequence_of87.0.clear()
        }),
    ];
    for (command, why, change) in cases {
        assert_eq!(load_modified(|_| {}, |_| {}, change), Err((command, why)));
    }
}

// req: SGP.22-5.7.6-Metadata
#[test]
fn invalid_metadata_are_refused() {
    use ErrorReason as Why;
    type Change = fn(&mut StoreMetadataRequest);
    let cases: [(Why, Change); 5] = [
        (Why::INCORRECT_INPUT_VALUES, |metadata| metadata.service_provider_name = "x".repeat(33)),
        (Why::INCORRECT_INPUT_VALUES, |metadata| metadata.icon = Some(vec![0x89, 0x50, 0x4E, 0x47])),
        (Why::INCORRECT_INPUT_VALUES, |metadata| {
            metadata.icon_type = Some(IconType::JPG);
            metadata.icon = Some([&[0xFF, 0xD8][..], &[0; 1023]].concat());
        }),
        (Why::INCORRECT_INPUT_VALUES, |metadata| {
            let receivers = metadata.notification_configuration_info.as_mut().unwrap();
            receivers[0].notification_address = "not an address".to_owned();
        }),
        // Without a profile owner the RAT cannot be evaluated.
        (Why::PPR_NOT_ALLOWED, |metadata| metadata.profile_policy_rules = Some(BitString::of(&[ppr::PPR1]))),
    ];
    for (why, change) in cases {
        let outcome = load_modified(|_| {}, |test_package| change(&mut test_package.metadata), |_| {});
        assert_eq!(outcome, Err((BppCommandId::STORE_METADATA, why)));
    }
}

#[test]
fn an_icon_of_another_type_is_a_finding_and_refused_by_a_strict_card() {
    let jpeg = [0xFF, 0xD8, 0xFF, 0xE0];
    let incorrect = (BppCommandId::STORE_METADATA, ErrorReason::INCORRECT_INPUT_VALUES);
    for (icon_type, strict, has_finding, expected) in [
        (IconType::JPG, true, false, Ok(())),
        (IconType::PNG, false, true, Ok(())),
        (IconType::PNG, true, true, Err(incorrect)),
    ] {
        let mut testbed = Testbed::with(pki(), |card| card.strict = strict, RamMemory::default());
        let mut test_package = TestPackage::small(ICCID);
        test_package.metadata.icon_type = Some(icon_type);
        test_package.metadata.icon = Some(jpeg.to_vec());
        let result = Server::new(&testbed, Curve::P256).download(&mut testbed, &test_package);
        assert_eq!(outcome(&result), expected, "{icon_type}, strict: {strict}");
        let unreadable = |found: &Finding| found.kind == FindingKind::IconUnreadable;
        assert_eq!(testbed.card.findings().iter().any(unreadable), has_finding, "{icon_type}");
    }
}

#[test]
fn malformed_packages_are_refused() {
    let elements = BppCommandId::LOAD_PROFILE_ELEMENTS;
    let processing = ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR;
    type Change = fn(&mut TestPackage);
    let cases: [Change; 2] = [
        |test_package| test_package.package.extend([0xAA, 0x05, 0xA0, 0x03, 0x81, 0x01, 0x02]),
        |test_package| test_package.package = test_package.package[..test_package.package.len() - 9].to_vec(),
    ];
    for (number, change) in cases.into_iter().enumerate() {
        assert_eq!(load_modified(|_| {}, change, |_| {}), Err((elements, processing)), "case {number}");
    }
}

#[test]
fn a_package_with_an_unsupported_mandatory_service_is_refused() {
    let lacks = |description: &mut CardDescription| description.capabilities.uicc_capability.clear();
    let mut testbed = Testbed::with(pki(), lacks, RamMemory::default());
    let server = Server::new(&testbed, Curve::P256);
    let mut package = Package::decode(&TestPackage::small(ICCID).package).unwrap();
    let Some(ProfileElement::Header(header)) = package.elements.first_mut() else { panic!() };
    header.mandatory_services.services.push(Service::USIM);
    let result = server.download(&mut testbed, &TestPackage::of(package.encode()));
    let why = ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR;
    assert_eq!(outcome(&result), Err((BppCommandId::LOAD_PROFILE_ELEMENTS, why)));
    let FinalResult::ErrorResult(error) = &result.profile_installation_result_data.final_result else {
        panic!()
    };
    let response = EuiccResponse::from_der(error.sima_response.as_ref().unwrap()).unwrap();
    assert_eq!(response.pe_status[0].status, PeStatusCode::FEATURE_NOT_SUPPORTED);
}

/// A package that requires Java Card, with an application if `with_application`.
fn package_for_javacard(with_application: bool) -> TestPackage {
    let mut package = super::files::generated();
    let Some(ProfileElement::Header(header)) = package.elements.first_mut() else { panic!() };
    header.mandatory_services.services.push(Service::JAVACARD);
    if with_application {
        let aid = Octets::from_hex("A000000559AA01").unwrap();
        let application = Application::loading(PeHeader::mandated(200), aid, [1, 2].into());
        let end = package.elements.len() - 1;
        package.elements.insert(end, ProfileElement::Application(Box::new(application)));
    }
    TestPackage::of(package.encode())
}

#[test]
fn profiles_for_javacard_are_installed_unless_the_card_has_no_javacard() {
    for with_application in [false, true] {
        let test_package = package_for_javacard(with_application);
        let download = |change: fn(&mut CardDescription)| {
            let mut testbed = Testbed::with(pki(), change, RamMemory::default());
            let server = Server::new(&testbed, Curve::P256);
            let outcome = outcome(&server.download(&mut testbed, &test_package));
            let found = testbed.card.findings().iter().map(|finding| finding.kind);
            let is_found = with_application && outcome.is_ok();
            assert!(found.eq(is_found.then_some(FindingKind::ApplicationNotRun)), "{with_application}");
            if outcome.is_ok() {
                assert_eq!(testbed.enable(test_package.iccid(), false), EnableResult::OK);
                // The application is not run.
                testbed.expect("00A4040007A000000559AA0100", "6A82");
            }
            outcome
        };
        assert_eq!(download(|_| {}), Ok(()), "with an application: {with_application}");
        let without = |card: &mut CardDescription| {
            card.capabilities.uicc_capability.retain(|bit| *bit != uicc_capability::JAVACARD);
        };
        let why = ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR;
        assert_eq!(download(without), Err((BppCommandId::LOAD_PROFILE_ELEMENTS, why)));
    }
}

#[test]
fn a_test_profile_must_have_test_keys() {
    let generated = super::files::generated();
    for (algorithm, key, expected) in [
        (AlgorithmId::USIM_TEST_ALGORITHM, [9; 16], Ok(())),
        (AlgorithmId::MILENAGE, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], Ok(())),
        (
            AlgorithmId::MILENAGE,
            [9; 16],
            Err(ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY),
        ),
        (AlgorithmId::TUAK, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], Ok(())),
        (AlgorithmId::TUAK, [9; 16], Err(ErrorReason::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY)),
    ] {
        let mut package = generated.clone();
        for element in &mut package.elements {
            if let ProfileElement::AkaParameter(aka) = element
                && let AlgoConfiguration::AlgoParameter(own) = &mut aka.algo_configuration
            {
                own.algorithm_id = algorithm;
                own.key = key.into();
                own.opc = if algorithm == AlgorithmId::TUAK { [7; 32].into() } else { [7; 16].into() };
            }
        }
        let mut testbed = Testbed::new();
        let server = Server::new(&testbed, Curve::P256);
        let mut test_package = TestPackage::of(package.encode());
        test_package.metadata.profile_class = Some(ProfileClass::TEST);
        let found = outcome(&server.download(&mut testbed, &test_package)).map_err(|(_, why)| why);
        assert_eq!(found, expected, "{algorithm}");
    }
}

#[test]
fn files_count_as_used_memory() {
    for descriptor in ["4121", "7921"] {
        let octets = |digits| Octets::from_hex(digits).unwrap();
        let iccid = *b"\x89\x01\x02\x03\x04\x05\x06\x07\x08\x9F";
        let mut package = generic(&Subscription { iccid, ..Subscription::default() });
        let large = FileManagement::CreateFcp(Box::new(Fcp {
            file_id: Some(Fid(0x2F21)),
            file_descriptor: Some(octets(descriptor)),
            security_attributes_referenced: Some(octets("2F0601")),
            ef_file_size: Some(octets("4000")),
            ..Fcp::default()
        }));
        let header = PeHeader::mandated(99);
        let element =
            GenericFileManagement { header, commands: vec![vec![large]], unknown: Default::default() };
        package.elements.insert(package.elements.len() - 1, ProfileElement::GenericFileManagement(element));
        let test_package = TestPackage::of(package.encode());
        let full = ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE;
        let full = Err((BppCommandId::LOAD_PROFILE_ELEMENTS, full));
        for (size, expected) in [(0x4000, full), (0x8000, Ok(()))] {
            let mut testbed = Testbed::with(pki(), |card| card.memory_size = size, RamMemory::default());
            let server = Server::new(&testbed, Curve::P256);
            assert_eq!(
                outcome(&server.download(&mut testbed, &test_package)),
                expected,
                "{descriptor} {size:X}"
            );
        }
    }
}

#[test]
fn an_incomplete_or_unexpected_package_installs_nothing() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let prepared = server.prepare(&mut testbed);
    let package = server.bind(&testbed, &prepared, &TestPackage::small(ICCID)).to_der();
    let pieces = store_data_segments(&package).unwrap();
    // All segments except the last are sent, and then another command. There is no result and no
    // profile.
    assert!(send(&mut testbed, &pieces[..pieces.len() - 1]).is_none());
    challenge(&mut testbed);
    assert_eq!(testbed.es10(pieces.last().unwrap()), Err("6985".to_owned()));
    assert!(testbed.profiles().is_empty());
    // The package belongs to a session that is finished.
    assert_eq!(testbed.es10(&pieces[0]), Err("6985".to_owned()));
    // In a new session the package is bound to the wrong key.
    server.prepare(&mut testbed);
    let result = load(&mut testbed, &package).unwrap();
    assert_eq!(
        outcome(&result),
        Err((BppCommandId::INITIALISE_SECURE_CHANNEL, ErrorReason::INVALID_SIGNATURE))
    );
}

#[test]
fn memory_that_runs_out_is_released_completely() {
    let mut testbed = Testbed::with(pki(), |card| card.memory_size = 9000, RamMemory::default());
    let server = Server::new(&testbed, Curve::P256);
    let free = free_memory(&mut testbed);
    let mut first = TestPackage::small(ICCID);
    first.pad(5000);
    let mut second = TestPackage::small("8900012345678901242");
    second.pad(5000);
    for _ in 0..2 {
        assert_eq!(outcome(&server.download(&mut testbed, &first)), Ok(()));
        let left = free_memory(&mut testbed);
        assert_ne!(left, free);
        let full = ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE;
        let before = testbed.memory();
        assert_eq!(
            outcome(&server.download(&mut testbed, &second)),
            Err((BppCommandId::LOAD_PROFILE_ELEMENTS, full))
        );
        assert_eq!(testbed.memory(), before);
        assert_eq!(free_memory(&mut testbed), left);
        testbed.delete(first.iccid());
        assert_eq!(free_memory(&mut testbed), free);
    }
}

#[test]
fn a_package_can_be_sent_in_blocks_of_any_size() {
    for block in [9, 16, 120, 254, 255] {
        let mut testbed = Testbed::new();
        testbed.block = block;
        let server = Server::new(&testbed, Curve::P256);
        let mut test_package = TestPackage::small(ICCID);
        // The package is enlarged, so that it has several segments of the maximum length.
        test_package.pad(3000);
        assert_eq!(outcome(&server.download(&mut testbed, &test_package)), Ok(()), "blocks of {block}");
    }
}

#[test]
fn an_aborted_installation_has_no_effect() {
    type Interrupt = fn(&mut Testbed, &Server);
    let interrupts: [(&str, Interrupt); 4] = [
        ("reset", |testbed, _| testbed.reset()),
        ("a new session", |testbed, _| {
            challenge(testbed);
        }),
        ("CancelSession", |testbed, server| {
            let request = CancelSessionRequest {
                transaction_id: server.transaction_id.clone(),
                reason: CancelSessionReason::LOAD_BPP_EXECUTION_ERROR,
            };
            let answer: CancelSessionResponse = testbed.call(&request);
            assert!(matches!(answer, CancelSessionResponse::CancelSessionResponseOk(_)));
        }),
        ("eUICCMemoryReset", |testbed, _| {
            assert_eq!(testbed.es10_text("BF3404820205E0"), "BF3403800101");
            challenge(testbed);
        }),
    ];
    for (what, interrupt) in interrupts {
        let mut testbed = Testbed::new();
        let server = Server::new(&testbed, Curve::P256);
        let mut test_package = TestPackage::small(ICCID);
        test_package.pad(3000);
        let prepared = server.prepare(&mut testbed);
        let pieces = store_data_segments(&server.bind(&testbed, &prepared, &test_package).to_der()).unwrap();
        let (agreed, before) = (testbed.snapshot(), testbed.memory());
        for cut in 1..pieces.len() {
            testbed.restore(&agreed);
            assert!(send(&mut testbed, &pieces[..cut]).is_none());
            interrupt(&mut testbed, &server);
            assert_eq!(testbed.es10(&pieces[cut]), Err("6985".to_owned()), "{what} after {cut} pieces");
            assert_eq!(testbed.memory(), before, "{what} after {cut} pieces");
        }
    }
}

#[test]
fn commands_on_another_channel_do_not_disturb_an_installation() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    let prepared = server.prepare(&mut testbed);
    let test_package = TestPackage::small(ICCID);
    let pieces = store_data_segments(&server.bind(&testbed, &prepared, &test_package).to_der()).unwrap();
    let (first, last) = pieces.split_at(pieces.len() / 2);
    assert!(send(&mut testbed, first).is_none());
    testbed.expect("00A4040C10 A0000005591010FFFFFFFF8900000100", "9000");
    testbed.expect("0070000001", "02 9000");
    testbed.expect("0070800200", "9000");
    testbed.profiles();
    assert_eq!(outcome(&send(&mut testbed, last).unwrap()), Ok(()));
}
