//! Deviations in the commands of SGP.02 that the standard does not require to refuse. The card
//! executes the command and reports a finding.

use rsp::finding::{self, FindingKind};
use rsp::time::Timestamp;
use world::{ManualClock, RamMemory, SeededRandom, World};

use super::oce::{Certificate, Plan, SM_DP, establish};
use super::testbed::{
    BOOTSTRAP, ISD_R, NEW, NO_RULES, Testbed, aid, create_isd_p, description, isd_p_group, lv, store_data,
};
use crate::{Card, CardDescription};

/// An element that no version defines.
const UNKNOWN: &str = "9F7F0100";

#[test]
fn a_card_cannot_be_strict() {
    let description = CardDescription { strict: true, ..description() };
    let (clock, random) = (ManualClock::at(Timestamp::default()), SeededRandom::from_text("card"));
    let fault = Card::open(description, RamMemory::default(), World::new(clock, random)).unwrap_err();
    assert!(fault.why.contains("cannot be strict"), "{fault:#}");
}

/// A data group with this identifier.
fn group(identifier: &str, contents: &str) -> String {
    format!("{identifier}{}", lv(&contents.replace(' ', "")))
}

/// Runs `commands` and returns their responses and the kinds of the findings.
fn kinds<T>(commands: impl FnOnce() -> T) -> (T, Vec<FindingKind>) {
    let (answer, findings) = finding::collect(commands);
    (answer, findings.into_iter().map(|finding| finding.kind).collect())
}

/// Checks that the ISD-R executes the command with a finding of this kind only.
#[track_caller]
fn accepts(testbed: &mut Testbed, apdu: &str, kind: FindingKind) {
    let (answer, found) = kinds(|| testbed.es5(apdu));
    assert!(answer.ends_with("9000"), "{apdu}: {answer}");
    assert_eq!(found, [kind], "{apdu}");
}

#[test]
fn an_unknown_element_is_accepted_in_every_command_to_the_isd_r() {
    let mut testbed = Testbed::new();
    let isd_p = format!("4F10{}", aid(NO_RULES));
    for contents in [format!("{UNKNOWN}{isd_p}"), format!("{isd_p}{UNKNOWN}")] {
        for identifier in ["3A05", "3A09", "3A03"] {
            let mut testbed = Testbed::new();
            accepts(&mut testbed, &store_data(&group(identifier, &contents)), FindingKind::UnknownElement);
        }
        accepts(&mut testbed, &format!("80F24002{}00", lv(&contents)), FindingKind::UnknownElement);
        let mut testbed = Testbed::new();
        accepts(&mut testbed, &format!("80E40040{}00", lv(&contents)), FindingKind::UnknownElement);
    }
    let mut testbed = Testbed::new();
    testbed.expect(&store_data(&isd_p_group("3A05", NO_RULES)), "9000");
    let disable = group("3A04", &format!("4F10{}{UNKNOWN}", aid(BOOTSTRAP)));
    accepts(&mut testbed, &store_data(&disable), FindingKind::UnknownElement);
    let addressing = group("3A07", &lv_tag("A3", &format!("8107913386994211F2{UNKNOWN}")));
    accepts(&mut testbed, &store_data(&addressing), FindingKind::UnknownElement);
    accepts(
        &mut testbed,
        &format!("80CABF30{}00", lv(&format!("5C027F21{UNKNOWN}"))),
        FindingKind::UnknownElement,
    );
    // The install parameters, and the octets after the fields.
    let whole = create_isd_p(&aid(NEW), None);
    let with_parameter = whole.replacen("06C90481020370", &format!("0AC90481020370{UNKNOWN}"), 1);
    let data = &with_parameter[10..with_parameter.len() - 2];
    accepts(&mut testbed, &format!("80E60C00{}00", lv(data)), FindingKind::UnknownElement);
    let whole = create_isd_p(&aid(NEW + 1), None);
    let data = &whole[10..whole.len() - 2];
    accepts(&mut testbed, &format!("80E60C00{}00", lv(&format!("{data}00"))), FindingKind::TrailingOctets);
}

fn lv_tag(tag: &str, contents: &str) -> String {
    format!("{tag}{}", lv(contents))
}

#[test]
fn a_reserved_bit_of_store_data_is_accepted() {
    for p1 in ["8A", "8C", "8E"] {
        let mut testbed = Testbed::new();
        let apdu = store_data(&isd_p_group("3A03", NO_RULES)).replacen("80E288", &format!("80E2{p1}"), 1);
        accepts(&mut testbed, &apdu, FindingKind::ReservedBit);
    }
}

#[test]
fn a_reserved_bit_and_unknown_elements_are_accepted_in_a_key_establishment() {
    let plan = |change: fn(&mut Plan)| {
        let mut plan = Plan::for_isd_p(NEW);
        change(&mut plan);
        plan
    };
    let plans: [(Plan, FindingKind); 3] = [
        (plan(|plan| plan.scenario |= 0x10), FindingKind::ReservedBit),
        (plan(|plan| plan.more.push_str(UNKNOWN)), FindingKind::UnknownElement),
        // The discretionary data of the certificate.
        (
            plan(|plan| plan.certificate = Certificate::of("C80101 9F7F0100").octets()),
            FindingKind::UnknownElement,
        ),
    ];
    assert_eq!(SM_DP, "C80101");
    for (plan, kind) in plans {
        let mut testbed = Testbed::new();
        assert_eq!(testbed.create(NEW, None), "009000");
        let ((first, second), found) = kinds(|| establish(&mut testbed, &plan));
        assert!(first.ends_with("9000") && second.ends_with("9000"), "{kind}: {first} {second}");
        assert_eq!(found, [kind]);
    }
}

#[test]
fn an_element_that_occurs_twice_is_refused() {
    let mut testbed = Testbed::new();
    let isd_p = format!("4F10{}", aid(NO_RULES));
    for apdu in [
        store_data(&group("3A03", &isd_p.repeat(2))),
        format!("80F24002{}00", lv(&isd_p.repeat(2))),
        store_data(&group("3A07", &lv_tag("A3", &"8107913386994211F2".repeat(2)))),
    ] {
        assert_eq!(testbed.apdus(ISD_R, None, &[apdu]), ["6A80"]);
    }
}
