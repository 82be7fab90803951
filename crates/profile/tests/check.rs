//! Valid packages: the checker reports notes, but no findings of a higher severity.

mod common;

use profile::check::{Severity, check};
use profile::generic::{Algorithm, Subscription, generic};
use profile::{Capabilities, InstalledProfile, Package};

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles")]
fn ts_48_packages_have_no_findings_above_severity_note() {
    for (name, bytes) in common::files("der") {
        let findings = check(&Package::decode(&bytes).unwrap());
        for finding in &findings {
            println!("{name}: {finding}");
        }
        assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{name}");
    }
}

#[test]
fn packages_built_by_this_crate_have_no_findings() {
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
