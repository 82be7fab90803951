//! The TS.48 profiles on the card: installed, enabled, and read back with APDUs.

use std::path::Path;

use crypto::Curve;
use profile::element::{Fcp, FileItem};
use profile::generic::{Algorithm, Subscription};
use profile::{Package, ProfileElement, generic};
use rsp::sgp22::es10c::EnableResult;

use super::server::{Server, TestPackage, outcome};
use super::testbed::Testbed;

pub(super) const SELECT_USIM: &str = "00A4040C07 A0000000871002";
pub(super) const VERIFY_ADM1: &str = "0020000A08 3535353535353535";

/// All TS.48 files with this extension. Tests that need the files are ignored unless the `cfg`
/// `has_ts48` is set.
pub(super) fn ts48(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ts48");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == ending))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// A profile built by the test, with additional services in EF.UST.
pub(super) fn own_package(subscription: Subscription, services: &[usize]) -> Package {
    let iccid = *b"\x89\x01\x02\x03\x04\x05\x06\x07\x08\x9F";
    let mut package = generic(&Subscription { iccid, ..subscription });
    for element in &mut package.elements {
        let ProfileElement::FileSystem(element) = element else { continue };
        for file in element.files.iter_mut().filter(|file| file.name == "ef-ust") {
            let [FileItem::FillFileContent(table)] = &mut file.items[..] else { panic!("one table") };
            table.0.resize(17, 0);
            services.iter().for_each(|service| table.0[(service - 1) / 8] |= 1 << ((service - 1) % 8));
            let fcp = Fcp { ef_file_size: Some([17].into()), ..Fcp::default() };
            file.items.insert(0, FileItem::FileDescriptor(Box::new(fcp)));
        }
    }
    package
}

/// A card with this profile enabled, after a reset.
pub(super) fn with_enabled(test_package: &TestPackage) -> Testbed {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, Curve::P256);
    assert_eq!(outcome(&server.download(&mut testbed, test_package)), Ok(()));
    assert_eq!(testbed.enable(test_package.iccid(), false), EnableResult::OK);
    testbed.reset();
    testbed
}

/// A card with the TS.48 v7 profile, which is the simplest.
pub(super) fn with_ts48() -> Testbed {
    let packages = ts48("der");
    let (_, package) = packages.into_iter().find(|(name, _)| name == "TS48v7_SAIP2.3_NoBERTLV").unwrap();
    with_enabled(&TestPackage::of(package))
}

/// A generated profile with GSM access. Its USIM has the IMSI, the algorithm and the key of the
/// TS.48 profiles.
pub(super) fn generated() -> Package {
    let subscription = Subscription {
        imsi: "001010123456789".to_owned(),
        key: std::array::from_fn(|at| u8::try_from(at).unwrap()),
        algorithm: Algorithm::UsimTest,
        ..Subscription::default()
    };
    own_package(subscription, &[27, 38])
}

/// A card with a generated profile enabled.
pub(super) fn with_generated() -> Testbed {
    with_enabled(&TestPackage::of(generated().encode()))
}

#[test]
fn a_write_survives_a_reset() {
    let mut testbed = with_generated();
    testbed.read(SELECT_USIM);
    testbed.expect("00A4000C02 6F7E", "9000");
    testbed.expect("00D6000003 112233", "9000");
    testbed.reset();
    testbed.read(SELECT_USIM);
    testbed.expect("00A4000C02 6F7E", "9000");
    assert!(testbed.read("00B0000000").starts_with("112233"));
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn data_written_to_a_link_are_in_the_linked_file() {
    let packages = ts48("der").into_iter().filter(|(name, _)| name.starts_with("TS48v7"));
    for (name, package) in packages {
        let mut testbed = with_enabled(&TestPackage::of(package));
        testbed.expect("00A4080C04 7F106F3A", "9000");
        let record = "5A".repeat(28);
        testbed.expect(&format!("00DC01041C{record}"), "9000");
        testbed.expect("00A4080C06 7F105F3A4F3A", "9000");
        assert_eq!(testbed.read("00B201041C"), record, "{name}");
    }
}
