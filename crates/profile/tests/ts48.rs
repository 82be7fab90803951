//! The generic test profiles of GSMA TS.48, as published in DER: decoded, encoded, truncated and
//! damaged.

mod common;

use profile::check::check;
use profile::description::{Authentication, Codes, Description, UsimFiles, decompile};
use profile::element::Service;
use profile::{
    Capabilities, Decoder, Facts, File, FileKind, FileSystem, InstalledProfile, Package, ProfileElement,
};

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn every_package_is_decoded_and_encoded_byte_for_byte() {
    for (name, bytes) in common::files("der") {
        let package = Package::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(package.encode(), bytes, "{name}");
        let json = serde_json::to_string(&package).unwrap();
        assert!(!json.contains("unknown"), "{name} has elements this version does not know");
        assert!(matches!(package.elements.last(), Some(ProfileElement::End(_))), "{name}");
        assert_eq!(package.header().unwrap().iccid.to_string(), "89000123456789012341", "{name}");
    }
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn pieces_of_any_size_give_the_same_elements() {
    for (name, bytes) in common::files("der") {
        let whole = Package::decode(&bytes).unwrap();
        for size in [1, 7, 1008, 1020] {
            let mut decoder = Decoder::new();
            let mut elements = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.feed(piece).unwrap();
                while let Some(element) = decoder.next_element().unwrap() {
                    elements.push(element);
                }
                assert!(decoder.buffered() < bytes.len(), "{name}");
            }
            decoder.finish().unwrap();
            assert_eq!(elements, whole.elements, "{name} in pieces of {size}");
        }
    }
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn a_truncated_package_is_refused() {
    for (name, bytes) in common::files("der") {
        let ends: Vec<usize> = Package::decode(&bytes)
            .unwrap()
            .elements
            .iter()
            .scan(0, |at, element| {
                *at += rsp::der::Asn1::to_der(element).len();
                Some(*at)
            })
            .collect();
        for length in (1..bytes.len()).step_by(13) {
            let cut = Package::decode(&bytes[..length]);
            assert_eq!(cut.is_ok(), ends.contains(&length), "{name} cut to {length}");
        }
    }
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn the_files_of_every_package_can_be_created() {
    for (name, bytes) in common::files("der") {
        let files = FileSystem::build(&Package::decode(&bytes).unwrap())
            .unwrap_or_else(|refused| panic!("{name}: {refused}"));
        println!("{name}: {} files, {} octets", files.all().count(), files.memory());
    }
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn every_package_can_be_installed_and_stored() {
    for (name, bytes) in common::files("der") {
        let package = Package::decode(&bytes).unwrap();
        let profile = InstalledProfile::of(&package, &Capabilities::default())
            .unwrap_or_else(|refused| panic!("{name}: {refused}"));
        let facts = &profile.facts;
        assert_eq!(facts.puks.len(), 2, "{name}");
        assert_eq!(facts.pins.len(), 5, "{name}: MF, DF.TELECOM, USIM, CSIM, ISIM");
        assert_eq!(facts.aka.len(), 2, "{name}: USIM, ISIM");
        assert_eq!(facts.aka[0].key.expose(), (0..16).collect::<Vec<u8>>(), "{name}");
        assert_eq!(facts.security_domains.len(), 1, "{name}");
        for aka in &facts.aka {
            let FileKind::Adf { aid } = &profile.files.file(aka.adf).unwrap().kind else { panic!("{name}") };
            assert!(aid.to_string().starts_with("A000000087100"), "{name}");
        }
        let stored = serde_json::to_vec(facts).unwrap();
        assert_eq!(serde_json::from_slice::<Facts>(&stored).unwrap(), *facts, "{name}");
        let files = &profile.files.image().files;
        let stored = serde_json::to_vec(&**files).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<File>>(&stored).unwrap(), **files, "{name}");
    }
}

/// Version 1 of the profiles requires Java Card, although it has no application.
#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn packages_that_require_javacard_without_need_can_be_installed() {
    for (name, bytes) in common::files("der") {
        let mut package = Package::decode(&bytes).unwrap();
        let Some(ProfileElement::Header(header)) = package.elements.first_mut() else { panic!("{name}") };
        header.mandatory_services.services.push(Service::JAVACARD);
        let installed = InstalledProfile::of(&package, &Capabilities::default());
        let installed = installed.unwrap_or_else(|refused| panic!("{name}: {refused}"));
        assert!(installed.findings().is_empty(), "{name} has no application");
        let found: Vec<_> = check(&package).iter().map(|finding| finding.rule).collect();
        assert!(found.contains(&"service-not-used"), "{name}: {found:?}");
    }
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn every_package_is_decompiled_and_rebuilt_byte_for_byte() {
    for (name, bytes) in common::files("der") {
        let package = Package::decode(&bytes).unwrap();
        let decompiled = decompile(&package).unwrap_or_else(|error| panic!("{name}: {error}"));
        let text = decompiled.description.to_toml();
        let again = Description::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let rebuilt = again.build().unwrap_or_else(|error| panic!("{name}: {}", error.in_text(&text)));
        assert!(rebuilt.encode() == bytes, "{name}: the rebuilt package differs");
        println!("{name}: {} lines; not in terms: {:#?}", text.lines().count(), decompiled.notes);

        // The values of terms in a decompiled description can be changed.
        let other = Description {
            imsi: Some("001010000000042".parse().unwrap()),
            iccid: Some("89000123456789012358".parse().unwrap()),
            authentication: Authentication { ki: Some([7; 16].into()), ..again.authentication.clone() },
            codes: Codes { pin1: Some("4711".parse().unwrap()), ..again.codes.clone() },
            usim: UsimFiles { spn: Some("Another name".into()), ..again.usim.clone() },
            ..again
        };
        let package = other.build().unwrap_or_else(|error| panic!("{name}: {error}"));
        let installed = InstalledProfile::of(&package, &Capabilities::default()).unwrap();
        let usim = installed.usim().unwrap();
        assert_eq!(usim.imsi().unwrap().to_string(), "001010000000042", "{name}");
        assert_eq!(usim.service_provider_name().as_deref(), Some("Another name"), "{name}");
        assert_eq!(package.header().unwrap().iccid.to_string(), "89000123456789012358", "{name}");
        assert_eq!(installed.facts.aka[0].key.expose(), [7; 16], "{name}");
    }
}
