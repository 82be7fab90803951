//! Results at ESipa that another party than the eUICC has signed, and data of a device with the
//! certificates of another eUICC.

use std::time::Instant;

use bytes::Bytes;
use certs::{Pki, PkiOptions, Role};
use crypto::{Curve, SecretKey};
use eim::{
    NewOrder,
    records::{Package, ProfileOperation},
};
use http::{Response, StatusCode};
use rsp::{
    der::{List, Raw},
    ids::{CertificateDer, Eid, TransactionId},
    sgp22::{es10c::ProfileInfoListResponse, json, json::Answer},
    sgp32::{
        EuiccPackageResult, EuiccResultData,
        esipa::{
            self, EimPackageResult, GetEimPackageResponse, ProvideEimPackageResult,
            ProvideEimPackageResultRequest,
        },
        ipa_data::{IpaEuiccData, IpaEuiccDataResponse},
        package::EuiccPackageSigned,
        result::{EuiccPackageResultDataSigned, EuiccPackageResultSigned},
        signature::signed_octets,
    },
};
use serde_json::Value;

use crate::{
    client::{HONEST, HTTP_1, HttpCall, describe, tcp},
    doors::{Door, doors, get_eim_package},
    euiccs::{VERSION, honest_euicc, wrong_chains},
    identities::{HOSTILE, refused, serves_the_honest},
    rounds,
    servers::{EID, Servers},
};

/// The association token that the eUICC gave to the eIM.
const TOKEN: i64 = 7;

/// The port of the eIM for IPAs.
struct Esipa {
    door: Door,
}

impl Esipa {
    async fn send(&self, source: u8, call: &HttpCall) -> Response<Bytes> {
        call.send(self.door.connect(source, HTTP_1).await.unwrap()).await.unwrap()
    }

    async fn poll(&self) -> GetEimPackageResponse {
        esipa::json::answer(&self.send(HONEST, &get_eim_package()).await).unwrap()
    }

    /// Delivers a result. Returns the status of a refusal.
    async fn provide(
        &self,
        source: u8,
        eid_value: Option<Eid>,
        eim_package_result: EimPackageResult,
    ) -> Result<(), String> {
        let request = ProvideEimPackageResultRequest { eid_value, eim_package_result };
        let agent = esipa::USER_AGENT_IPAD;
        let request = esipa::json::request::<ProvideEimPackageResult>(VERSION, agent, &request);
        let response = self.send(source, &HttpCall::of(&request)).await;
        match json::answer::<Value>(&response) {
            Ok(Answer::Refused(status)) => Err(format!("{}/{}", status.subject_code, status.reason_code)),
            Err(_) if response.status() == StatusCode::BAD_REQUEST => Err("HTTP 400".to_owned()),
            _ if response.status().is_success() => Ok(()),
            _ => panic!("{}", describe(&response)),
        }
    }

    /// Checks that a wrong result is refused in time, and that the honest IPA is answered beside it.
    async fn refuses(&self, round: usize, kind: &str, eid: Option<Eid>, result: EimPackageResult) {
        let begun = Instant::now();
        let Err(refusal) = self.provide(HOSTILE, eid, result).await else { panic!("{kind}: accepted") };
        if round == 0 {
            refused("ESipa results", kind, &refusal, begun.elapsed());
            serves_the_honest(&self.door).await;
        }
    }
}

fn data(certificates: [&[u8]; 2], id: Option<&TransactionId>) -> EimPackageResult {
    let [euicc, eum] = certificates.map(|der| Some(CertificateDer(der.to_vec())));
    EimPackageResult::IpaEuiccDataResponse(Box::new(IpaEuiccDataResponse::IpaEuiccData(Box::new(
        IpaEuiccData {
            association_token: Some(TOKEN),
            euicc_certificate: euicc,
            eum_certificate: eum,
            eim_transaction_id: id.cloned(),
            ..IpaEuiccData::default()
        },
    ))))
}

/// Returns the result of a package: an empty list of profiles.
fn result_of(package: &EuiccPackageSigned) -> EuiccPackageResultDataSigned {
    let listed = ProfileInfoListResponse::ProfileInfoListOk(List(Vec::new()));
    EuiccPackageResultDataSigned {
        eim_id: package.eim_id.clone(),
        counter_value: package.counter_value,
        eim_transaction_id: package.eim_transaction_id.clone(),
        seq_number: 1,
        euicc_result: vec![Raw::new(EuiccResultData::ListProfileInfoResult(listed)).into()],
    }
}

fn signed(
    data: EuiccPackageResultDataSigned,
    key: &SecretKey,
    token: Option<i64>,
) -> EuiccPackageResultSigned {
    let data = Raw::new(data);
    let signature = key.sign(&signed_octets(data.bytes(), token));
    EuiccPackageResultSigned {
        euicc_package_result_data_signed: data,
        euicc_sign_epr: signature.as_bytes().to_vec(),
    }
}

fn result(signed: EuiccPackageResultSigned) -> EimPackageResult {
    let result = EuiccPackageResult::EuiccPackageResultSigned(signed);
    EimPackageResult::EuiccPackageResult(Box::new(Raw::new(result)))
}

/// Returns wrong results of a package: the kind, the EID of the request, and the result.
fn wrong_results(
    pki: &Pki,
    key: &SecretKey,
    package: &EuiccPackageSigned,
) -> Vec<(&'static str, Option<Eid>, EimPackageResult)> {
    let own: Eid = EID.parse().unwrap();
    let other: Eid = "89049032000000000000000000000260".parse().unwrap();
    let stranger = Pki::from_seed(b"stranger", &PkiOptions::default()).unwrap();
    let stranger = stranger.euicc(Curve::P256, own).unwrap().euicc.key;
    let other_key = pki.euicc(Curve::P256, other).unwrap().euicc.key;
    let [eum, dp] = [Role::Eum, Role::DpAuth].map(|role| pki.credential(role, Curve::P256).unwrap().key);
    let good = || result_of(package);
    let right = signed(good(), key, Some(TOKEN));
    let by = |key: &SecretKey| result(signed(good(), key, Some(TOKEN)));
    let of = |data| result(signed(data, key, Some(TOKEN)));
    let with_token = |token| result(signed(good(), key, token));
    let with_signature = |change: fn(&mut Vec<u8>)| {
        let mut wrong = right.clone();
        change(&mut wrong.euicc_sign_epr);
        result(wrong)
    };
    let changed = EuiccPackageResultSigned {
        euicc_package_result_data_signed: Raw::new(EuiccPackageResultDataSigned { seq_number: 2, ..good() }),
        ..right.clone()
    };
    let other_counter = EuiccPackageResultDataSigned { counter_value: package.counter_value - 1, ..good() };
    let unknown =
        EuiccPackageResultDataSigned { eim_transaction_id: Some(TransactionId(vec![0xEE; 16])), ..good() };
    let no_id = EuiccPackageResultDataSigned { eim_transaction_id: None, ..good() };
    let other_eim = EuiccPackageResultDataSigned { eim_id: "other.example".to_owned(), ..good() };
    let no_eim = EuiccPackageResultDataSigned { eim_id: String::new(), ..good() };
    let eid = Some(own);
    vec![
        ("changed signature", eid, with_signature(|it| it[0] ^= 1)),
        ("last octet of the signature changed", eid, with_signature(|it| it[63] ^= 1)),
        ("truncated signature", eid, with_signature(|it| it.truncate(63))),
        ("continued signature", eid, with_signature(|it| it.push(0))),
        ("empty signature", eid, with_signature(Vec::clear)),
        ("signature of zeros", eid, with_signature(|it| it.fill(0))),
        ("signature of ones", eid, with_signature(|it| it.fill(0xFF))),
        ("halves of the signature exchanged", eid, with_signature(|it| it.rotate_left(32))),
        ("key of another eUICC", eid, by(&other_key)),
        ("key of an eUICC of another CI", eid, by(&stranger)),
        ("key of the EUM", eid, by(&eum)),
        ("key of an SM-DP+", eid, by(&dp)),
        ("no association token", eid, with_token(None)),
        ("association token of another eIM", eid, with_token(Some(TOKEN + 1))),
        ("negative association token", eid, with_token(Some(-TOKEN))),
        ("content changed after signing", eid, result(changed)),
        ("counter of an earlier package", eid, of(other_counter)),
        ("another eIM", eid, of(other_eim)),
        ("no eIM", eid, of(no_eim)),
        ("EID of another device", Some(other), by(key)),
        ("no EID, unknown order", None, of(unknown)),
        ("no EID, no order", None, of(no_id)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_results_are_refused_at_once_at_the_eim() {
    let _turn = crate::TURN.lock().await;
    let servers = Servers::start();
    let find = |it: &Door| it.server == "eim" && it.interface == "eim";
    let esipa = Esipa { door: doors(&servers).into_iter().find(find).unwrap() };
    let euicc = honest_euicc(&servers.pki);
    let eid = Some(euicc.eid);
    let list = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
    let order = serde_json::to_string(&NewOrder::new(euicc.eid, list)).unwrap();
    let order = HttpCall::post("/admin/v1/orders", "application/json", order);
    let placed = order.send(tcp(HONEST, servers.address("eim", "api")).await.unwrap()).await.unwrap();
    assert!(placed.status().is_success(), "{}", describe(&placed));

    let GetEimPackageResponse::IpaEuiccDataRequest(request) = esipa.poll().await else {
        panic!("the eIM does not request the data of a new device")
    };
    let id = request.eim_transaction_id.as_ref();
    let wrong = wrong_chains(&servers.pki, &euicc);
    for round in 0..rounds() {
        for chain in &wrong {
            let kind = format!("data, {}", chain.kind);
            esipa.refuses(round, &kind, eid, data([&chain.euicc, &chain.eum], id)).await;
        }
    }
    let own = [euicc.credentials.euicc.certificate.der(), euicc.credentials.eum.der()];
    assert_eq!(esipa.provide(HONEST, eid, data(own, id)).await, Ok(()));

    let GetEimPackageResponse::EuiccPackageRequest(package) = esipa.poll().await else {
        panic!("there is no package for the eUICC")
    };
    let package = &package.euicc_package_signed;
    let key = &euicc.credentials.euicc.key;
    for round in 0..rounds() {
        for (kind, eid, result) in wrong_results(&servers.pki, key, package) {
            esipa.refuses(round, kind, eid, result).await;
        }
    }
    let right = result(signed(result_of(package), key, Some(TOKEN)));
    assert_eq!(esipa.provide(HONEST, eid, right).await, Ok(()));
    assert!(
        matches!(esipa.poll().await, GetEimPackageResponse::EimPackageError(_)),
        "the order is not ended"
    );
    servers.check_memory();
}
