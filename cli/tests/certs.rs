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

/// Makes a PKI without one of the curves, `NIST` or `BRP`, out of the default one.
fn pki_without(curve: &str, folder: &Path) {
    succeed(landfall(folder).args(["certs", "init"]));
    fn remove(ending: &str, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => remove(ending, &path),
                false if path.to_string_lossy().contains(ending) => fs::remove_file(&path).unwrap(),
                false => {}
            }
        }
    }
    remove(&format!("_{curve}."), &folder.join("pki"));
}

#[test]
fn a_pki_on_brainpool_only_serves_a_whole_download() {
    let folder = tempfile::tempdir().unwrap();
    pki_without("NIST", folder.path());
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

const NIST: &str = "prime256v1";
const BRAINPOOL: &str = "brainpoolP256r1";

/// The servers with TLS: the command, the name of the address, and further options.
const SERVERS: &[(&str, &str, &[&str])] = &[
    ("sm-dp", "sm_dp", &[]),
    ("sm-ds", "sm_ds", &[]),
    ("sm-sr", "sm_sr", &["--listen-cards", "none"]),
    ("eim", "eim", &["--listen-api", "none"]),
    ("fleet", "platform", &["--listen-api", "none"]),
];

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
    succeed(landfall(folder.path()).args(["certs", "init"]));
    for (party, name, options) in SERVERS {
        let serve = ["--json", party, "serve", "--listen", "127.0.0.1:0=nist"];
        let more = ["--listen", "127.0.0.1:0=brainpool", "--listen", "127.0.0.1:0"];
        let server = Running::start(landfall(folder.path()).args(serve).args(more).args(*options));
        let ready = server.out.json();
        let at = |name: &str| ready["addresses"][name].as_str().unwrap().to_owned();
        assert_eq!(presented(&at(name)), NIST, "{party}");
        assert_eq!(presented(&at(&format!("{name}_2"))), BRAINPOOL, "{party}");
        assert_eq!(presented(&at(&format!("{name}_3"))), NIST, "{party}");
    }
    let refused = fail(landfall(folder.path()).args(["sm-dp", "serve", "--listen", "127.0.0.1:0=p521"]));
    assert!(refused.contains("nist or brainpool"), "{refused}");
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn every_server_starts_with_a_pki_on_one_curve() {
    for (missing, curve) in [("BRP", NIST), ("NIST", BRAINPOOL)] {
        let folder = tempfile::tempdir().unwrap();
        pki_without(missing, folder.path());
        for (party, name, options) in SERVERS {
            let serve = [party, "serve", "--listen", "127.0.0.1:0"];
            let mut command = landfall(folder.path());
            command.args(serve).args(*options);
            // The certificates with which an SM-SR takes a card over are on P-256.
            if (*party, curve) == ("sm-sr", BRAINPOOL) {
                let refused = fail(&mut command);
                assert!(refused.contains("no CI on NIST P-256"), "{refused}");
                continue;
            }
            let server = Running::start(command.arg("--json"));
            let ready = server.out.json();
            assert_eq!(presented(ready["addresses"][name].as_str().unwrap()), curve, "{party}");
        }
        let free = "127.0.0.1:0";
        let up = ["--json", "up", "--no-card", "--sm-dp", free, "--network", free, "--sm-ds", free];
        let up = Running::start(landfall(folder.path()).args(up));
        let ready = up.out.json();
        for name in ["sm_dp", "sm_ds"] {
            assert_eq!(presented(ready["addresses"][name].as_str().unwrap()), curve, "up: {name}");
        }
    }
}
