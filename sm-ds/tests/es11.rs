//! ES11 from outside, function by function: SGP.22 section 5.8.

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
    AuthenticateErrorCode, AuthenticateResponseError, AuthenticateServerResponse, CancelSessionResponse,
};
use rsp::sgp22::es11::{
    self, AuthenticateClient, AuthenticateClientError, AuthenticateClientOk, AuthenticateClientRequest,
    InitiateAuthentication, InitiateAuthenticationError, InitiateAuthenticationOk,
};
use rsp::sgp22::{CtxParams1, asn1, json};
use rsp::status::Status;
use support::{ADDRESS, Bench, Expect, SMDP_ADDRESS, VERSION, euicc::Proof, euicc::call};
use world::{BoxFuture, ChangeSet, Committed, Fault, MemoryRecords, Records, Stored};

#[tokio::test]
async fn the_sm_ds_proves_itself_and_names_what_waits_on_both_curves() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let bench = Bench::new();
        let euicc = bench.euicc_on(curve);
        let sm_dp_plus = bench.sm_dp_plus();
        sm_dp_plus.register(&bench.server, &sm_dp_plus.registration(euicc.eid, "EV-1")).await.done();

        let request = euicc.initiation();
        let first = call::<InitiateAuthentication>(&bench.server, &request).await.done();
        let auth = bench.pki.ds(curve).unwrap().auth.certificate;
        assert_eq!(first.server_certificate.0, auth.der());
        let signature = Signature::from_slice(&first.server_signature1).unwrap();
        auth.public_key().verify(first.server_signed1.bytes(), &signature).unwrap();
        assert_eq!(first.server_signed1.euicc_challenge, request.euicc_challenge);
        assert_eq!(first.server_signed1.server_address, ADDRESS);
        assert_eq!(first.server_signed1.transaction_id, first.transaction_id);
        assert_eq!(Some(&first.euicc_ci_pk_id_to_be_used), euicc.credentials.ci.subject_key_id());

        let proof = euicc.proof(&first, Some("EV-1"));
        let second = call::<AuthenticateClient>(&bench.server, &proof.request()).await.done();
        assert_eq!(second.transaction_id, first.transaction_id);
        assert_eq!(second.event_entries.len(), 1);
        assert_eq!(second.event_entries[0].event_id, "EV-1");
        assert_eq!(second.event_entries[0].rsp_server_address, SMDP_ADDRESS);
        assert_eq!(bench.waiting().await, ["EV-1"], "asking takes nothing away");
    }
}

#[tokio::test]
async fn an_empty_event_id_asks_for_everything_longest_waiting_first() {
    let bench = Bench::new();
    let euicc = bench.euicc();
    assert_eq!(euicc.events(&bench.server, None).await, Vec::<String>::new());
    for id in ["EV-2", "EV-1", "EV-3"] {
        bench.register(id).await;
        bench.wait(std::time::Duration::from_secs(1));
    }
    assert_eq!(euicc.events(&bench.server, None).await, ["EV-2", "EV-1", "EV-3"]);
    assert_eq!(euicc.events(&bench.server, Some("")).await, ["EV-2", "EV-1", "EV-3"]);
    assert_eq!(euicc.events(&bench.server, Some("EV-1")).await, ["EV-1"]);
}

#[tokio::test]
async fn an_event_is_named_to_its_own_euicc_alone() {
    let bench = Bench::new();
    bench.register("EV-1").await;
    let other = bench.numbered_euicc(Curve::P256, 1);
    assert_eq!(other.events(&bench.server, None).await, Vec::<String>::new());
    assert_eq!(other.ask(&bench.server, Some("EV-1")).await.refused(), Status::EventUnknown);
    assert_eq!(bench.euicc().ask(&bench.server, Some("EV-")).await.refused(), Status::EventUnknown);
}

#[tokio::test]
async fn initiate_authentication_refuses_each_thing_with_its_own_status() {
    let stranger = vec![SubjectKeyIdentifier(vec![7; 20])];
    let bench = Bench::new();
    let euicc = bench.euicc();
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
        ("the address is another server's", address, Status::SmdsAddressRefused),
        ("the eUICC needs a later version", too_new, Status::SmdsSvnUnsupported),
        ("the eUICC is of an earlier version", too_old, Status::SmdsSvnUnsupported),
        ("no certificate below the eUICC's CIs", verification, Status::SmdsCiForVerificationUnavailable),
        ("no trusted CI for signing", signing, Status::SmdsCiForSigningUnsupported),
    ] {
        assert_eq!(call::<InitiateAuthentication>(&bench.server, &request).await.refused(), status, "{case}");
    }
    assert!(bench.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_address_is_compared_without_regard_to_case_and_may_be_one_of_several() {
    let bench = Bench::with(|config| config.other_addresses.push("smds.other.example".parse().unwrap()));
    let euicc = bench.euicc();
    for address in ["SMDS.Landfall.EXAMPLE", "Smds.Other.Example"] {
        let mut request = euicc.initiation();
        request.smds_address = address.to_owned();
        let reply = call::<InitiateAuthentication>(&bench.server, &request).await.done();
        assert_eq!(reply.server_signed1.server_address, address);
    }
}

/// Deployed LPAs call at the paths of ES9+ and name the address as there; some do neither.
#[tokio::test]
async fn both_paths_and_both_names_of_the_address_are_understood() {
    let bench = Bench::new();
    bench.register("EV-1").await;
    let euicc = bench.euicc();
    let mut body = serde_json::to_value(euicc.initiation()).unwrap();
    let address = body.as_object_mut().unwrap().remove("smdpAddress").unwrap();
    body["smdsAddress"] = address;
    let request = json::request(&es11::path("initiateAuthentication"), VERSION, &body);
    let first: InitiateAuthenticationOk = json::answer(&bench.server.handle(request).await).unwrap().done();
    let body = euicc.proof(&first, None).request();
    let request = json::request(&es11::path("authenticateClient"), VERSION, &body);
    let second: AuthenticateClientOk = json::answer(&bench.server.handle(request).await).unwrap().done();
    assert_eq!(second.event_entries.len(), 1);
}

#[tokio::test]
async fn the_asn1_binding_says_the_same() {
    let bench = Bench::new();
    bench.register("EV-1").await;
    let euicc = bench.euicc();
    // To an LPA the request is that of ES9+: the tags do not tell whom it is for.
    let request = asn1::request(VERSION, &euicc.initiation());
    let response = bench.server.handle(request).await;
    assert_eq!(response.headers()["content-type"], asn1::CONTENT_TYPE);
    let Ok(asn1::Answer::Done(first)) = asn1::answer::<InitiateAuthentication>(&response) else { panic!() };
    let request = asn1::request(VERSION, &euicc.proof(&first, Some("EV-1")).request());
    let response = bench.server.handle(request).await;
    let Ok(asn1::Answer::Done(second)) = asn1::answer::<AuthenticateClient>(&response) else { panic!() };
    assert_eq!(second.event_entries[0].event_id, "EV-1");

    let mut elsewhere = euicc.initiation();
    elsewhere.smds_address = "other.landfall.example".to_owned();
    let response = bench.server.handle(asn1::request(VERSION, &elsewhere)).await;
    let refused = asn1::answer::<InitiateAuthentication>(&response).unwrap();
    assert_eq!(refused, asn1::Answer::Refused(InitiateAuthenticationError::INVALID_DP_ADDRESS));
    let first = euicc.initiate(&bench.server).await;
    let request = asn1::request(VERSION, &euicc.proof(&first, Some("EV-2")).request());
    let refused = asn1::answer::<AuthenticateClient>(&bench.server.handle(request).await).unwrap();
    assert_eq!(refused, asn1::Answer::Refused(AuthenticateClientError::EVENT_ID_UNKNOWN));
}

#[tokio::test]
async fn what_the_asn1_binding_cannot_say_is_an_http_status() {
    let bench = Bench::new();
    let with = |spoil: &dyn Fn(&mut Request<Bytes>)| {
        let mut request = asn1::request(VERSION, &bench.euicc().initiation());
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
            cancel_session_response: CancelSessionResponse::CancelSessionResponseError(127),
        };
        *request = asn1::request(VERSION, &cancel);
    });
    let get = with(&|request| *request.method_mut() = Method::GET);
    bench.events.take();
    for (case, request, status) in [
        ("JSON's Content-Type", json_type, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("no X-Admin-Protocol", no_version, StatusCode::BAD_REQUEST),
        ("nonsense", nonsense, StatusCode::BAD_REQUEST),
        ("a function of an SM-DP+", not_of_an_sm_ds, StatusCode::BAD_REQUEST),
        ("GET", get, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(bench.server.handle(request).await.status(), status, "{case}");
        assert_eq!(bench.events.take().len(), 1, "{case}: whoever is turned away is seen in the timeline");
    }
}

#[tokio::test]
async fn the_answer_names_the_clients_version_or_the_servers_if_that_is_older() {
    let bench = Bench::new();
    for (asked, answered) in [([2, 2, 0], "gsma/rsp/v2.2.0"), ([3, 1, 0], "gsma/rsp/v2.6.0")] {
        let path = es9plus::path("initiateAuthentication");
        let request = json::request(&path, Version(asked), &bench.euicc().initiation());
        let response = bench.server.handle(request).await;
        assert_eq!(response.headers()[json::X_ADMIN_PROTOCOL], answered);
    }
}

type Spoil = fn(&Bench, &mut Proof);

/// One thing wrong in the proof; everything else as it should be.
const PROOFS: &[(&str, Status, Spoil)] = &[
    ("another transaction outside", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    ("another transaction inside", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16]);
    }),
    ("another challenge", Status::EuiccVerificationFailed, |_, it| it.signed.server_challenge[0] ^= 1),
    ("another server address", Status::EuiccVerificationFailed, |_, it| {
        it.signed.server_address = "other.landfall.example".to_owned();
    }),
    ("what v3 has besides", Status::FunctionUnsupported, |_, it| {
        it.signed.ctx_params1 = Raw::new(CtxParams1::CtxParamsForDeviceChange(vec![]));
    }),
    ("a wrong signature", Status::EuiccVerificationFailed, |_, it| it.spoil_signature = true),
    ("a push service (v3)", Status::FunctionUnsupported, |_, it| {
        it.signed.ctx_params1 = Raw::new(CtxParams1::CtxParamsForPushServiceRegistration(vec![]));
    }),
    ("another eUICC's key", Status::EuiccVerificationFailed, |bench, it| {
        it.key = bench.numbered_euicc(Curve::P256, 1).credentials.euicc.key;
    }),
    ("a chain below another CI than the one to be used", Status::CiUnknown, |bench, it| {
        let other = bench.euicc_on(Curve::BrainpoolP256r1).credentials;
        (it.euicc_certificate, it.eum_certificate) =
            (other.euicc.certificate.der().to_vec(), other.eum.der().to_vec());
        it.key = other.euicc.key;
    }),
    ("the EUM of an unknown CI", Status::CiUnknown, |bench, it| eum(bench, it, Defect::StrangerCi)),
    ("an expired EUM", Status::EumCertificateExpired, |bench, it| eum(bench, it, Defect::Expired)),
    ("a forged EUM", Status::EumCertificateVerificationFailed, |bench, it| {
        eum(bench, it, Defect::ForgedSignature);
    }),
    ("an EUM certificate that is none", Status::EumCertificateVerificationFailed, |_, it| {
        it.eum_certificate = vec![0x30, 0];
    }),
    ("an expired eUICC certificate", Status::EuiccCertificateExpired, |bench, it| {
        euicc(bench, it, Defect::Expired);
    }),
    ("a forged eUICC certificate", Status::EuiccCertificateVerificationFailed, |bench, it| {
        euicc(bench, it, Defect::ForgedSignature);
    }),
    ("an EID outside the EUM's range", Status::EuiccCertificateVerificationFailed, |bench, it| {
        euicc(bench, it, Defect::EidOutsideRange);
    }),
    ("an eUICC certificate that is none", Status::EuiccCertificateVerificationFailed, |_, it| {
        it.euicc_certificate = vec![0x30, 0];
    }),
];

fn eum(bench: &Bench, it: &mut Proof, defect: Defect) {
    it.eum_certificate = bench.pki.issue_with(defect, Role::Eum, Curve::P256).unwrap().der;
}

fn euicc(bench: &Bench, it: &mut Proof, defect: Defect) {
    let broken = bench.pki.issue_with(defect, Role::Euicc, Curve::P256).unwrap();
    (it.euicc_certificate, it.key) = (broken.der, broken.key);
}

#[tokio::test]
async fn authenticate_client_refuses_a_wrong_proof_with_its_own_status() {
    for (case, status, spoil) in PROOFS {
        let bench = Bench::new();
        bench.register("EV-1").await;
        let peer = bench.euicc();
        let first = peer.initiate(&bench.server).await;
        let mut proof = peer.proof(&first, None);
        spoil(&bench, &mut proof);
        let answer = call::<AuthenticateClient>(&bench.server, &proof.request()).await;
        assert_eq!(answer.refused(), *status, "{case}");
    }
}

#[tokio::test]
async fn the_euiccs_own_refusal_is_an_answer_and_ends_the_session() {
    let bench = Bench::new();
    let euicc = bench.euicc();
    for (inside, status) in
        [(None, Status::EuiccVerificationFailed), (Some(vec![1; 16]), Status::TransactionUnknown)]
    {
        let first = euicc.initiate(&bench.server).await;
        let request = AuthenticateClientRequest {
            transaction_id: first.transaction_id.clone(),
            authenticate_server_response: AuthenticateServerResponse::AuthenticateResponseError(
                AuthenticateResponseError {
                    transaction_id: inside.map_or(first.transaction_id, TransactionId),
                    authenticate_error_code: AuthenticateErrorCode::INVALID_CERTIFICATE,
                },
            ),
        };
        assert_eq!(call::<AuthenticateClient>(&bench.server, &request).await.refused(), status);
        assert!(bench.server.sessions().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_challenge_is_good_for_one_answer() {
    let bench = Bench::new();
    let euicc = bench.euicc();
    for spoilt in [false, true] {
        let first = euicc.initiate(&bench.server).await;
        let mut proof = euicc.proof(&first, None);
        proof.spoil_signature = spoilt;
        let answer = call::<AuthenticateClient>(&bench.server, &proof.request()).await;
        assert_eq!(matches!(answer, json::Answer::Done(_)), !spoilt);
        proof.spoil_signature = false;
        let again = call::<AuthenticateClient>(&bench.server, &proof.request()).await;
        assert_eq!(again.refused(), Status::TransactionUnknown);
    }
}

#[tokio::test]
async fn a_session_expires_and_does_not_stay_in_the_records() {
    let bench = Bench::new();
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    euicc.initiate(&bench.server).await;
    bench.wait(sm_ds::config::SESSION_LIFETIME);
    let late = call::<AuthenticateClient>(&bench.server, &euicc.proof(&first, None).request()).await;
    assert_eq!(late.refused(), Status::TransactionUnknown);
    assert!(bench.server.sessions().await.unwrap().is_empty());
}

/// Records whose commits conflict a given number of times.
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

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.records.list(collection, prefix)
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
async fn a_conflict_runs_the_decision_again_and_too_many_are_a_fault() {
    let records = Arc::new(Contended { records: MemoryRecords::default(), conflicts: 0.into() });
    let bench = Bench::over(Arc::clone(&records) as Arc<dyn Records>, |_| {});
    bench.register("EV-1").await;
    records.conflicts.store(3, SeqCst);
    assert_eq!(bench.euicc().events(&bench.server, None).await, ["EV-1"]);
    records.conflicts.store(usize::MAX, SeqCst);
    let own = bench.sm_dp_plus();
    let request = own.request("registerEvent", &own.registration(bench.euicc().eid, "EV-2"));
    assert_eq!(bench.server.handle(request).await.status(), 500);
    records.conflicts.store(0, SeqCst);
    assert_eq!(bench.waiting().await, ["EV-1"]);
}
