//! Deviations in DER.

use std::{collections::BTreeSet, path::Path};

use rsp::{
    der::{Tag, tlv},
    finding::{Finding, FindingKind},
};

use crate::{
    samples::{STANDARDS, Sample, Standard},
    tree::{Node, changed},
};

/// An element that no version defines.
const UNKNOWN: [u8; 4] = [0x9F, 0x7F, 0x01, 0x00];

/// The octets by which a value is made longer. They are digits, letters and UTF-8.
const LONGER: [u8; 2000] = [0x41; 2000];

/// The values that the standard bounds, or that have a meaning only in their length. They are refused
/// if they are longer: Annex H and the clause.
const BOUNDED: &[(&str, &str)] = &[
    ("transaction_id", "Annex H, TransactionId: 1 to 16 octets"),
    ("euicc_challenge", "5.7.7: 16 octets"),
    ("server_challenge", "5.7.13: 16 octets"),
    ("hash_cc", "5.7.5: 32 octets"),
    ("tac", "4.2: 4 octets"),
    ("imei", "4.2: 8 octets"),
    ("mcc_mnc", "2.9.2.3: 3 octets"),
    ("iccid", "Annex H, Iccid: 10 octets"),
    ("eid_value", "5.7.20: 16 octets"),
    ("key_type", "5.5.1: 1 octet"),
    ("key_len", "5.5.1: 1 octet"),
    ("initial_mac_chaining_value", "5.5.4: 16 octets"),
    ("ppk_enc", "5.5.4: 16 octets"),
    ("ppk_cmac", "5.5.4: 16 octets"),
    ("tag_list", "5.7.20: the value 5C 01 5A"),
    ("eimtransactionid", "SGP.22 Annex H, TransactionId: 1 to 16 octets"),
    ("eidvalue", "5.7.20: 16 octets"),
    ("r_plmn", "SGP.32 6.3.2.6: 3 octets"),
    ("compact_aid", "SGP.32 5.14.7: 2 octets"),
    ("euicc_minimum_security_level", "SGP.32 5.9.2: 1 octet"),
];

fn kinds(findings: &[Finding]) -> BTreeSet<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

/// Returns the type or the field at the start of the details of a kind.
fn places(findings: &[Finding], kind: FindingKind) -> impl Iterator<Item = String> {
    findings
        .iter()
        .filter(move |finding| finding.kind == kind)
        .filter_map(|finding| Some(finding.detail.split_once(':')?.0.to_owned()))
}

/// Returns the names that `name_in` finds in the lines of the sources of a standard, such as the
/// names of the types that the macros define.
fn in_sources(standard: &Standard, name_in: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(standard.folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(std::fs::read_to_string(&path).unwrap().lines().filter_map(&name_in));
            }
        }
    }
    found
}

/// The name of a SEQUENCE that is defined in this line.
fn sequence_in(line: &str) -> Option<String> {
    let (name, tag) = line.trim().strip_prefix("pub struct ")?.split_once(" = 0x")?;
    tag.contains('{').then(|| name.to_owned())
}

fn all() -> impl Iterator<Item = Sample> {
    STANDARDS.iter().flat_map(|standard| (standard.samples)())
}

#[test]
fn the_samples_have_no_findings() {
    for Sample { name, octets, decode, .. } in all() {
        assert_eq!(decode(&octets), Ok(Vec::new()), "{name}");
    }
}

#[test]
fn every_message_has_a_sample() {
    for standard in STANDARDS {
        let messages = in_sources(standard, |line| {
            let line = line.trim();
            let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
            let (name, tag) = rest.split_once(" = 0x")?;
            tag.starts_with("BF").then(|| name.to_owned())
        });
        let last = |sample: &Sample| sample.name.rsplit("::").next().unwrap().to_owned();
        let sampled: BTreeSet<String> = (standard.samples)().iter().map(last).collect();
        let missing: Vec<_> = messages.difference(&sampled).collect();
        assert!(missing.is_empty(), "add samples of {missing:?} of {}", standard.folder);
    }
}

#[test]
fn an_unknown_element_is_accepted_in_every_sequence_of_every_message() {
    let mut covered = BTreeSet::new();
    for Sample { name, octets, tag, shape, decode } in all() {
        let with_unknown = changed(&octets, tag, shape, &mut |node| match node {
            Node::Sequence(contents) => {
                let elements = tlv::each(contents).unwrap();
                let at =
                    |at: usize| [&elements[..at].concat()[..], &UNKNOWN, &elements[at..].concat()].concat();
                (0..=elements.len()).map(at).collect()
            }
            Node::Value(..) | Node::Octets(_) => Vec::new(),
        });
        for message in with_unknown {
            let findings =
                decode(&message).unwrap_or_else(|e| panic!("{name} {}: {e}", hex::encode(&message)));
            assert_eq!(kinds(&findings), [FindingKind::UnknownElement].into(), "{name}: {findings:?}");
            covered.extend(places(&findings, FindingKind::UnknownElement));
        }
    }
    for standard in STANDARDS {
        let missing: Vec<_> = in_sources(standard, sequence_in).difference(&covered).cloned().collect();
        assert!(missing.is_empty(), "add samples that contain {missing:?}");
    }
}

#[test]
fn a_reserved_bit_is_accepted_in_every_bit_string_of_every_message() {
    let mut covered = BTreeSet::new();
    for Sample { name, octets, tag, shape, decode } in all() {
        let with_bit = changed(&octets, tag, shape, &mut |node| match node {
            // Only a BIT STRING is displayed as bits.
            Node::Value(text, contents) if text(&[0x07, 0x80]).as_deref() == Some("'1'B") => {
                let mut longer = contents.to_vec();
                longer.resize(20, 0x00);
                longer[0] = 0;
                longer[19] = 0x01;
                vec![longer]
            }
            _ => Vec::new(),
        });
        for message in with_bit {
            let findings =
                decode(&message).unwrap_or_else(|e| panic!("{name} {}: {e}", hex::encode(&message)));
            assert_eq!(kinds(&findings), [FindingKind::ReservedBit].into(), "{name}: {findings:?}");
            covered.extend(places(&findings, FindingKind::ReservedBit));
        }
    }
    let covered: BTreeSet<_> = covered.iter().map(|place| field_of(place)).collect();
    for standard in STANDARDS {
        let fields = in_sources(standard, |line| {
            let line = line.trim();
            let (name, rest) = line.split_once(": ").or_else(|| line.split_once('('))?;
            (rest.contains("BitString") && rest.contains("= 0x"))
                .then(|| name.trim_start_matches("pub ").to_owned())
        });
        let missing: Vec<_> = fields.difference(&covered).collect();
        assert!(missing.is_empty(), "add samples that contain {missing:?}, or `known_bits` to these fields");
    }
}

fn field_of(place: &str) -> String {
    place.rsplit('.').next().unwrap().to_owned()
}

#[test]
fn a_long_value_is_accepted_in_every_message_unless_the_standard_bounds_it() {
    let mut covered = BTreeSet::new();
    let mut refused = BTreeSet::new();
    for Sample { name, octets, tag, shape, decode } in all() {
        let longer = changed(&octets, tag, shape, &mut |node| match node {
            Node::Value(text, _) if is_number(text) => Vec::new(),
            Node::Value(_, contents) | Node::Octets(contents) => vec![[contents, &LONGER].concat()],
            Node::Sequence(_) => Vec::new(),
        });
        for message in longer {
            match decode(&message) {
                Ok(findings) => {
                    let known =
                        [FindingKind::LongValue, FindingKind::VersionForm, FindingKind::EntryUnreadable];
                    assert!(
                        findings.iter().any(|finding| known.contains(&finding.kind)),
                        "{name} has no finding: {}",
                        hex::encode(&message)
                    );
                    covered.extend(places(&findings, FindingKind::LongValue).map(|place| field_of(&place)));
                }
                Err(error) => {
                    let bound = BOUNDED.iter().find(|(field, _)| error.path.to_lowercase().ends_with(field));
                    let (field, _) = bound.unwrap_or_else(|| panic!("{name} refuses {error}"));
                    refused.insert(*field);
                }
            }
        }
    }
    let unused: Vec<_> = BOUNDED.iter().filter(|(field, _)| !refused.contains(field)).collect();
    assert!(unused.is_empty(), "{unused:?} are accepted");
    for standard in STANDARDS {
        let fields = in_sources(standard, |line| {
            let (name, rest) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
            rest.contains(" usually ").then(|| name.to_owned())
        });
        let missing: Vec<_> = fields.difference(&covered).collect();
        assert!(missing.is_empty(), "add samples that contain {missing:?}");
    }
}

/// True if values of a type are numbers, flags, bits or OBJECT IDENTIFIERs, whose longer form is
/// another value, or certificates, which are not interpreted.
fn is_number(text: fn(&[u8]) -> Option<String>) -> bool {
    let shown = |contents: &[u8]| text(contents).unwrap_or_default();
    shown(&[]).contains(" of ")
        || shown(&[0x01]).contains('1') && shown(&[0x00, 0x80]).contains("128")
        || shown(&[0xFF]) == "true"
        || shown(&[0x07, 0x80]) == "'1'B"
        || shown(&[0x88, 0x37]) == "2.999"
        || shown(&[]) == "Null"
}

#[test]
fn octets_after_a_message_are_accepted() {
    for Sample { name, octets, decode, .. } in all() {
        let findings =
            decode(&[&octets[..], &[0x00, 0x00]].concat()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(findings, [Finding::new(FindingKind::TrailingOctets, "2 octets")], "{name}");
    }
}

#[test]
fn a_length_in_another_form_is_accepted_in_every_message() {
    for Sample { name, octets, tag, decode, .. } in all() {
        if tag == Tag::CHOICE {
            continue;
        }
        let (_, contents) = tlv::split(&octets).unwrap();
        let mut message = Vec::new();
        tag.write(&mut message);
        message.extend([0x84, 0, 0]);
        message.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
        message.extend(contents);
        let findings = decode(&message).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(findings.iter().any(|finding| finding.kind == FindingKind::NotDer), "{name}: {findings:?}");
    }
}
