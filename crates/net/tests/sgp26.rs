//! Test with GSMA's test certificates (SGP.26, variant O): a handshake with the published TLS
//! certificate of the SM-DP+.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use certs::{Pki, Role};
use common::{clock, serve_mirror, time};
use crypto::Curve;
use http::Request;
use net::tls::pkcs8_p256;
use net::{Client, ClientAuth, ClientTls, Identity, ServerTls};
use world::{LinkFaultKind, ManualClock, send};

const NAME: &str = "testsmdpplus1.example.com";

#[tokio::test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
async fn the_published_tls_certificate_is_accepted_under_the_published_root() {
    let data = Data::find();
    let (address, _server) = serve_mirror(Some(data.server_tls().unwrap())).await;
    let client = Client::default().with_connect_to(NAME, &address);

    let link = client.link(NAME, Some(data.client_tls(clock()))).unwrap();
    assert_eq!(send(&link, Request::default()).await.unwrap().body(), "HTTP/2.0 / 0 nobody");

    let late = ManualClock::at(time("2027-02-07T00:00:00Z"));
    let link = client.link(NAME, Some(data.client_tls(late))).unwrap();
    assert_eq!(send(&link, Request::default()).await.unwrap_err().kind, LinkFaultKind::Tls, "expired");

    let other = "testsmdpplus2.example.com";
    let link = Client::default().with_connect_to(other, &address).link(other, Some(data.client_tls(clock())));
    assert_eq!(
        send(&link.unwrap(), Request::default()).await.unwrap_err().kind,
        LinkFaultKind::Tls,
        "other name"
    );
}

/// Both ends use the same certificate, because its extended key usage has serverAuth and
/// clientAuth.
#[tokio::test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
async fn the_published_tls_certificate_serves_a_client_too() {
    let data = Data::find();
    let identity = data.identity();
    let auth = ClientAuth::optional(vec![data.root()]);
    let server_tls = ServerTls::new(&identity, &auth, Arc::new(clock())).unwrap();
    let (address, _server) = serve_mirror(Some(server_tls)).await;
    let tls = ClientTls::new(&[data.root()], Some(&identity), Arc::new(clock())).unwrap();
    let link = Client::default().with_connect_to(NAME, &address).link(NAME, Some(tls)).unwrap();
    let seen = send(&link, Request::default()).await.unwrap();
    assert_eq!(*seen.body(), format!("HTTP/2.0 / 0 {}", hex::encode(&identity.chain[0])));
}

#[tokio::test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
async fn the_published_brainpool_certificate_is_accepted_under_its_root() {
    let data = Data::find();
    let listing = [
        "CertificateIssuer/CERT_CI_ECDSA_NIST.der",
        "CertificateIssuer/CERT_CI_ECDSA_BRP.der",
        "DPtls/CERT_S_SM_DP_VARO_TLS_BRP.der",
        "test-scalars.csv",
    ];
    let pki = Pki::from_files(&listing.map(str::to_owned), |name| Some(data.read(name))).unwrap();
    let credential = pki.credential(Role::DpTls, Curve::BrainpoolP256r1).unwrap();
    let identity =
        Identity { chain: vec![credential.certificate.der().to_vec()], key: credential.key_pkcs8().into() };
    let root = data.read("CertificateIssuer/CERT_CI_ECDSA_BRP.der");
    let tls = ServerTls::new(&identity, &ClientAuth::None, Arc::new(clock())).unwrap();
    let (address, _server) = serve_mirror(Some(tls)).await;
    for (root, accepted) in [(root, true), (data.root(), false)] {
        let tls = ClientTls::new(&[root], None, Arc::new(clock())).unwrap();
        let link = Client::default().with_connect_to(NAME, &address).link(NAME, Some(tls)).unwrap();
        assert_eq!(send(&link, Request::default()).await.is_ok(), accepted);
    }
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn a_certificate_with_another_certificates_key_is_refused_at_the_start() {
    let data = Data::find();
    let chain = vec![data.read("DPtls/CERT_S_SM_DP_VARO_TLS_BRP.der")];
    let identity = Identity { chain, key: data.identity().key };
    let fault = ServerTls::new(&identity, &ClientAuth::None, Arc::new(clock())).unwrap_err();
    assert!(fault.next.contains("the key belongs to it"), "{fault}");
}

struct Data(PathBuf);

impl Data {
    fn find() -> Self {
        Self(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/sgp26")))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    fn root(&self) -> Vec<u8> {
        self.read("CertificateIssuer/CERT_CI_ECDSA_NIST.der")
    }

    fn identity(&self) -> Identity {
        let leaf = self.read("DPtls/CERT_S_SM_DP_VARO_TLS_NIST.der");
        let scalars = String::from_utf8(self.read("test-scalars.csv")).unwrap();
        let row = scalars.lines().find(|line| line.contains(",SK_S_SM_DP_TLS_NIST,")).unwrap();
        let scalar = hex::decode(row.rsplit(',').next().unwrap()).unwrap();
        // The uncompressed point follows its BIT STRING header of 66 bytes without unused bits.
        let at = leaf.windows(4).position(|window| window == [0x03, 0x42, 0x00, 0x04]).unwrap() + 3;
        let point: [u8; 65] = leaf[at..at + 65].try_into().unwrap();
        Identity { chain: vec![leaf], key: pkcs8_p256(&scalar.try_into().unwrap(), &point) }
    }

    fn server_tls(&self) -> Result<ServerTls, world::Fault> {
        ServerTls::new(&self.identity(), &ClientAuth::None, Arc::new(clock()))
    }

    fn client_tls(&self, clock: ManualClock) -> ClientTls {
        ClientTls::new(&[self.root()], None, Arc::new(clock)).unwrap()
    }
}
