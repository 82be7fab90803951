//! Verification of the issued certificates with OpenSSL.

use std::path::Path;
use std::process::Command;

use super::{CURVES, pki, sgp26, write};
use crate::{Certificate, Credential, Defect, Pki, Role};

/// Runs `openssl` and returns its success and output.
fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// `openssl verify` of a chain, at a fixed time.
fn verify(folder: &Path, ci: &Certificate, between: &[&Certificate], leaf: &Certificate) -> (bool, String) {
    let pem = |name: &str, certificates: &[&Certificate]| {
        use base64::Engine;
        let text: String = certificates
            .iter()
            .map(|certificate| {
                let body = base64::engine::general_purpose::STANDARD.encode(certificate.der());
                let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
                format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
            })
            .collect();
        write(folder, name, text.as_bytes()).to_str().unwrap().to_owned()
    };
    let (ci, leaf) = (pem("ci.pem", &[ci]), pem("leaf.pem", &[leaf]));
    let mut arguments = vec![
        "verify",
        "-x509_strict",
        "-check_ss_sig",
        "-attime",
        "1788220800",
        "-purpose",
        "any",
        "-CAfile",
        &ci,
    ];
    let untrusted = pem("between.pem", between);
    if !between.is_empty() {
        arguments.extend(["-untrusted", &untrusted]);
    }
    arguments.push(&leaf);
    openssl(&arguments)
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn openssl_verifies_ci_eum_and_servers_on_both_curves() {
    let folder = tempfile::tempdir().unwrap();
    let pki = pki();
    for curve in CURVES {
        let ci = pki.ci(curve).unwrap();
        for entry in pki.entries() {
            let leaf = &entry.certificate;
            if leaf.curve() != curve || leaf.role() == Some(Role::Euicc) {
                continue;
            }
            let (verified, output) = verify(folder.path(), ci, &[], leaf);
            assert!(verified, "{}: {output}", entry.path);
        }
    }
}

/// OpenSSL requires a name constraint to be a prefix of the subject's name, whereas GSMA matches it
/// attribute by attribute. The test therefore checks only that OpenSSL treats the issued
/// certificates like the published ones.
#[test]
#[cfg_attr(
    not(all(has_openssl, has_sgp26)),
    ignore = "needs openssl and the SGP.26 test certificates (../shared/data/sgp26)"
)]
fn openssl_treats_issued_euicc_certificates_like_the_published_ones() {
    let folder = tempfile::tempdir().unwrap();
    let published = sgp26();
    let verdict = |pki: &Pki, curve| {
        let held = pki.euicc(curve, pki.eids(curve)[0]).unwrap();
        let (verified, output) = verify(folder.path(), &held.ci, &[&held.eum], &held.euicc.certificate);
        let error = output.lines().find(|line| line.contains("error ")).unwrap_or_default();
        (verified, error.split(" at ").next().unwrap_or_default().to_owned())
    };
    let issued = pki();
    for curve in CURVES {
        assert_eq!(verdict(&issued, curve).1, verdict(&published, curve).1);
    }
}

/// Without the name constraints (same EUM, same key), OpenSSL accepts the rest of the chain.
#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn openssl_verifies_euicc_certificates_below_an_eum_without_name_constraints() {
    let folder = tempfile::tempdir().unwrap();
    let pki = pki();
    for curve in CURVES {
        let eum = pki.issue_with(Defect::NoEidRange, Role::Eum, curve).unwrap();
        let eum = super::read(eum.der);
        for eid in pki.eids(curve) {
            let held = pki.euicc(curve, eid).unwrap();
            let (verified, output) = verify(folder.path(), &held.ci, &[&eum], &held.euicc.certificate);
            assert!(verified, "{eid} on {curve}: {output}");
        }
    }
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn openssl_decodes_the_extensions() {
    let folder = tempfile::tempdir().unwrap();
    let pki = pki();
    let eum = write(folder.path(), "eum.der", pki.eum(CURVES[1]).unwrap().der());
    let (read, output) =
        openssl(&["x509", "-inform", "der", "-in", eum.to_str().unwrap(), "-noout", "-text"]);
    assert!(read, "{output}");
    for fact in [
        "CA:TRUE, pathlen:0",
        "Policy: 2.23.146.1.2.1.2",
        "Registered ID:2.999.5",
        "DirName:O = Landfall Test EUM, serialNumber = 89049032",
        "brainpoolP256r1",
        "Certificate Sign",
    ] {
        assert!(output.contains(fact), "{fact} is not in {output}");
    }
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn openssl_reads_both_encodings_of_private_keys() {
    let folder = tempfile::tempdir().unwrap();
    let pki = pki();
    for curve in CURVES {
        let Credential { certificate, key } = pki.dp(curve).unwrap().auth;
        let credential = Credential { certificate, key };
        let pem = write(folder.path(), "key.pem", &credential.key_pem());
        let pkcs8 = write(folder.path(), "key.p8", &credential.key_pkcs8());
        let point = hex::encode(credential.key.public_key().to_sec1());
        for (form, file) in [("PEM", pem), ("DER", pkcs8)] {
            let file = file.to_str().unwrap();
            let (read, output) = openssl(&[
                "pkey",
                "-inform",
                form,
                "-in",
                file,
                "-pubout",
                "-outform",
                "DER",
                "-text_pub",
                "-noout",
            ]);
            let compact: String = output.chars().filter(char::is_ascii_hexdigit).collect();
            assert!(read && compact.to_lowercase().contains(&point), "{form} on {curve}: {output}");
        }
    }
}
