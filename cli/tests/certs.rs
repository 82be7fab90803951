//! `landfall certs show`, and servers on one curve.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use common::{Running, fail, landfall, succeed};
use serde_json::Value;

const EUM: &str = "pki/EUM/CERT_EUM_ECDSA_NIST.der";

#[test]
fn certs_show_marks_each_invalid_chain_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    let shown = succeed(landfall(folder.path()).args(["certs", "show"]));
    assert!(shown.lines().all(|line| line.ends_with(" | valid")), "{shown}");
    let file = folder.path().join(EUM);
    let mut octets = fs::read(&file).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    fs::write(&file, octets).unwrap();
    let output = landfall(folder.path()).args(["--json", "certs", "show"]).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let invalid = |row: &&Value| row["is_valid"] == false;
    let eum = rows.as_array().unwrap().iter().find(invalid).unwrap();
    assert_eq!(eum["path"], "EUM/CERT_EUM_ECDSA_NIST.der");
    assert_eq!(eum["why"], "the EUM certificate was not signed by its issuer");
    let text = landfall(folder.path()).args(["certs", "show"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let euicc = text.lines().find(|line| line.starts_with("eUICC/") && line.contains("NIST")).unwrap();
    assert!(euicc.contains(" | INVALID: "), "{text}");
}

#[test]
fn only_the_owner_can_read_the_data_folder_and_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    succeed(landfall(&data).args(["certs", "init"]));
    succeed(landfall(&data).args(["device", "info"]));
    fn check(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o077;
        let is_certificate = path.extension().is_some_and(|extension| extension == "der");
        assert!(mode == 0 || is_certificate, "{} has {mode:o} for others", path.display());
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| check(&entry.unwrap().path()));
        }
    }
    check(&data);
}

#[test]
fn the_stock_list_has_no_hash_of_a_confirmation_code() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["--json", "sm-dp", "serve", "--listen", "127.0.0.1:0"];
    let mut server = Running::start(landfall(folder.path()).args(serve));
    let ready = server.out.json();
    let at = ready["addresses"]["sm_dp"].as_str().unwrap();
    let file = folder.path().join("p.der");
    let file = file.to_str().unwrap();
    succeed(landfall(folder.path()).args(["profile", "new", file]));
    let iccid = succeed(landfall(folder.path()).args(["sm-dp", "add", file, "--sm-dp", at]));
    let code = folder.path().join("code");
    std::fs::write(&code, "1234\n").unwrap();
    let order = ["operator", "order", iccid.trim(), "--confirmation-code-file", "-", "--sm-dp", at];
    succeed(landfall(folder.path()).args(order).stdin(fs::File::open(&code).unwrap()));
    server.kill();
    let list = succeed(landfall(folder.path()).args(["--json", "sm-dp", "list"]));
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["order"]["confirmation_code_required"], true);
    let text = list.to_string();
    assert!(!text.contains("hash") && !text.contains("digest"), "{text}");
}

/// Makes a PKI on Brainpool only out of the default one.
fn brainpool_pki(folder: &Path) {
    succeed(landfall(folder).args(["certs", "init"]));
    fn remove_nist(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => remove_nist(&path),
                false if path.to_string_lossy().contains("_NIST.") => fs::remove_file(&path).unwrap(),
                false => {}
            }
        }
    }
    remove_nist(&folder.join("pki"));
}

#[test]
fn a_pki_on_brainpool_only_serves_a_whole_download() {
    let folder = tempfile::tempdir().unwrap();
    brainpool_pki(folder.path());
    let serve = ["--json", "sm-dp", "serve", "--listen", "127.0.0.1:0"];
    let server = Running::start(landfall(folder.path()).args(serve));
    let ready = server.out.json();
    let at = ready["addresses"]["sm_dp"].as_str().unwrap();
    assert!(ready["root_certificate"].as_str().unwrap().ends_with("_BRP.der"), "{ready}");
    let file = folder.path().join("p.der");
    let file = file.to_str().unwrap();
    succeed(landfall(folder.path()).args(["profile", "new", file]));
    let iccid = succeed(landfall(folder.path()).args(["sm-dp", "add", file, "--sm-dp", at]));
    let code = succeed(landfall(folder.path()).args(["operator", "order", iccid.trim(), "--sm-dp", at]));
    succeed(landfall(folder.path()).args(["device", "download", code.trim(), "--sm-dp", at]));
}

/// Returns the curve of the certificate that a server presents to a client that offers both.
fn presented(at: &str) -> String {
    let client = "openssl s_client -connect \"$0\" -tls1_2 -sigalgs ECDSA+SHA256 \
        -groups P-256:brainpoolP256r1 </dev/null 2>/dev/null | openssl x509 -noout -text";
    let output = Command::new("sh").args(["-c", client, at]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let curve = text.lines().find_map(|line| line.trim().strip_prefix("ASN1 OID: "));
    curve.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn each_listener_presents_the_certificate_of_its_curve() {
    let folder = tempfile::tempdir().unwrap();
    for (party, name) in [("sm-dp", "sm_dp"), ("sm-ds", "sm_ds")] {
        let serve = ["--json", party, "serve", "--listen", "127.0.0.1:0=nist"];
        let more = ["--listen", "127.0.0.1:0=brainpool", "--listen", "127.0.0.1:0"];
        let server = Running::start(landfall(folder.path()).args(serve).args(more));
        let ready = server.out.json();
        let at = |name: &str| ready["addresses"][name].as_str().unwrap().to_owned();
        assert_eq!(presented(&at(name)), "prime256v1", "{party}");
        assert_eq!(presented(&at(&format!("{name}_2"))), "brainpoolP256r1", "{party}");
        assert_eq!(presented(&at(&format!("{name}_3"))), "prime256v1", "{party}");
    }
    let refused = fail(landfall(folder.path()).args(["sm-dp", "serve", "--listen", "127.0.0.1:0=p521"]));
    assert!(refused.contains("nist or brainpool"), "{refused}");
}
