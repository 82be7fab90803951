//! ProfileInstallationResult and its EUICCResponse: all errors, SGP.22 section 2.5.6 and TCA 8.11.

use crypto::Curve;
use profile::element::{MandatoryAid, ProfileHeader, Service};
use profile::generic::Subscription;
use profile::{EuiccResponse, Package, PeStatus, PeStatusCode, ProfileElement};
use rsp::der::{Asn1, BitString, Raw, Unknown};
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::es8plus::{
    BoundProfilePackage, BppCommandId as Id, ErrorReason as Why, FinalResult, InitialiseSecureChannelRequest,
};
use rsp::sgp22::es10b::PrepareDownloadResponse;
use rsp::sgp22::{OperatorId, ProfileClass, uicc_capability};
use world::RamMemory;

use super::download::ICCID;
use super::server::{Server, TestPackage, load, outcome};
use super::testbed::{Testbed, pki};
use crate::CardDescription;

/// The way to cause an installation error.
enum Cause {
    /// A modified package or modified metadata.
    TestPackage(fn(&mut TestPackage)),
    /// A modified first request with a valid signature.
    Request(fn(&mut InitialiseSecureChannelRequest)),
    /// A modified Bound Profile Package.
    Package(fn(&mut BoundProfilePackage)),
    /// A modified card description.
    Card(fn(&mut CardDescription)),
    /// A modified state of the card.
    Memory(fn(&mut Testbed, &Server)),
    /// A modified USIM package.
    Usim(fn(&mut Package)),
    /// A modified card description and a modified USIM package.
    CardAndUsim(fn(&mut CardDescription), fn(&mut Package)),
    /// Impossible; the table gives the reason.
    Never,
}

/// The outcome of the installation, and the EUICCResponse if the result contains one.
type Attempt = (Result<(), (Id, Why)>, Option<EuiccResponse>);

/// Installs a package that is correct except for `cause`. Asserts that a refusal has no effect.
fn install_with(cause: &Cause) -> Option<Attempt> {
    let change_card = |card: &mut CardDescription| {
        if let Cause::Card(change) | Cause::CardAndUsim(change, _) = cause {
            change(card);
        }
    };
    let mut testbed = Testbed::with(pki(), change_card, RamMemory::default());
    let server = Server::new(&testbed, Curve::P256);
    let mut test_package = TestPackage::small(ICCID);
    match cause {
        Cause::Never => return None,
        Cause::TestPackage(change) => change(&mut test_package),
        Cause::Memory(change) => change(&mut testbed, &server),
        Cause::Usim(change) | Cause::CardAndUsim(_, change) => {
            let mut package = usim();
            change(&mut package);
            test_package = TestPackage::of(package.encode());
        }
        Cause::Request(_) | Cause::Package(_) | Cause::Card(_) => {}
    }
    let PrepareDownloadResponse::DownloadResponseOk(ok) = server.prepare(&mut testbed) else { panic!() };
    let mut package = server.bind_to(&testbed, &ok, &test_package, |request| {
        if let Cause::Request(change) = cause {
            change(request);
        }
    });
    if let Cause::Package(change) = cause {
        change(&mut package);
    }
    let before = testbed.memory();
    let result = load(&mut testbed, &package.to_der()).expect("an installation result");
    testbed.check_result(&result);
    let data = &result.profile_installation_result_data;
    let response = match &data.final_result {
        FinalResult::SuccessResult(success) => Some(&success.sima_response),
        FinalResult::ErrorResult(error) => {
            assert_eq!(testbed.memory(), before, "a refusal must have no effect");
            error.sima_response.as_ref()
        }
    };
    let response = response.map(|octets| EuiccResponse::from_der(octets).unwrap());
    Some((outcome(&result), response))
}

fn usim() -> Package {
    let iccid: Iccid = ICCID.parse().unwrap();
    profile::generic(&Subscription { iccid: iccid.to_profile_header(), ..Subscription::default() })
}

fn header(package: &mut Package) -> &mut ProfileHeader {
    let Some(ProfileElement::Header(header)) = package.elements.first_mut() else { panic!() };
    header
}

fn with_header(test_package: &mut TestPackage, change: impl FnOnce(&mut ProfileHeader)) {
    let mut package = Package::decode(&test_package.package).unwrap();
    change(header(&mut package));
    test_package.package = package.encode();
}

/// Inserts an element before the end.
fn insert(package: &mut Package, element: &[u8]) {
    let decoded = Package::decode(&[&package.encode()[..], element].concat()).unwrap();
    let element = decoded.elements.last().unwrap().clone();
    let end = package.elements.len() - 1;
    package.elements.insert(end, element);
}

fn alter_last_octet(segment: &mut [u8]) {
    *segment.last_mut().unwrap() ^= 1;
}

#[test]
fn every_error_reason_is_tested_or_documented_as_impossible() {
    let elements = Id::LOAD_PROFILE_ELEMENTS;
    let table = [
        (
            Why::INCORRECT_INPUT_VALUES,
            Id::STORE_METADATA,
            Cause::TestPackage(|test_package| test_package.metadata.profile_name = "x".repeat(65)),
        ),
        (
            // req: SGP.22-5.7.6-Signature
            Why::INVALID_SIGNATURE,
            Id::INITIALISE_SECURE_CHANNEL,
            Cause::Package(|package| {
                let mut request = package.initialise_secure_channel_request.clone().into_value();
                alter_last_octet(&mut request.smdp_sign);
                package.initialise_secure_channel_request = Raw::new(request);
            }),
        ),
        (
            // req: SGP.22-5.7.6-TransactionId
            Why::INVALID_TRANSACTION_ID,
            Id::INITIALISE_SECURE_CHANNEL,
            Cause::Request(|request| request.transaction_id = TransactionId(vec![7])),
        ),
        (
            // req: SGP.22-5.7.6-ControlReference
            Why::UNSUPPORTED_CRT_VALUES,
            Id::INITIALISE_SECURE_CHANNEL,
            Cause::Request(|request| request.control_ref_template.key_len = [0x20]),
        ),
        (
            // req: SGP.22-5.7.6-RemoteOperation
            Why::UNSUPPORTED_REMOTE_OPERATION_TYPE,
            Id::INITIALISE_SECURE_CHANNEL,
            Cause::Request(|request| request.remote_op_id = 2),
        ),
        (
            // req: SGP.22-5.7.6-ProfileClass
            Why::UNSUPPORTED_PROFILE_CLASS,
            Id::STORE_METADATA,
            Cause::TestPackage(|test_package| test_package.metadata.profile_class = Some(ProfileClass(3))),
        ),
        (
            // req: SGP.22-2.6.4-Structure
            Why::SCP03T_STRUCTURE_ERROR,
            Id::CONFIGURE_ISDP,
            Cause::Package(|package| {
                package.first_sequence_of87.0[0] = vec![0x87, 4, 1, 2, 3, 4];
            }),
        ),
        (
            Why::SCP03T_STRUCTURE_ERROR,
            Id::STORE_METADATA,
            Cause::Package(|package| {
                package.sequence_of88.0[0] = vec![0x88, 4, 1, 2, 3, 4];
            }),
        ),
        (
            // req: SGP.22-2.6.4-Mac
            Why::SCP03T_SECURITY_ERROR,
            Id::REPLACE_SESSION_KEYS,
            Cause::Package(|package| {
                alter_last_octet(&mut package.second_sequence_of87.as_mut().unwrap().0[0]);
            }),
        ),
        (
            Why::SCP03T_SECURITY_ERROR,
            elements,
            Cause::Package(|package| alter_last_octet(&mut package.sequence_of86.0[0])),
        ),
        (
            // req: SGP.22-5.7.6-IccidExists
            Why::INSTALL_FAILED_DUE_TO_ICCID_ALREADY_EXISTS_ON_EUICC,
            Id::STORE_METADATA,
            Cause::Memory(|testbed, server| {
                assert_eq!(outcome(&server.download(testbed, &TestPackage::small(ICCID))), Ok(()));
            }),
        ),
        (
            Why::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE,
            elements,
            Cause::Card(|card| card.memory_size = 20),
        ),
        (
            Why::INSTALL_FAILED_DUE_TO_INTERRUPTION,
            elements,
            // A reset, CancelSession or a new session interrupts an installation. The card then
            // discards it without a result, because a result would end the order at the SM-DP+. The
            // download can be repeated with the same one-time key (3.1.3, 5.7.5).
            Cause::Never,
        ),
        (
            Why::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR,
            elements,
            Cause::TestPackage(|test_package| test_package.package = vec![0x55; 40]),
        ),
        (
            Why::INSTALL_FAILED_DUE_TO_DATA_MISMATCH,
            elements,
            Cause::TestPackage(|test_package| {
                test_package.metadata.iccid = "8988888888888888888".parse().unwrap();
            }),
        ),
        (
            Why::TEST_PROFILE_INSTALL_FAILED_DUE_TO_INVALID_NAA_KEY,
            elements,
            Cause::TestPackage(|test_package| {
                *test_package = TestPackage::of(usim().encode());
                test_package.metadata.profile_class = Some(ProfileClass::TEST);
            }),
        ),
        (
            // req: SGP.22-2.9-Installation
            Why::PPR_NOT_ALLOWED,
            Id::STORE_METADATA,
            Cause::TestPackage(|test_package| {
                test_package.metadata.profile_policy_rules = Some(BitString::of(&[3]));
                test_package.metadata.profile_owner =
                    Some(rsp::sgp22::OperatorId { mcc_mnc: [0, 0xF1, 0x10], gid1: None, gid2: None });
            }),
        ),
        (
            Why::INSTALL_FAILED_DUE_TO_UNKNOWN_ERROR,
            elements,
            Cause::Memory(|testbed, _| testbed.use_up_isd_ps()),
        ),
    ];
    let mut reasons: Vec<i64> = Vec::new();
    let mut commands: Vec<i64> = Vec::new();
    for (why, id, cause) in &table {
        reasons.push(why.0);
        match install_with(cause) {
            Some((found, _)) => {
                commands.push(id.0);
                assert_eq!(found, Err((*id, *why)));
            }
            None => assert!(matches!(cause, Cause::Never)),
        }
    }
    reasons.dedup();
    assert_eq!(reasons, (1..=15).chain([127]).collect::<Vec<_>>(), "every reason of v2.6 in ascending order");
    commands.sort_unstable();
    commands.dedup();
    // Command 3, a second StoreMetadata, is defined, but it occurs in no package.
    assert_eq!(commands, [0, 1, 2, 4, 5]);
}

#[test]
fn metadata_of_another_profile_are_refused() {
    let install = |profile_owner: Option<OperatorId>| {
        let mut testbed = Testbed::new();
        let server = Server::new(&testbed, Curve::P256);
        let mut test_package = TestPackage::of(usim().encode());
        test_package.metadata.profile_owner = profile_owner;
        let before = testbed.memory();
        let found = outcome(&server.download(&mut testbed, &test_package));
        assert!(found.is_ok() || testbed.memory() == before);
        found
    };
    let mismatch = Err((Id::LOAD_PROFILE_ELEMENTS, Why::INSTALL_FAILED_DUE_TO_DATA_MISMATCH));
    let owner = |mcc_mnc, gid1| Some(OperatorId { mcc_mnc, gid1, gid2: None });
    assert_eq!(install(None), Ok(()));
    // 001-01 is the home network of the IMSI; the profile has no EF.GID1.
    assert_eq!(install(owner([0x00, 0xF1, 0x10], None)), Ok(()));
    assert_eq!(install(owner([0x62, 0xF2, 0x10], None)), mismatch);
    assert_eq!(install(owner([0x00, 0xF1, 0x10], Some(vec![7]))), mismatch);
    // The octets of EF.GID1 after the GID of the owner must be FF.
    for (gid1, expected) in [("07FFFF", Ok(())), ("07", Ok(())), ("0701FF", mismatch), ("FF", mismatch)] {
        let iccid: Iccid = ICCID.parse().unwrap();
        let text = format!(
            "iccid = '{iccid}'\nimsi = '001010123456789'\n[authentication]\nki = '{0}'\nopc = '{0}'\n[usim]\ngid1 = '{gid1}'\n",
            "11".repeat(16)
        );
        let package = profile::Description::parse(&text).unwrap().build().unwrap();
        let mut test_package = TestPackage::of(package.encode());
        test_package.metadata.profile_owner = owner([0x00, 0xF1, 0x10], Some(vec![7]));
        let mut testbed = Testbed::new();
        let server = Server::new(&testbed, Curve::P256);
        assert_eq!(outcome(&server.download(&mut testbed, &test_package)), expected, "{gid1}");
    }
    // EF.ICCID differs from the header.
    let mut test_package = TestPackage::of(usim().encode());
    let other: Iccid = "8900012345678901242".parse().unwrap();
    with_header(&mut test_package, |header| header.iccid = other.to_profile_header().into());
    test_package.metadata.iccid = other;
    let mut testbed = Testbed::new();
    assert_eq!(outcome(&Server::new(&testbed, Curve::P256).download(&mut testbed, &test_package)), mismatch);
}

// req: SGP.22-5.7.6-ProprietaryData
#[test]
fn dp_proprietary_data_are_limited_to_128_octets() {
    for (arcs, expected) in [(40, Ok(())), (140, Err((Id::CONFIGURE_ISDP, Why::INCORRECT_INPUT_VALUES)))] {
        let mut test_package = TestPackage::small(ICCID);
        test_package.dp_oid = Some(format!("2.999{}", ".1".repeat(arcs)).parse().unwrap());
        let mut testbed = Testbed::new();
        assert_eq!(
            outcome(&Server::new(&testbed, Curve::P256).download(&mut testbed, &test_package)),
            expected
        );
    }
}

#[test]
fn every_pe_status_is_tested_or_documented_as_impossible() {
    use PeStatusCode as Code;
    const MANDATED: [u8; 7] = [0xA0, 5, 0x80, 0, 0x81, 1, 99];
    let table = [
        (Code::OK, Cause::TestPackage(|_| {})),
        (
            Code::PE_NOT_SUPPORTED,
            Cause::Usim(|package| insert(package, &[&[0xAB, 7][..], &MANDATED].concat())),
        ),
        (
            Code::MEMORY_FAILURE,
            // The profile is stored in one write when the package is complete. If the write fails,
            // the command gets 6581.
            Cause::Never,
        ),
        (
            Code::BAD_VALUES,
            Cause::Usim(|package| {
                let again =
                    package.elements.iter().find(|each| matches!(each, ProfileElement::PukCodes(_))).cloned();
                package.elements.insert(3, again.unwrap());
            }),
        ),
        (Code::NOT_ENOUGH_MEMORY, Cause::Card(|card| card.memory_size = 20)),
        (
            Code::INVALID_REQUEST_FORMAT,
            Cause::TestPackage(|test_package| {
                test_package.package.truncate(test_package.package.len() - 1);
            }),
        ),
        (
            Code::INVALID_PARAMETER,
            Cause::Usim(|package| {
                let system = package.elements.iter_mut().find_map(|each| match each {
                    ProfileElement::FileSystem(system) => Some(system),
                    _ => None,
                });
                system.unwrap().unknown = Unknown(vec![0xBF, 0x7F, 0]);
            }),
        ),
        (
            Code::RUNTIME_NOT_SUPPORTED,
            Cause::CardAndUsim(
                |card| {
                    card.capabilities.uicc_capability.retain(|bit| *bit != uicc_capability::JAVACARD);
                },
                |package| insert(package, &[&[0xA8, 7][..], &MANDATED].concat()),
            ),
        ),
        (
            Code::LIB_NOT_SUPPORTED,
            Cause::TestPackage(|test_package| {
                let aid = MandatoryAid {
                    aid: [0xA0, 0, 0, 0, 9].into(),
                    version: [1, 0].into(),
                    unknown: Unknown::default(),
                };
                with_header(test_package, |header| header.mandatory_aids = Some(vec![aid]));
            }),
        ),
        (
            Code::TEMPLATE_NOT_SUPPORTED,
            Cause::TestPackage(|test_package| {
                let oid = "2.23.143.1.2.99".parse().unwrap();
                with_header(test_package, |header| header.mandatory_gfste_list = vec![oid]);
            }),
        ),
        (
            Code::FEATURE_NOT_SUPPORTED,
            Cause::TestPackage(|test_package| {
                with_header(test_package, |header| header.mandatory_services.services.push(Service::MULTOS));
            }),
        ),
        (
            Code::PIN_CODE_MISSING,
            Cause::Usim(|package| {
                package.elements.retain(|element| !matches!(element, ProfileElement::PukCodes(_)));
            }),
        ),
        (
            Code::UNSUPPORTED_PROFILE_VERSION,
            Cause::TestPackage(|test_package| {
                with_header(test_package, |header| header.major_version = 9);
            }),
        ),
    ];
    for (code, cause) in &table {
        let Some((outcome, response)) = install_with(cause) else {
            assert!(matches!(cause, Cause::Never));
            continue;
        };
        assert_eq!(outcome.is_ok(), *code == Code::OK, "{code}: {outcome:?}");
        let response = response.expect("an EUICCResponse");
        assert_eq!(response.pe_status.last().unwrap().status, *code);
        assert_eq!(response.profile_installation_aborted.is_some(), *code != Code::OK, "{code}");
    }
}

#[test]
fn an_unknown_pe_that_is_not_mandated_is_ignored_with_a_warning() {
    let mut package = usim();
    insert(&mut package, &[0xAB, 5, 0xA0, 3, 0x81, 1, 99]);
    let mut testbed = Testbed::new();
    let result =
        Server::new(&testbed, Curve::P256).download(&mut testbed, &TestPackage::of(package.encode()));
    let FinalResult::SuccessResult(success) = &result.profile_installation_result_data.final_result else {
        panic!()
    };
    let response = EuiccResponse::from_der(&success.sima_response).unwrap();
    assert_eq!(response.pe_status, [PeStatus::new(PeStatusCode::PE_NOT_SUPPORTED, Some(99))]);
}
