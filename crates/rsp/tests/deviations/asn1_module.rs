//! The messages of SGP.32 are those of an ASN.1 module: asn1tools (Python) decodes each sample with the
//! module, and encodes it to the same octets.
//!
//! The modules of the GSMA cannot be redistributed. `LANDFALL_SGP32_ASN` is a folder with the modules
//! SGP32Definitions, RSPDefinitions, PEDefinitions, PKIX1Explicit88 and PKIX1Implicit88 (`*.asn`), for
//! example those of osmo-ttcn3-hacks in `library/euicc`. `LANDFALL_ASN1TOOLS_PYTHON` is a Python with the
//! package asn1tools, if `python3` does not have it.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
};

use rsp::der::{Reader, Tag};

use crate::samples::STANDARDS;

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
    let lines: String = samples
        .iter()
        .map(|sample| format!("{} {}\n", sample.name.replace(' ', ""), hex::encode(&sample.octets)))
        .collect();
    let python = env::var("LANDFALL_ASN1TOOLS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deviations/asn1_module.py"))
        .arg(env::var("LANDFALL_SGP32_ASN").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "asn1_module.py failed; its error is above");
    let results = String::from_utf8(output.stdout).unwrap();
    assert_eq!(results.lines().count(), samples.len(), "{results}");
    let mut wrong = Vec::new();
    let mut missing = Vec::new();
    for (sample, result) in samples.iter().zip(results.lines()) {
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
