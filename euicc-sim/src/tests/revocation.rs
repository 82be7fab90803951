//! ES10b.LoadCRL and the refusal of revoked certificates: SGP.22 section 5.7.12.

use certs::{CrlPlan, Part};
use crypto::Curve;
use rsp::ids::TransactionId;
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateServerResponse, CertificateList, DownloadErrorCode, LoadCrlError,
    LoadCrlRequest, LoadCrlResponse, LoadCrlResponseOk, PrepareDownloadResponse,
};
use world::RamMemory;

use super::download::ICCID;
use super::mutual_authentication::challenge;
use super::server::{Server, TestPackage, outcome};
use super::testbed::{Testbed, pki};
use crate::Preset;

const CURVE: Curve = Curve::P256;

fn load(testbed: &mut Testbed, plan: &CrlPlan<'_>) -> Result<Option<Vec<i64>>, LoadCrlError> {
    let crl = testbed.pki.crl(CURVE, plan).unwrap();
    load_octets(testbed, crl)
}

fn load_octets(testbed: &mut Testbed, crl: Vec<u8>) -> Result<Option<Vec<i64>>, LoadCrlError> {
    match testbed.call(&LoadCrlRequest { crl: CertificateList(crl) }) {
        LoadCrlResponse::LoadCrlResponseOk(LoadCrlResponseOk { missing_parts }) => Ok(missing_parts),
        LoadCrlResponse::LoadCrlResponseError(error) => Err(error),
    }
}

fn authenticates(testbed: &mut Testbed, server: &Server) -> Result<(), AuthenticateErrorCode> {
    let request = server.authenticate_server(challenge(testbed));
    match testbed.call(&request) {
        AuthenticateServerResponse::AuthenticateResponseOk(_) => Ok(()),
        AuthenticateServerResponse::AuthenticateResponseError(error) => Err(error.authenticate_error_code),
    }
}

// req: SGP.22-5.7.13-Revoked
#[test]
fn a_revoked_server_is_refused_until_a_later_crl_omits_it() {
    let memory = RamMemory::default();
    let mut testbed = Testbed::with(pki(), |_| {}, memory.clone());
    let server = Server::new(&testbed, CURVE);
    let auth = server.dp.auth.certificate.clone();
    assert_eq!(load(&mut testbed, &CrlPlan { number: 4, ..CrlPlan::default() }), Ok(None));
    assert_eq!(authenticates(&mut testbed, &server), Ok(()));
    assert_eq!(load(&mut testbed, &CrlPlan { number: 5, revoked: &[&auth], ..CrlPlan::default() }), Ok(None));
    assert_eq!(authenticates(&mut testbed, &server), Err(AuthenticateErrorCode::INVALID_CERTIFICATE));
    // The CRL survives a power cut, an older CRL is refused, and servers of other CIs are not
    // affected.
    let mut testbed = Testbed::with(pki(), |_| {}, memory);
    let older = load(&mut testbed, &CrlPlan { number: 4, ..CrlPlan::default() });
    // req: SGP.22-5.7.12-Older
    assert_eq!(older, Err(LoadCrlError::FRESHER_CRL_ALREADY_LOADED));
    assert_eq!(authenticates(&mut testbed, &server), Err(AuthenticateErrorCode::INVALID_CERTIFICATE));
    let other = Server::new(&testbed, Curve::BrainpoolP256r1);
    assert_eq!(authenticates(&mut testbed, &other), Ok(()));
    assert_eq!(load(&mut testbed, &CrlPlan { number: 6, ..CrlPlan::default() }), Ok(None));
    assert_eq!(outcome(&server.download(&mut testbed, &TestPackage::small(ICCID))), Ok(()));
}

// req: SGP.22-5.7.5-Revoked
#[test]
fn a_revoked_profile_binding_certificate_is_refused() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, CURVE);
    let pb = server.dp.pb.certificate.clone();
    assert_eq!(load(&mut testbed, &CrlPlan { number: 1, revoked: &[&pb], ..CrlPlan::default() }), Ok(None));
    let PrepareDownloadResponse::DownloadResponseError(error) = server.prepare(&mut testbed) else {
        panic!()
    };
    assert_eq!(error.download_error_code, DownloadErrorCode::INVALID_CERTIFICATE);
    assert_eq!(error.transaction_id, TransactionId(vec![1, 2, 3, 4]));
}

#[test]
fn a_crl_can_be_loaded_in_parts_and_extended_by_a_delta_crl() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, CURVE);
    let auth = server.dp.auth.certificate.clone();
    let refused = Err(AuthenticateErrorCode::INVALID_CERTIFICATE);
    let part = |number| CrlPlan { number: 8, part: Some(Part { number, total: 3 }), ..CrlPlan::default() };
    let addition = CrlPlan { number: 9, base: Some(8), ..CrlPlan::default() };
    // req: SGP.22-5.7.12-Base
    assert_eq!(load(&mut testbed, &addition), Err(LoadCrlError::BASE_CRL_MISSING));
    assert_eq!(load(&mut testbed, &part(2)), Ok(Some(vec![1, 3])));
    assert_eq!(load(&mut testbed, &addition), Err(LoadCrlError::BASE_CRL_MISSING));
    assert_eq!(load(&mut testbed, &CrlPlan { revoked: &[&auth], ..part(1) }), Ok(Some(vec![3])));
    // The revocations in the received parts apply at once.
    assert_eq!(authenticates(&mut testbed, &server), refused);
    assert_eq!(load(&mut testbed, &part(3)), Ok(None));
    assert_eq!(load(&mut testbed, &addition), Ok(None));
    assert_eq!(authenticates(&mut testbed, &server), refused);
}

#[test]
fn a_delta_crl_can_be_loaded_in_parts() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, CURVE);
    let auth = server.dp.auth.certificate.clone();
    let part = |number| CrlPlan {
        number: 9,
        base: Some(8),
        part: Some(Part { number, total: 2 }),
        ..CrlPlan::default()
    };
    assert_eq!(load(&mut testbed, &part(1)), Err(LoadCrlError::BASE_CRL_MISSING));
    assert_eq!(load(&mut testbed, &CrlPlan { number: 8, revoked: &[&auth], ..CrlPlan::default() }), Ok(None));
    for (number, missing) in [(1, Some(vec![2])), (1, Some(vec![2])), (2, None), (1, None)] {
        assert_eq!(load(&mut testbed, &part(number)), Ok(missing));
        assert_eq!(authenticates(&mut testbed, &server), Err(AuthenticateErrorCode::INVALID_CERTIFICATE));
    }
}

#[test]
fn a_later_crl_in_parts_replaces_the_earlier_one_when_complete() {
    let mut testbed = Testbed::new();
    let server = Server::new(&testbed, CURVE);
    let (auth, pb) = (server.dp.auth.certificate.clone(), server.dp.pb.certificate.clone());
    let part =
        |number, list| CrlPlan { number: list, part: Some(Part { number, total: 2 }), ..CrlPlan::default() };
    assert_eq!(load(&mut testbed, &CrlPlan { number: 5, revoked: &[&auth], ..CrlPlan::default() }), Ok(None));
    // The parts of an incomplete CRL are discarded when a part of a later CRL arrives.
    assert_eq!(load(&mut testbed, &CrlPlan { revoked: &[&pb], ..part(1, 6) }), Ok(Some(vec![2])));
    assert_eq!(load(&mut testbed, &part(2, 7)), Ok(Some(vec![1])));
    assert_eq!(load(&mut testbed, &part(2, 6)), Err(LoadCrlError::FRESHER_CRL_ALREADY_LOADED));
    assert_eq!(authenticates(&mut testbed, &server), Err(AuthenticateErrorCode::INVALID_CERTIFICATE));
    assert_eq!(load(&mut testbed, &part(1, 7)), Ok(None));
    assert_eq!(outcome(&server.download(&mut testbed, &TestPackage::small(ICCID))), Ok(()));
}

// req: SGP.22-5.7.12-Format, SGP.22-5.7.12-Signature
#[test]
fn an_invalid_crl_is_refused_and_changes_nothing() {
    let mut testbed = Testbed::new();
    load(&mut testbed, &CrlPlan { number: 1, ..CrlPlan::default() }).unwrap();
    let before = testbed.memory();
    let good = testbed.pki.crl(CURVE, &CrlPlan { number: 2, ..CrlPlan::default() }).unwrap();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(load_octets(&mut testbed, forged), Err(LoadCrlError::INVALID_SIGNATURE));
    let other_pki = certs::Pki::from_seed(b"another PKI", &certs::PkiOptions::default()).unwrap();
    let foreign_crl = other_pki.crl(CURVE, &CrlPlan { number: 2, ..CrlPlan::default() }).unwrap();
    // req: SGP.22-5.7.12-KeyUnknown
    assert_eq!(load_octets(&mut testbed, foreign_crl), Err(LoadCrlError::VERIFICATION_KEY_NOT_FOUND));
    let certificate = testbed.pki.ci(CURVE).unwrap().der().to_vec();
    assert_eq!(load_octets(&mut testbed, certificate), Err(LoadCrlError::INVALID_CRL_FORMAT));
    assert_eq!(testbed.memory(), before);
}

#[test]
fn without_the_capability_load_crl_is_unknown() {
    let plain = |card: &mut crate::CardDescription| card.capabilities = Preset::V2_2.capabilities();
    let mut testbed = Testbed::with(pki(), plain, RamMemory::default());
    assert_eq!(testbed.es10_text("BF3502A000"), "6A88");
}
