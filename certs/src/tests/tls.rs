//! TLS handshakes of rustls with the issued certificates, with server and client authentication.

use std::sync::Arc;
use std::time::Duration;

use crypto::Curve;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::{now, pki, sgp26};
use crate::{Credential, Defect, Pki, Role};

/// A fixed clock for the tests.
#[derive(Debug)]
struct Fixed;

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now().seconds().try_into().unwrap())))
    }
}

fn roots(pki: &Pki) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(pki.ci(Curve::P256).unwrap().der().to_vec())).unwrap();
    Arc::new(roots)
}

fn parts(credential: &Credential) -> (Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>) {
    (vec![CertificateDer::from(credential.certificate.der().to_vec())], credential.key_pkcs8().into())
}

/// Performs a complete handshake in memory, with certificates on both sides.
fn handshake(pki: &Pki, server: &Credential, client: &Credential, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server_verifier =
        WebPkiServerVerifier::builder_with_provider(roots(pki), provider.clone()).build().unwrap();
    let client_verifier =
        WebPkiClientVerifier::builder_with_provider(roots(pki), provider.clone()).build().unwrap();
    let (chain, key) = parts(client);
    let client = ClientConfig::builder_with_details(provider.clone(), Arc::new(Fixed))
        .with_safe_default_protocol_versions()?
        .with_webpki_verifier(server_verifier)
        .with_client_auth_cert(chain, key.into())?;
    let (chain, key) = parts(server);
    let server = ServerConfig::builder_with_details(provider, Arc::new(Fixed))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(client_verifier)
        .with_single_cert(chain, key.into())?;
    let mut client =
        ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn rustls_accepts_server_and_operator_by_every_name() {
    let pki = pki();
    let operator = pki.operator("Landfall Test Operator").unwrap();
    let dp = pki.dp(Curve::P256).unwrap().tls;
    for name in ["smdpp.landfall.example", "localhost", "127.0.0.1"] {
        handshake(&pki, &dp, &operator, name).unwrap();
    }
    assert!(handshake(&pki, &dp, &operator, "elsewhere.example").is_err());
    handshake(&pki, &pki.ds(Curve::P256).unwrap().tls, &dp, "smds.landfall.example").unwrap();
    handshake(&pki, &pki.sm_sr().unwrap(), &pki.sm_sr().unwrap(), "smsr.landfall.example").unwrap();
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn rustls_accepts_a_fresh_leaf_below_the_published_ci() {
    let pki = sgp26();
    let validity = pki.ci(Curve::P256).unwrap().validity();
    let names = ["testsmdpplus1.example.com".parse().unwrap()];
    let tls = pki.issue_dp_tls(&names, validity).unwrap();
    handshake(&pki, &tls, &pki.operator("X").unwrap(), "testsmdpplus1.example.com").unwrap();
}

#[test]
fn rustls_refuses_certificates_with_defects_that_concern_tls() {
    let pki = pki();
    let operator = pki.operator("Landfall Test Operator").unwrap();
    for defect in
        [Defect::Expired, Defect::NotYetValid, Defect::StrangerCi, Defect::ForgedSignature, Defect::Tampered]
    {
        let broken = pki.issue_with(defect, Role::DpTls, Curve::P256).unwrap();
        let broken = Credential { certificate: super::read(broken.der), key: broken.key };
        assert!(handshake(&pki, &broken, &operator, "localhost").is_err(), "{defect:?}");
    }
    let as_server = handshake(&pki, &operator, &operator, "localhost");
    assert!(as_server.is_err(), "an operator certificate is not a server certificate");
}
