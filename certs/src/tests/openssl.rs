//! OpenSSL's opinion of our certificates.

use std::path::Path;
use std::process::Command;

use super::{CURVES, pki, sgp26, write};
use crate::{Certificate, Credential, Defect, Pki, Role};

/// What `openssl` said; `None`, said aloud, when there is no such program.
fn openssl(arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("openssl").args(arguments).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(e) => {
            println!("skipped: no openssl ({e})");
            None
        }
    }
}

/// `openssl verify` of a chain, at a fixed time.
fn verify(
    folder: &Path,
    ci: &Certificate,
    between: &[&Certificate],
    leaf: &Certificate,
) -> Option<(bool, String)> {
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
            let Some((verified, said)) = verify(folder.path(), ci, &[], leaf) else { return };
            assert!(verified, "{}: {said}", entry.path);
        }
    }
}

/// OpenSSL wants a name constraint to be the beginning of the subject's name, where GSMA has it match attribute by
/// attribute. So what can be asked is: does it treat ours as it treats the published ones?
#[test]
fn openssl_treats_our_euicc_certificates_like_the_published_ones() {
    let folder = tempfile::tempdir().unwrap();
    let Some(published) = sgp26() else { return };
    let verdict = |pki: &Pki, curve| {
        let held = pki.euicc(curve, pki.eids(curve)[0]).unwrap();
        let (verified, said) = verify(folder.path(), &held.ci, &[&held.eum], &held.euicc.certificate)?;
        let error = said.lines().find(|line| line.contains("error ")).unwrap_or_default();
        Some((verified, error.split(" at ").next().unwrap_or_default().to_owned()))
    };
    let ours = pki();
    for curve in CURVES {
        let (Some(ours), Some(theirs)) = (verdict(&ours, curve), verdict(&published, curve)) else { return };
        assert_eq!(ours.1, theirs.1);
    }
}

/// With the name constraints out of the way (same EUM, same key), the rest of the chain holds for OpenSSL too.
#[test]
fn openssl_verifies_euicc_certificates_below_an_eum_without_name_constraints() {
    let folder = tempfile::tempdir().unwrap();
    let pki = pki();
    for curve in CURVES {
        let eum = pki.issue_with(Defect::NoEidRange, Role::Eum, curve).unwrap();
        let eum = super::read(eum.der);
        for eid in pki.eids(curve) {
            let held = pki.euicc(curve, eid).unwrap();
            let chain = verify(folder.path(), &held.ci, &[&eum], &held.euicc.certificate);
            let Some((verified, said)) = chain else { return };
            assert!(verified, "{eid} on {curve}: {said}");
        }
    }
}

#[test]
fn openssl_finds_the_same_facts_in_every_extension() {
    let folder = tempfile::tempdir().unwrap();
    let pki = pki();
    let eum = write(folder.path(), "eum.der", pki.eum(CURVES[1]).unwrap().der());
    let Some((true, said)) =
        openssl(&["x509", "-inform", "der", "-in", eum.to_str().unwrap(), "-noout", "-text"])
    else {
        return;
    };
    for fact in [
        "CA:TRUE, pathlen:0",
        "Policy: 2.23.146.1.2.1.2",
        "Registered ID:2.999.5",
        "DirName:O = Landfall Test EUM, serialNumber = 89049032",
        "brainpoolP256r1",
        "Certificate Sign",
    ] {
        assert!(said.contains(fact), "{fact} is not in {said}");
    }
}

#[test]
fn openssl_reads_both_forms_of_our_keys_and_finds_the_same_point() {
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
            let Some((read, said)) = openssl(&[
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
            ]) else {
                return;
            };
            let compact: String = said.chars().filter(char::is_ascii_hexdigit).collect();
            assert!(read && compact.to_lowercase().contains(&point), "{form} on {curve}: {said}");
        }
    }
}
