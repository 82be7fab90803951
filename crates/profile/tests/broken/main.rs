//! Broken packages: a valid package with one defect at a time gives the finding of that defect and
//! no others.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy does not recognise this module as test code"
)]

mod good;
mod table;

use std::collections::BTreeSet;

use profile::check::{Finding, RULES, Severity, check, check_octets};
use profile::element::Service;
use profile::{Capabilities, InstalledProfile, Package};

use table::defects;

/// An eUICC that supports every service.
fn everything() -> Capabilities {
    Capabilities { services: (0..=u8::MAX).map(Service).collect(), ..Capabilities::default() }
}

#[test]
fn the_valid_package_has_no_findings() {
    let good = good::good();
    assert_eq!(check(&good), [], "{:#?}", check(&good));
    InstalledProfile::of(&good, &Capabilities::default()).unwrap();
    assert_eq!(Package::decode(&good.encode()).unwrap(), good);
}

#[test]
fn every_defect_gives_its_finding_and_no_other() {
    let mut wrong = Vec::new();
    for defect in defects() {
        let mut package = good::good();
        (defect.break_it)(&mut package);
        let findings = check(&package);
        let place = |finding: &Finding| finding.place.element;
        let (first, expected) = (defect.findings[0], BTreeSet::from_iter(defect.findings.iter().copied()));
        let found: BTreeSet<_> = findings.iter().map(|finding| finding.rule).collect();
        if !findings.iter().any(|finding| finding.rule == first && place(finding) == defect.element) {
            wrong.push(format!("{}: no {first} in {}", defect.name, defect.element));
        }
        if found != expected {
            wrong.push(format!("{}: {found:?}, not {expected:?}", defect.name));
        }
        if findings.iter().any(|finding| finding.what.is_empty()) {
            wrong.push(format!("{}: a finding without a description", defect.name));
        }
        // A defect that an eUICC refuses is an error; one that it accepts can be an error too.
        let is_refused = InstalledProfile::of(&package, &everything()).is_err();
        let is_error = findings.iter().any(|finding| finding.severity == Severity::Error);
        if is_refused && !is_error {
            wrong.push(format!("{}: refused, though nothing is an error", defect.name));
        }
        // The encoded package has the same defect when it is decoded again.
        assert_eq!(check_octets(&package.encode()), findings, "{}", defect.name);
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), defects().count(), wrong.join("\n"));
    println!("{} defects, {} rules", defects().count(), RULES.len());
    let names: BTreeSet<_> = defects().map(|defect| defect.name).collect();
    assert_eq!(names.len(), defects().count(), "no name comes twice");
}

#[test]
fn rules_have_unique_names_and_findings_are_complete() {
    let names: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(!rule.why.is_empty() && !rule.next.is_empty(), "{}", rule.name);
    }
    for defect in defects().flat_map(|defect| defect.findings) {
        assert!(names.contains(defect), "{defect} is no rule");
    }
}

#[test]
fn a_truncated_package_has_only_the_finding_that_it_is_truncated() {
    let whole = good::good().encode();
    for length in 0..whole.len() {
        let findings = check_octets(&whole[..length]);
        let found: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
        assert!(matches!(found[..], ["unreadable" | "no-end"]), "cut to {length}: {findings:#?}");
    }
}

#[test]
fn a_package_with_a_changed_bit_is_decoded_or_gives_findings() {
    let whole = good::good().encode();
    // One bit of each byte is changed; its position varies from byte to byte.
    for (place, bit) in (0..whole.len()).zip([0, 5, 2, 7, 4, 1, 6, 3].into_iter().cycle()) {
        let mut spoiled = whole.clone();
        spoiled[place] ^= 1 << bit;
        let findings = check_octets(&spoiled);
        let refused = match Package::decode(&spoiled) {
            Ok(package) => InstalledProfile::of(&package, &everything()).is_err(),
            Err(_) => true,
        };
        assert!(!refused || !findings.is_empty(), "bit {bit} of octet {place}");
    }
}
