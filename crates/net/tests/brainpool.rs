//! Interoperability with OpenSSL on brainpoolP256r1 as client and server. OpenSSL supports the
//! curve in TLS 1.2, and in TLS 1.3 since version 3.2.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use certs::{Credential, Pki, PkiOptions, ServerName, Validity};
use common::{clock, serve_mirror, time};
use crypto::Curve;
use http::Request;
use net::{Client, ClientAuth, ClientTls, Identity, ServerTls};
use world::send;

const NAME: &str = "smdp.example.com";
const BRAINPOOL: &str = "brainpoolP256r1";

fn pki() -> Pki {
    Pki::from_seed(b"brainpool tls", &PkiOptions::default()).unwrap()
}

fn leaf(pki: &Pki, curve: Curve) -> Credential {
    let validity = Validity { from: time("2026-01-01T00:00:00Z"), to: time("2027-01-01T00:00:00Z") };
    pki.issue_dp_tls_on(curve, &[ServerName::Dns(NAME.into())], validity).unwrap()
}

fn identity(credential: &Credential) -> Identity {
    Identity { chain: vec![credential.certificate.der().to_vec()], key: credential.key_pkcs8().into() }
}

/// The output of `openssl s_client` with these arguments.
async fn s_client(address: String, arguments: &'static [&'static str]) -> String {
    let client = move || {
        let connect = ["s_client", "-connect", &address, "-servername", NAME];
        let output =
            Command::new("openssl").args(connect).args(arguments).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    tokio::task::spawn_blocking(client).await.unwrap()
}

#[tokio::test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn a_client_gets_the_certificate_of_its_curve() {
    let pki = pki();
    let [nist, brainpool] = [Curve::P256, Curve::BrainpoolP256r1].map(|curve| identity(&leaf(&pki, curve)));
    let tls = ServerTls::on_both_curves(&nist, &brainpool, &ClientAuth::None, Arc::new(clock())).unwrap();
    let (address, _server) = serve_mirror(Some(tls)).await;
    let cases: [(&[&str], &str, &str); 4] = [
        (&["-tls1_2", "-groups", BRAINPOOL], "ECDH, brainpoolP256r1", "ASN1 OID: brainpoolP256r1"),
        (&["-tls1_2", "-groups", "prime256v1"], "ECDH, prime256v1", "ASN1 OID: prime256v1"),
        (&["-tls1_2", "-groups", "prime256v1:brainpoolP256r1"], "ECDH, ", "ASN1 OID: prime256v1"),
        (&["-tls1_3"], "Server Temp Key", "ASN1 OID: prime256v1"),
    ];
    for (arguments, exchange, key) in cases {
        let output = s_client(address.clone(), arguments).await;
        assert!(output.contains(exchange) && output.contains("Cipher is "), "{arguments:?}: {output}");
        let (_, certificate) = output.split_once("-----BEGIN CERTIFICATE-----").unwrap();
        let (certificate, _) = certificate.split_once("-----END CERTIFICATE-----").unwrap();
        assert!(curve_of(certificate).contains(key), "{arguments:?}");
    }
}

/// The output of `openssl x509 -text` for a certificate in base64.
fn curve_of(base64: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leaf.pem");
    let pem = format!("-----BEGIN CERTIFICATE-----{base64}-----END CERTIFICATE-----\n");
    std::fs::write(&file, pem).unwrap();
    let output = Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(&file).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// An `openssl s_server` that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `openssl s_server` with a certificate and its key, and returns its address.
fn s_server(folder: &Path, credential: &Credential) -> (Server, String) {
    let (certificate, key) = (folder.join("leaf.der"), folder.join("key.pem"));
    std::fs::write(&certificate, credential.certificate.der()).unwrap();
    std::fs::write(&key, credential.key_pem()).unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-tls1_2", "-groups", BRAINPOOL]);
    command.args(["-certform", "DER", "-cert"]).arg(&certificate).arg("-key").arg(&key);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
    // The output must be read, or the server blocks.
    std::thread::spawn(move || lines.for_each(drop));
    (Server(child), address)
}

#[tokio::test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn the_client_works_with_a_brainpool_only_server() {
    let pki = pki();
    let folder = tempfile::tempdir().unwrap();
    let (_server, address) = s_server(folder.path(), &leaf(&pki, Curve::BrainpoolP256r1));
    for (curve, accepted) in [(Curve::BrainpoolP256r1, true), (Curve::P256, false)] {
        let root = pki.ci(curve).unwrap().der().to_vec();
        let tls = ClientTls::new(&[root], None, Arc::new(clock())).unwrap();
        let link = Client::default().with_connect_to(NAME, &address).link(NAME, Some(tls)).unwrap();
        let answer = send(&link, Request::default()).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
        if let Ok(page) = answer {
            assert!(String::from_utf8_lossy(page.body()).contains("brainpoolP256r1"));
        }
    }
}
