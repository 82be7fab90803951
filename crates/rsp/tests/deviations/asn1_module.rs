//! The messages of SGP.32 are those of an ASN.1 module: asn1tools (Python) decodes each sample with the
//! module, and encodes it to the same octets.

use rsp::der::{Reader, Tag};

use crate::{asn1_encoder::encoded_again, samples::STANDARDS};

/// Elements of SGP.32 v1.3 and of SGP.22 v3, which the modules of v1.2 and v2 do not have: the end of
/// their path, and their name.
const LATER: &[(&str, &str)] = &[
    ("/a2/8f", "euiccPackageUnsignedErrorCode"),
    ("/e3/bf64", "iotSpecificProfileInfo"),
    ("/bf2a/9f67", "fallbackAllowed in UpdateMetadata"),
    ("/aa", "esipaProprietaryProtocolInformation of an eIM"),
    ("/a8/a2", "esipaProprietaryProtocolInformation of an IPA"),
    ("/b4/83", "fallbackAllowedUpdate of EUICCInfo2"),
    ("/bf22/95", "euiccMinimumSecurityLevel"),
    ("/a0/82", "operationType of ctxParams1 (SGP.22 v3)"),
    ("/a0/5a", "iccid of ctxParams1 (SGP.22 v3)"),
    ("/a0/a3", "matchingIdSource of ctxParams1 (SGP.22 v3)"),
    ("/a1/04", "euiccCiPKIdentifierToBeUsed in a compact notification"),
];

/// Alternatives of v1.3: eimPackageReceivedWithCid and eimPackageErrorWithCid.
const LATER_ALTERNATIVES: &[Tag] = &[Tag(0xBF60), Tag(0xBF61)];

#[test]
#[cfg_attr(
    not(has_sgp32_asn),
    ignore = "needs LANDFALL_SGP32_ASN, a folder with the ASN.1 modules of SGP.32"
)]
fn asn1tools_encodes_each_message_to_the_same_octets() {
    let standard = STANDARDS.iter().find(|standard| standard.folder == "sgp32").unwrap();
    let samples = (standard.samples)();
    let names: Vec<String> = samples.iter().map(|sample| sample.name.replace(' ', "")).collect();
    let results = encoded_again(
        names.iter().map(String::as_str).zip(samples.iter().map(|sample| sample.octets.as_slice())),
    );
    let mut wrong = Vec::new();
    let mut missing = Vec::new();
    for (sample, result) in samples.iter().zip(&results) {
        let alternative = Reader::new(&sample.octets).enter(sample.tag).and_then(|inner| inner.peek());
        let is_later = matches!(alternative, Ok(Some(tag)) if LATER_ALTERNATIVES.contains(&tag));
        match result.split_once(' ') {
            None if result == "same" => {}
            Some(("without", paths)) => missing.extend(paths.split(' ')),
            Some(("error", _)) if is_later => {}
            _ => wrong.push(format!("{} {}: {result}", sample.name, hex::encode(&sample.octets))),
        }
    }
    let is_known = |path: &&str| LATER.iter().any(|(end, _)| path.ends_with(end));
    wrong.extend(
        missing.iter().filter(|path| !is_known(path)).map(|path| format!("{path} is not in the module")),
    );
    let is_found = |end: &str| missing.iter().any(|path| path.ends_with(end));
    let unused = LATER.iter().filter(|(end, _)| !is_found(end));
    wrong.extend(unused.map(|(_, name)| format!("the module has {name}, or no sample contains it")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
