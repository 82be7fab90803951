//! `landfall eim` with an IPA over TLS.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use certs::Certificate;
use common::{Running, fail, landfall, succeed};
use net::{Client, ClientTls, OsClock};
use rsp::{
    ids::{Eid, Version},
    sgp32::{
        self,
        esipa::{
            EimPackageError, EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError,
            GetEimPackageRequest, GetEimPackageResponse, MessageFromIpa, ProvideEimPackageResultRequest,
            ProvideEimPackageResultResponse, USER_AGENT_IPAD, asn1,
        },
    },
};
use serde_json::Value;
use world::Link;

const EID: &str = "89049032000000000000000000000163";

struct Eim {
    process: Running,
    address: String,
    api: String,
    /// The file of the root certificate.
    root: PathBuf,
}

impl Eim {
    fn start(folder: &Path) -> Self {
        let arguments = ["--json", "eim", "serve", "--device", EID];
        let ports = ["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"];
        let process = Running::start(landfall(folder).args(arguments).args(ports));
        let ready = process.out.json();
        let address = |name: &str| ready["addresses"][name].as_str().unwrap().to_owned();
        let root = ready["root_certificate"].as_str().unwrap().into();
        Self { address: address("eim"), api: address("api"), root, process }
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = landfall(folder);
        command.arg("--json").arg("eim").args(arguments).args(["--api", &self.api]);
        command
    }

    /// Returns the link of an IPA that trusts the CI of the PKI.
    fn link(&self) -> Link {
        let root = std::fs::read(&self.root).unwrap();
        let tls = ClientTls::new(&[root], None, Arc::new(OsClock)).unwrap();
        Client::default().link(&self.address, Some(tls)).unwrap()
    }
}

async fn poll(link: &Link) -> GetEimPackageResponse {
    let eid: Eid = EID.parse().unwrap();
    let request = GetEimPackageRequest {
        eid_value: eid,
        notify_state_change: None,
        state_change_cause: None,
        r_plmn: None,
    };
    call(link, MessageFromIpa::GetEimPackageRequest(request)).await
}

async fn refuse(link: &Link, package: &GetEimPackageResponse) -> ProvideEimPackageResultResponse {
    let eim_transaction_id = match package {
        GetEimPackageResponse::IpaEuiccDataRequest(request) => request.eim_transaction_id.clone(),
        GetEimPackageResponse::EuiccPackageRequest(package) => {
            package.euicc_package_signed.eim_transaction_id.clone()
        }
        other => panic!("no package: {other:?}"),
    };
    let result = EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
        eim_transaction_id,
        eim_package_result_error_code: EimPackageResultErrorCode::UNKNOWN_PACKAGE,
    });
    let request =
        ProvideEimPackageResultRequest { eid_value: Some(EID.parse().unwrap()), eim_package_result: result };
    call(link, MessageFromIpa::ProvideEimPackageResult(request)).await
}

async fn call<R: sgp32::esipa::Reply>(link: &Link, message: MessageFromIpa) -> R {
    let version = sgp32::Version::default();
    let request = asn1::request(Version([2, 6, 0]), version, USER_AGENT_IPAD, &message);
    asn1::answer(&world::send(link, request).await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_order_is_delivered_over_tls_and_its_failure_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start(folder);
    let link = eim.link();
    // The IPA of this test supports neither data requests nor packages.
    let first = poll(&link).await;
    assert!(matches!(first, GetEimPackageResponse::IpaEuiccDataRequest(_)), "{first:?}");
    refuse(&link, &first).await;
    let order = eim.command(folder, &["order", EID, "list", "--wait", "60s"]);
    let waiting = std::thread::spawn(move || {
        let mut order = order;
        order.output().unwrap()
    });
    let package = loop {
        match poll(&link).await {
            GetEimPackageResponse::EimPackageError(EimPackageError::NO_EIM_PACKAGE_AVAILABLE) => {
                tokio::task::yield_now().await;
            }
            package => break package,
        }
    };
    refuse(&link, &package).await;
    let output = waiting.join().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(error.contains("does not support this kind of package"), "{error}");
    let listed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["list", "orders", "state=Result"])))
            .unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn orders_survive_a_restart_and_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut eim = Eim::start(folder);
    let placed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["order", EID, "list"]))).unwrap();
    let id = placed["transactionId"].as_str().unwrap();
    eim.process.kill();
    let eim = Eim::start(folder);
    succeed(&mut eim.command(folder, &["cancel", id]));
    let error = fail(&mut eim.command(folder, &["cancel", id]));
    let listed = succeed(&mut eim.command(folder, &["list", "orders", "progress=Open"]));
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), serde_json::json!([]), "{error}");
}

#[tokio::test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
async fn the_configuration_pins_the_key_of_the_tls_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eim = Eim::start(folder);
    let printed: Value =
        serde_json::from_str(&succeed(&mut eim.command(folder, &["configuration"]))).unwrap();
    let pinned = printed["configuration"]["tlsPublicKey"].as_str().unwrap().to_owned();
    assert_eq!(printed["configuration"]["fqdn"], eim.address.as_str());
    let address = eim.address.clone();
    let certificate = tokio::task::spawn_blocking(move || presented(&address)).await.unwrap();
    let key = Certificate::from_der(certificate).unwrap().public_key().clone();
    assert_eq!(hex::encode_upper(certs::subject_public_key_info(&key)), pinned);
}

/// Returns the certificate that a TLS server presents.
fn presented(address: &str) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", address, "-showcerts"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").unwrap();
    let (base64, _) = rest.split_once("-----END CERTIFICATE-----").unwrap();
    let base64: String = base64.split_whitespace().collect();
    base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap()
}
