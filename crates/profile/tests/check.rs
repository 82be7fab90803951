//! Packages that are right: nothing is found in them but what is true and meant.

mod common;

use profile::check::{Severity, check};
use profile::generic::{Algorithm, Subscription, generic};
use profile::{Capabilities, InstalledProfile, Package};

#[test]
fn in_ts_48_nothing_is_found_but_what_is_true_and_meant() {
    for (name, bytes) in common::files("der") {
        let findings = check(&Package::decode(&bytes).unwrap());
        for finding in &findings {
            println!("{name}: {finding}");
        }
        assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{name}");
    }
}

#[test]
fn in_our_own_packages_nothing_is_found() {
    for algorithm in [Algorithm::Milenage, Algorithm::UsimTest] {
        for msisdn in [None, Some("5511987654321".to_owned())] {
            let package = generic(&Subscription {
                iccid: rsp::ids::Iccid::with_luhn("8972499000000000123").unwrap().to_profile_header(),
                algorithm,
                msisdn,
                ..Subscription::default()
            });
            InstalledProfile::of(&package, &Capabilities::default()).unwrap();
            let findings = check(&package);
            for finding in &findings {
                println!("{finding}");
            }
            assert!(findings.iter().all(|finding| finding.severity == Severity::Note));
        }
    }
}
