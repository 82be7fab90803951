//! asn1tools (Python) as a second encoder: it decodes messages with an ASN.1 module, and encodes them
//! again.
//!
//! The modules of the GSMA cannot be redistributed. `LANDFALL_SGP32_ASN` is a folder with the modules
//! SGP32Definitions, RSPDefinitions, PEDefinitions, PKIX1Explicit88 and PKIX1Implicit88 (`*.asn`), for
//! example those of osmo-ttcn3-hacks in `library/euicc`. `LANDFALL_ASN1TOOLS_PYTHON` is a Python with the
//! package asn1tools, if `python3` does not have it.

use std::{
    env,
    io::Write,
    process::{Command, Stdio},
    thread,
};

/// Returns a line for each message, as `asn1_module.py` describes it. A message is the name of a type
/// and the octets.
pub(crate) fn encoded_again<'a>(messages: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<String> {
    let lines: Vec<String> =
        messages.into_iter().map(|(name, octets)| format!("{name} {}\n", hex::encode(octets))).collect();
    let python = env::var("LANDFALL_ASN1TOOLS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut child = Command::new(python)
        .args(["-c", include_str!("asn1_module.py")])
        .arg(env::var("LANDFALL_SGP32_ASN").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (input, count) = (lines.concat(), lines.len());
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "asn1_module.py failed; its error is above");
    let results = String::from_utf8(output.stdout).unwrap();
    assert_eq!(results.lines().count(), count, "{results}");
    results.lines().map(str::to_owned).collect()
}
