//! Tests of ES11 through the public interface, by function: SGP.22 section 5.8.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use certs::{Defect, Role};
use crypto::{Curve, Signature};
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use rsp::der::Raw;
use rsp::ids::{SubjectKeyIdentifier, TransactionId, Version};
use rsp::sgp22::es9plus::{self, CancelSessionRequestEs9};
use rsp::sgp22::es10b::{
    AuthenticateErrorCode, AuthenticateResponseError, AuthenticateServerResponse, CancelSessionError,
    CancelSessionResponse,
};
use rsp::sgp22::es11::{
    self, AuthenticateClient, AuthenticateClientError, AuthenticateClientOk, AuthenticateClientRequest,
    InitiateAuthentication, InitiateAuthenticationError, InitiateAuthenticationOk,
};
use rsp::sgp22::{CtxParams1, asn1, json};
use rsp::status::Status;
use support::{ADDRESS, Expect, SMDP_ADDRESS, Testbed, VERSION, euicc::Proof, euicc::call};
use world::{BoxFuture, ChangeSet, Committed, Fault, MemoryRecords, Records, Stored};

#[tokio::test]
async fn the_sm_ds_authenticates_itself_and_returns_events_on_both_curves() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let testbed = Testbed::new();
        let euicc = testbed.euicc_on(curve);
        let sm_dp_plus = testbed.sm_dp_plus();
        sm_dp_plus.register(&testbed.server, &sm_dp_plus.registration(euicc.eid, "EV-1")).await.done();

        let request = euicc.initiation();
        let first = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
        let auth = testbed.pki.ds(curve).unwrap().auth.certificate;
        assert_eq!(first.server_certificate.0, auth.der());
        let signature = Signature::from_slice(&first.server_signature1).unwrap();
        auth.public_key().verify(first.server_signed1.bytes(), &signature).unwrap();
        assert_eq!(first.server_signed1.euicc_challenge, request.euicc_challenge);
        assert_eq!(first.server_signed1.server_address, ADDRESS);
        assert_eq!(first.server_signed1.transaction_id, first.transaction_id);
        assert_eq!(Some(&first.euicc_ci_pk_id_to_be_used), euicc.credentials.ci.subject_key_id());

        let proof = euicc.proof(&first, Some("EV-1"));
        let second = call::<AuthenticateClient>(&testbed.server, &proof.request()).await.done();
        assert_eq!(second.transaction_id, first.transaction_id);
        assert_eq!(second.event_entries.len(), 1);
        assert_eq!(second.event_entries[0].event_id, "EV-1");
        assert_eq!(second.event_entries[0].rsp_server_address, SMDP_ADDRESS);
        assert_eq!(testbed.waiting().await, ["EV-1"], "a request does not delete the event");
    }
}

#[tokio::test]
async fn an_empty_event_id_returns_all_events_oldest_first() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    assert_eq!(euicc.events(&testbed.server, None).await, Vec::<String>::new());
    for id in ["EV-2", "EV-1", "EV-3"] {
        testbed.register(id).await;
        testbed.wait(std::time::Duration::from_secs(1));
    }
    assert_eq!(euicc.events(&testbed.server, None).await, ["EV-2", "EV-1", "EV-3"]);
    assert_eq!(euicc.events(&testbed.server, Some("")).await, ["EV-2", "EV-1", "EV-3"]);
    assert_eq!(euicc.events(&testbed.server, Some("EV-1")).await, ["EV-1"]);
}

// req: SGP.22-5.8.2-EventUnknown
#[tokio::test]
async fn an_event_is_returned_to_its_own_euicc_only() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    let other = testbed.numbered_euicc(Curve::P256, 1);
    assert_eq!(other.events(&testbed.server, None).await, Vec::<String>::new());
    assert_eq!(other.ask(&testbed.server, Some("EV-1")).await.refused(), Status::EventUnknown);
    assert_eq!(testbed.euicc().ask(&testbed.server, Some("EV-")).await.refused(), Status::EventUnknown);
}

#[tokio::test]
async fn initiate_authentication_refuses_each_error_with_its_own_status() {
    let stranger = vec![SubjectKeyIdentifier(vec![7; 20])];
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    let mut address = euicc.initiation();
    address.smds_address = "other.landfall.example".to_owned();
    let mut too_new = euicc.initiation();
    too_new.euicc_info1.svn = Version([9, 0, 0]);
    let mut too_old = euicc.initiation();
    too_old.euicc_info1.svn = Version([1, 0, 0]);
    let mut verification = euicc.initiation();
    verification.euicc_info1.euicc_ci_pk_id_list_for_verification = stranger.clone();
    let mut signing = euicc.initiation();
    signing.euicc_info1.euicc_ci_pk_id_list_for_signing = stranger;
    for (case, request, status) in [
        // req: SGP.22-5.8.1-Address
        ("the address is another server's", address, Status::SmdsAddressRefused),
        // req: SGP.22-5.8.1-Svn
        ("the eUICC needs a later version", too_new, Status::SmdsSvnUnsupported),
        ("the eUICC is of an earlier version", too_old, Status::SmdsSvnUnsupported),
        // req: SGP.22-5.8.1-CiForVerification
        ("no certificate below the eUICC's CIs", verification, Status::SmdsCiForVerificationUnavailable),
        // req: SGP.22-5.8.1-CiForSigning
        ("no trusted CI for signing", signing, Status::SmdsCiForSigningUnsupported),
    ] {
        assert_eq!(
            call::<InitiateAuthentication>(&testbed.server, &request).await.refused(),
            status,
            "{case}"
        );
    }
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_server_address_is_case_insensitive_and_can_be_one_of_several() {
    let testbed = Testbed::with(|config| config.other_addresses.push("smds.other.example".parse().unwrap()));
    let euicc = testbed.euicc();
    for address in ["SMDS.Landfall.EXAMPLE", "Smds.Other.Example"] {
        let mut request = euicc.initiation();
        request.smds_address = address.to_owned();
        let reply = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
        assert_eq!(reply.server_signed1.server_address, address);
    }
}

/// Deployed LPAs use the paths of ES9+ and its name for the address field; some use the names of
/// ES11.
#[tokio::test]
async fn both_paths_and_both_names_of_the_address_field_are_accepted() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    let euicc = testbed.euicc();
    let mut body = serde_json::to_value(euicc.initiation()).unwrap();
    let address = body.as_object_mut().unwrap().remove("smdpAddress").unwrap();
    body["smdsAddress"] = address;
    let request = json::request(&es11::path("initiateAuthentication"), VERSION, &body);
    let first: InitiateAuthenticationOk = json::answer(&testbed.server.handle(request).await).unwrap().done();
    let body = euicc.proof(&first, None).request();
    let request = json::request(&es11::path("authenticateClient"), VERSION, &body);
    let second: AuthenticateClientOk = json::answer(&testbed.server.handle(request).await).unwrap().done();
    assert_eq!(second.event_entries.len(), 1);
}

#[tokio::test]
async fn the_asn1_binding_returns_the_same_results() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    let euicc = testbed.euicc();
    // For an LPA the request is that of ES9+: the tags do not identify the kind of server.
    let request = asn1::request(VERSION, &euicc.initiation());
    let response = testbed.server.handle(request).await;
    assert_eq!(response.headers()["content-type"], asn1::CONTENT_TYPE);
    let Ok(asn1::Answer::Done(first)) = asn1::answer::<InitiateAuthentication>(&response) else { panic!() };
    let request = asn1::request(VERSION, &euicc.proof(&first, Some("EV-1")).request());
    let response = testbed.server.handle(request).await;
    let Ok(asn1::Answer::Done(second)) = asn1::answer::<AuthenticateClient>(&response) else { panic!() };
    assert_eq!(second.event_entries[0].event_id, "EV-1");

    let mut elsewhere = euicc.initiation();
    elsewhere.smds_address = "other.landfall.example".to_owned();
    let response = testbed.server.handle(asn1::request(VERSION, &elsewhere)).await;
    let refused = asn1::answer::<InitiateAuthentication>(&response).unwrap();
    assert_eq!(refused, asn1::Answer::Refused(InitiateAuthenticationError::INVALID_DP_ADDRESS));
    let first = euicc.initiate(&testbed.server).await;
    let request = asn1::request(VERSION, &euicc.proof(&first, Some("EV-2")).request());
    let refused = asn1::answer::<AuthenticateClient>(&testbed.server.handle(request).await).unwrap();
    assert_eq!(refused, asn1::Answer::Refused(AuthenticateClientError::EVENT_ID_UNKNOWN));
}

#[tokio::test]
async fn errors_without_an_asn1_status_code_are_http_statuses() {
    let testbed = Testbed::new();
    let with = |spoil: &dyn Fn(&mut Request<Bytes>)| {
        let mut request = asn1::request(VERSION, &testbed.euicc().initiation());
        spoil(&mut request);
        request
    };
    let json_type = with(&|request| {
        drop(request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap()))
    });
    let no_version = with(&|request| drop(request.headers_mut().remove(json::X_ADMIN_PROTOCOL)));
    let nonsense = with(&|request| *request.body_mut() = Bytes::from_static(&[0xA2, 1]));
    let not_of_an_sm_ds = with(&|request| {
        let cancel = CancelSessionRequestEs9 {
            transaction_id: TransactionId(vec![1; 16]),
            cancel_session_response: CancelSessionResponse::CancelSessionResponseError(
                CancelSessionError::UNDEFINED_ERROR,
            ),
        };
        *request = asn1::request(VERSION, &cancel);
    });
    let get = with(&|request| *request.method_mut() = Method::GET);
    testbed.events.take();
    for (case, request, status) in [
        ("JSON's Content-Type", json_type, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("no X-Admin-Protocol", no_version, StatusCode::BAD_REQUEST),
        ("nonsense", nonsense, StatusCode::BAD_REQUEST),
        ("a function of an SM-DP+", not_of_an_sm_ds, StatusCode::BAD_REQUEST),
        ("GET", get, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(testbed.server.handle(request).await.status(), status, "{case}");
        assert_eq!(testbed.events.take().len(), 1, "{case}: a rejected request appears in the timeline");
    }
}

#[tokio::test]
async fn the_response_has_the_older_of_the_versions_of_client_and_server() {
    let testbed = Testbed::new();
    for (asked, answered) in [([2, 2, 0], "gsma/rsp/v2.2.0"), ([3, 1, 0], "gsma/rsp/v2.6.0")] {
        let path = es9plus::path("initiateAuthentication");
        let request = json::request(&path, Version(asked), &testbed.euicc().initiation());
        let response = testbed.server.handle(request).await;
        assert_eq!(response.headers()[json::X_ADMIN_PROTOCOL], answered);
    }
}

type Spoil = fn(&Testbed, &mut Proof);

/// Proofs with one error each; everything else is valid.
const PROOFS: &[(&str, Status, Spoil)] = &[
    ("another transaction outside", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    // req: SGP.22-5.8.2-SignedTransactionId
    ("another transaction inside", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16]);
    }),
    // req: SGP.22-5.8.2-Challenge
    ("another challenge", Status::EuiccVerificationFailed, |_, it| it.signed.server_challenge[0] ^= 1),
    // req: SGP.22-5.8.2-ServerAddress
    ("another server address", Status::EuiccVerificationFailed, |_, it| {
        it.signed.server_address = "other.landfall.example".to_owned();
    }),
    // req: SGP.22-5.8.2-Function
    ("a device change (v3)", Status::FunctionUnsupported, |_, it| {
        it.signed.ctx_params1 = Raw::new(CtxParams1::CtxParamsForDeviceChange(vec![]));
    }),
    // req: SGP.22-5.8.2-Signature
    ("a wrong signature", Status::EuiccVerificationFailed, |_, it| it.spoil_signature = true),
    ("a push service (v3)", Status::FunctionUnsupported, |_, it| {
        it.signed.ctx_params1 = Raw::new(CtxParams1::CtxParamsForPushServiceRegistration(vec![]));
    }),
    ("another eUICC's key", Status::EuiccVerificationFailed, |testbed, it| {
        it.key = testbed.numbered_euicc(Curve::P256, 1).credentials.euicc.key;
    }),
    ("a chain below another CI than the one to be used", Status::CiUnknown, |testbed, it| {
        let other = testbed.euicc_on(Curve::BrainpoolP256r1).credentials;
        (it.euicc_certificate, it.eum_certificate) =
            (other.euicc.certificate.der().to_vec(), other.eum.der().to_vec());
        it.key = other.euicc.key;
    }),
    // req: SGP.22-5.8.2-CiUnknown
    ("the EUM of an unknown CI", Status::CiUnknown, |testbed, it| eum(testbed, it, Defect::StrangerCi)),
    // req: SGP.22-5.8.2-EumCertificate
    ("an expired EUM", Status::EumCertificateExpired, |testbed, it| eum(testbed, it, Defect::Expired)),
    ("a forged EUM", Status::EumCertificateVerificationFailed, |testbed, it| {
        eum(testbed, it, Defect::ForgedSignature);
    }),
    ("a malformed EUM certificate", Status::EumCertificateVerificationFailed, |_, it| {
        it.eum_certificate = vec![0x30, 0];
    }),
    // req: SGP.22-5.8.2-EuiccCertificate
    ("an expired eUICC certificate", Status::EuiccCertificateExpired, |testbed, it| {
        euicc(testbed, it, Defect::Expired);
    }),
    ("a forged eUICC certificate", Status::EuiccCertificateVerificationFailed, |testbed, it| {
        euicc(testbed, it, Defect::ForgedSignature);
    }),
    ("an EID outside the EUM's range", Status::EuiccCertificateVerificationFailed, |testbed, it| {
        euicc(testbed, it, Defect::EidOutsideRange);
    }),
    ("a malformed eUICC certificate", Status::EuiccCertificateVerificationFailed, |_, it| {
        it.euicc_certificate = vec![0x30, 0];
    }),
];

fn eum(testbed: &Testbed, it: &mut Proof, defect: Defect) {
    it.eum_certificate = testbed.pki.issue_with(defect, Role::Eum, Curve::P256).unwrap().der;
}

fn euicc(testbed: &Testbed, it: &mut Proof, defect: Defect) {
    let broken = testbed.pki.issue_with(defect, Role::Euicc, Curve::P256).unwrap();
    (it.euicc_certificate, it.key) = (broken.der, broken.key);
}

#[tokio::test]
async fn authenticate_client_refuses_each_invalid_proof_with_its_own_status() {
    for (case, status, spoil) in PROOFS {
        let testbed = Testbed::new();
        testbed.register("EV-1").await;
        let peer = testbed.euicc();
        let first = peer.initiate(&testbed.server).await;
        let mut proof = peer.proof(&first, None);
        spoil(&testbed, &mut proof);
        let answer = call::<AuthenticateClient>(&testbed.server, &proof.request()).await;
        assert_eq!(answer.refused(), *status, "{case}");
    }
}

// req: SGP.22-5.8.2-EuiccError
#[tokio::test]
async fn an_error_response_of_the_euicc_ends_the_session() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    for (inside, status) in
        [(None, Status::EuiccVerificationFailed), (Some(vec![1; 16]), Status::TransactionUnknown)]
    {
        let first = euicc.initiate(&testbed.server).await;
        let request = AuthenticateClientRequest {
            transaction_id: first.transaction_id.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseError(
                AuthenticateResponseError {
                    transaction_id: inside.map_or(first.transaction_id, TransactionId),
                    authenticate_error_code: AuthenticateErrorCode::INVALID_CERTIFICATE,
                },
            ),
        };
        assert_eq!(call::<AuthenticateClient>(&testbed.server, &request).await.refused(), status);
        assert!(testbed.server.sessions().await.unwrap().is_empty());
    }
}

// req: SGP.22-5.8.2-Once
#[tokio::test]
async fn a_challenge_can_be_answered_only_once() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    for spoilt in [false, true] {
        let first = euicc.initiate(&testbed.server).await;
        let mut proof = euicc.proof(&first, None);
        proof.spoil_signature = spoilt;
        let answer = call::<AuthenticateClient>(&testbed.server, &proof.request()).await;
        assert_eq!(matches!(answer, json::Answer::Done(_)), !spoilt);
        proof.spoil_signature = false;
        let again = call::<AuthenticateClient>(&testbed.server, &proof.request()).await;
        assert_eq!(again.refused(), Status::TransactionUnknown);
    }
}

// req: SGP.22-5.8.2-TransactionId
#[tokio::test]
async fn an_expired_session_is_refused_and_deleted() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    euicc.initiate(&testbed.server).await;
    testbed.wait(sm_ds::config::SESSION_LIFETIME);
    let late = call::<AuthenticateClient>(&testbed.server, &euicc.proof(&first, None).request()).await;
    assert_eq!(late.refused(), Status::TransactionUnknown);
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

/// Records whose next commits conflict, a given number of times.
struct Contended {
    records: MemoryRecords,
    conflicts: AtomicUsize,
}

impl Records for Contended {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.records.read(collection, key)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.records.first(collection, prefix, most)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        let left = self.conflicts.load(SeqCst);
        if left > 0 {
            self.conflicts.store(left.saturating_sub(1), SeqCst);
            return Box::pin(async { Ok(Committed::Conflict) });
        }
        self.records.commit(changes)
    }
}

#[tokio::test]
async fn a_conflict_repeats_the_decision_and_too_many_conflicts_are_a_fault() {
    let records = Arc::new(Contended { records: MemoryRecords::default(), conflicts: 0.into() });
    let testbed = Testbed::over(Arc::clone(&records) as Arc<dyn Records>, |_| {});
    testbed.register("EV-1").await;
    records.conflicts.store(3, SeqCst);
    assert_eq!(testbed.euicc().events(&testbed.server, None).await, ["EV-1"]);
    records.conflicts.store(usize::MAX, SeqCst);
    let own = testbed.sm_dp_plus();
    let request = own.request("registerEvent", &own.registration(testbed.euicc().eid, "EV-2"));
    assert_eq!(testbed.server.handle(request).await.status(), 500);
    records.conflicts.store(0, SeqCst);
    assert_eq!(testbed.waiting().await, ["EV-1"]);
}
