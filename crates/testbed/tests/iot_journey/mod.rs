//! The journey of an IoT device in the fault matrix: the orders of its eIM, the state afterwards, and
//! the comparison of card, eIM and SM-DP+.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use device::IpaSettings;
use device::es10::RetrievedList;
use device::ipa::Binding;
use eim::NewDevice;
use eim::records::{
    DataRequest, Download, DownloadSource, EimOperation, Outcome, Package, ProfileOperation, SESSIONS,
};
use euicc_sim::IotDescription;
use http::Request;
use rsp::der::{Asn1, Null};
use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::ProfileState;
use rsp::sgp22::es8plus::{FinalResult, ProfileInstallationResult};
use rsp::sgp22::es10c::ProfileInfoListResponse;
use rsp::sgp32::es10b::NotificationSearch;
use rsp::sgp32::esipa::{EimPackageResult, ProvideEimPackageResultRequest, ProvideEimPackageResultResponse};
use rsp::sgp32::ipa_data::{
    IpaEuiccDataResponse, ProfileDownloadTriggerResult, ProfileDownloadTriggerResultData, ipa_features,
};
use rsp::sgp32::result::AddEimResult;
use rsp::sgp32::{EuiccPackageResult, EuiccResultData};
use rsp::time::Timestamp;
use testbed::iot::{FIRST_EIM, Iot, IotSetup, IotStart, SECOND_EIM};
use testbed::time::{Simulation, run};
use world::{Clock, Link, Tx, link_from};

const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

static PKI: LazyLock<Arc<Pki>> =
    LazyLock::new(|| Arc::new(Pki::from_seed(b"iot tests", &PkiOptions::default()).unwrap()));

/// A false sequence number (`tamper/iot-result-number`) is higher by this number. The journeys have
/// fewer results.
const NUMBER_OFFSET: i64 = 1000;

/// A journey: data request, download, enabling with rollback, list, and addEim. Between the last two,
/// the former profile is deleted or becomes the Fallback Profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journey {
    /// The IPA downloads from the SM-DP+. The former profile is deleted.
    Direct,
    /// The IPA downloads through the eIM. The former profile becomes the Fallback Profile.
    Indirect,
    /// As [`Journey::Direct`], with ESipa over CoAP.
    Coap,
}

/// A device whose eIM has the orders of the journey.
pub(crate) struct Prepared {
    setup: IotSetup,
    start: IotStart,
    /// The activation code of the local profile.
    code: String,
    /// The name and the identifier of each order.
    orders: Vec<(&'static str, TransactionId)>,
}

/// The sequence numbers under which the card executed each package, as the first eIM has acknowledged
/// them. The result of a rollback is not an execution.
pub(crate) type Executed = Arc<Mutex<BTreeMap<TransactionId, BTreeSet<i64>>>>;

impl Prepared {
    /// Creates the device, and places the orders.
    pub(crate) fn new(journey: Journey) -> Self {
        let mut ipa = IpaSettings::default();
        match journey {
            Journey::Direct => {}
            Journey::Indirect => {
                ipa.features = vec![
                    ipa_features::INDIRECT_RSP_SERVER_COMMUNICATION,
                    ipa_features::EIM_DOWNLOAD_DATA_HANDLING,
                ];
            }
            Journey::Coap => ipa.binding = Some(Binding::Coap),
        }
        let setup = IotSetup { pki: Arc::clone(&PKI), ipa, card: IotDescription::default() };
        let prepared = run("iot matrix", BEGIN, async |simulation| {
            let iot = Iot::from_factory(&simulation, &setup).await.unwrap();
            iot.eim(1).unwrap().register(&NewDevice::new(iot.eid().unwrap())).await.unwrap();
            let code = iot.release(iot.local).await.unwrap();
            let mut orders = Vec::new();
            for (name, package) in packages(&iot, journey, &code) {
                orders.push((name, iot.order(0, package).await.unwrap()));
            }
            (iot.stored().unwrap(), code, orders)
        });
        let (start, code, orders) = prepared.unwrap();
        Self { setup, start, code, orders }
    }

    /// Runs `simulated` in virtual time, one hour after the preparation.
    pub(crate) fn run<T>(&self, simulated: impl AsyncFnOnce(Iot, Executed) -> T) -> T {
        let later = BEGIN.plus(Duration::from_secs(3600));
        run("iot matrix", later, async |simulation: Simulation| {
            let mut iot = Iot::resume(&simulation, &self.setup, &self.start).unwrap();
            let executed = Executed::default();
            iot.substitute_first_eim(observed(iot.eims[0].link(), &executed)).unwrap();
            simulated(iot, executed).await
        })
        .unwrap()
    }

    /// Returns the result of each order.
    pub(crate) async fn results(&self, iot: &Iot) -> Result<Vec<String>, String> {
        let mut results = Vec::new();
        for (name, id) in &self.orders {
            let outcome = iot.outcome(0, id).await.map_err(|fault| fault.to_string())?;
            let result = outcome.map_or_else(|| "no result".to_owned(), |outcome| described(&outcome));
            results.push(format!("{name}: {result}"));
        }
        Ok(results)
    }

    /// Returns every inconsistency. Those of the records of a server start with its name.
    pub(crate) async fn wrong(&self, iot: &mut Iot, executed: &Executed) -> Vec<String> {
        match self.wrong_of(iot, executed).await {
            Ok(wrong) => wrong,
            Err(why) => vec![why],
        }
    }

    async fn wrong_of(&self, iot: &mut Iot, executed: &Executed) -> Result<Vec<String>, String> {
        let (bootstrap, local) = (iot.bootstrap, iot.local);
        let results = self.results(iot).await.map_err(|why| format!("eIM: {why}"))?;
        let has = |result: &str| results.iter().any(|each| each.ends_with(result));
        let mut wrong = Vec::new();
        let mut check = |is_right: bool, what: String| {
            if !is_right {
                wrong.push(what);
            }
        };
        let open: Vec<_> = results.iter().filter(|result| result.ends_with("no result")).collect();
        check(open.is_empty(), format!("eIM: {open:?}"));

        let (held, enabled) = profiles(iot).await?;
        let registered = iot.ipa.modem().registered().map(|registered| registered.iccid);
        check(registered.is_some(), "the device has no service".to_owned());
        check(registered == enabled, format!("registered with {registered:?}, enabled: {enabled:?}"));
        check(held.iter().collect::<BTreeSet<_>>().len() == held.len(), format!("on the card: {held:?}"));
        check(
            has("delete ok(0)") != held.contains(&bootstrap),
            format!("eIM: {results:?}, but the card has {held:?}"),
        );
        check(has("installed") == held.contains(&local), format!("eIM: {results:?}, on the card: {held:?}"));
        let (moved, rolled_back) = (has("enable ok(0)"), has("rollback ok(0)"));
        check(!moved || enabled == Some(local), format!("eIM: {results:?}, but enabled is {enabled:?}"));
        check(!rolled_back || enabled == Some(bootstrap), format!("eIM: {results:?}, enabled: {enabled:?}"));

        let es10 = |error: device::es10::Es10Error| format!("the card cannot be queried: {error}");
        let eims = iot.ipa.es10().get_eim_configuration_data().await.map_err(es10)?;
        let knows = |id| eims.iter().any(|eim| eim.eim_id == id);
        check(knows(FIRST_EIM), "the card does not know the eIM".to_owned());
        check(
            has("addEim ok") == knows(SECOND_EIM),
            format!("eIM: {results:?}, the card has {}", eims.len()),
        );
        let notifications = iot.ipa.es10().list_notification().await.map_err(es10)?.len();
        check(notifications == 0, format!("{notifications} notifications are left on the card"));
        let search = NotificationSearch::EuiccPackageResults(Null);
        let kept = iot.ipa.es10().retrieve_notifications_list(Some(search)).await.map_err(es10)?;
        let is_empty = matches!(&kept, RetrievedList::EuiccPackageResults(kept) if kept.is_empty());
        check(is_empty, format!("results are left on the card: {kept:?}"));

        for (id, numbers) in &*executed.lock().unwrap() {
            check(numbers.len() == 1, format!("package {id} was executed {} times", numbers.len()));
        }

        let records = |fault: world::Fault| format!("eIM: {fault}");
        let eid = iot.eid().map_err(records)?;
        let device = iot.first_eim().map_err(records)?.device(eid).await.map_err(records)?;
        let device = device.ok_or("eIM: the device is not registered")?;
        check(device.open.is_empty(), format!("eIM: open orders {:?}", device.open));
        let token = eims.iter().find(|eim| eim.eim_id == FIRST_EIM).and_then(|eim| eim.association_token);
        check(device.association.token == token, format!("eIM: another token than {token:?}"));
        let waiting = iot.first_eim().map_err(records)?.waiting_notifications().await.map_err(records)?.len();
        check(waiting == 0, format!("eIM: {waiting} notifications wait"));
        let now = iot.clock().now();
        let sessions = Tx::begin(iot.eim_records(0).map_err(records)?).peek_list(&SESSIONS, "").await;
        let open =
            sessions.map_err(records)?.into_iter().filter(|(_, session)| session.expires > now).count();
        check(open == 0, format!("eIM: {open} sessions are open"));

        let records = |fault: world::Fault| format!("SM-DP+: {fault}");
        let sm_dp = iot.sm_dp.party().ok_or("SM-DP+: it does not run")?;
        let order = sm_dp.orders().await.map_err(records)?.into_iter().find(|order| order.iccid == local);
        let is_installed = order.is_some_and(|order| order.state == sm_dp::ProfileState::Installed);
        check(is_installed == held.contains(&local), format!("SM-DP+: installed is {is_installed}"));
        let installations = sm_dp.installations(local).await.map_err(records)?.len();
        check(
            installations == usize::from(held.contains(&local)),
            format!("SM-DP+: {installations} installations, on the card: {held:?}"),
        );
        Ok(wrong)
    }

    /// Moves the device to the local profile, if it is not enabled, and lists the profiles. A faulty
    /// store may have lost a counter, so that the first packages after it are refused.
    pub(crate) async fn can_still_be_managed(
        &self,
        iot: &mut Iot,
        executed: &Executed,
        has_faulty_store: bool,
    ) -> Result<(), String> {
        let fault = |fault: world::Fault| fault.to_string();
        let (local, tries) = (iot.local, if has_faulty_store { 8 } else { 1 });
        let mut results = Vec::new();
        for _ in 0..tries {
            let (held, enabled) = profiles(iot).await?;
            if !held.contains(&local) {
                let code = iot.release_again(local).await.map_err(fault)?;
                results.push(placed(iot, download(code.unwrap_or_else(|| self.code.clone()))).await?);
            }
            if enabled != Some(local) {
                let operations = vec![ProfileOperation::Enable { iccid: local, rollback: true }];
                results.push(placed(iot, Package::ProfileOperations(operations)).await?);
            }
            let list = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
            let listed = placed(iot, list).await?;
            let (held, enabled) = profiles(iot).await?;
            let is_listed = listed == list_of(&held, enabled);
            results.push(listed);
            if is_listed && enabled == Some(local) {
                let executed = executed.lock().unwrap();
                let is_repeated = executed.values().any(|numbers| numbers.len() != 1);
                return if is_repeated { Err("a package was executed twice".to_owned()) } else { Ok(()) };
            }
        }
        Err(format!("cannot be managed any more: {results:?}"))
    }
}

/// Places an order, and polls until it has a result. Returns the result.
async fn placed(iot: &mut Iot, package: Package) -> Result<String, String> {
    let fault = |fault: world::Fault| fault.to_string();
    let id = iot.order(0, package).await.map_err(fault)?;
    for _ in 0..3 {
        iot.check_in().await.map_err(|error| error.to_string())?;
        if let Some(outcome) = iot.outcome(0, &id).await.map_err(fault)? {
            return Ok(described(&outcome));
        }
    }
    Ok("no result".to_owned())
}

fn packages(iot: &Iot, journey: Journey, code: &str) -> Vec<(&'static str, Package)> {
    let operations = |operation| Package::ProfileOperations(vec![operation]);
    let former = match journey {
        Journey::Direct | Journey::Coap => ("delete", ProfileOperation::Delete { iccid: iot.bootstrap }),
        Journey::Indirect => ("fallback", ProfileOperation::SetFallbackAttribute { iccid: iot.bootstrap }),
    };
    let second = Box::new(iot.eim(1).unwrap().configuration());
    vec![
        ("data", Package::Data(DataRequest::default())),
        ("download", download(code.to_owned())),
        ("enable", operations(ProfileOperation::Enable { iccid: iot.local, rollback: true })),
        ("list", operations(ProfileOperation::ListProfileInfo {})),
        (former.0, operations(former.1)),
        ("addEim", Package::EimOperations(vec![EimOperation::AddEim(second)])),
    ]
}

fn download(code: String) -> Package {
    let source = DownloadSource::ActivationCode(code);
    Package::Download(Download { source, kept_by_eim: false, iccid: None, policy_rules_allowed: false })
}

/// Returns the profiles on the card, and the enabled one.
async fn profiles(iot: &mut Iot) -> Result<(Vec<Iccid>, Option<Iccid>), String> {
    let listed = iot.ipa.es10().get_profiles_info(None).await;
    let listed = listed.map_err(|error| format!("the card cannot be queried: {error}"))?;
    let enabled = listed.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
    Ok((listed.iter().filter_map(|profile| profile.iccid).collect(), enabled.and_then(|it| it.iccid)))
}

fn list_of(held: &[Iccid], enabled: Option<Iccid>) -> String {
    let held: Vec<_> = held.iter().map(ToString::to_string).collect();
    format!("{}, enabled {}", held.join(" "), enabled.map_or("none".to_owned(), |iccid| iccid.to_string()))
}

/// A link that notes which results the eIM acknowledges.
fn observed(eim: Link, executed: &Executed) -> Link {
    let executed = Arc::clone(executed);
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (eim, executed) = (eim.clone(), Arc::clone(&executed));
        async move {
            let sent = ProvideEimPackageResultRequest::from_der(request.body());
            let response = world::send(&eim, request).await?;
            let answer = ProvideEimPackageResultResponse::from_der(response.body());
            if let (Ok(sent), Ok(ProvideEimPackageResultResponse::EimAcknowledgements(_))) = (sent, answer) {
                note(&sent.eim_package_result, &mut executed.lock().unwrap());
            }
            Ok(response)
        }
    }))
}

fn note(result: &EimPackageResult, executed: &mut BTreeMap<TransactionId, BTreeSet<i64>>) {
    let mut note_one = |result: &EuiccPackageResult| {
        let EuiccPackageResult::EuiccPackageResultSigned(signed) = result else { return };
        let data = &signed.euicc_package_result_data_signed;
        let is_rollback = data.euicc_result.iter().any(|result| {
            result.decode().is_ok_and(|result| matches!(&*result, EuiccResultData::RollbackResult(_)))
        });
        if let Some(id) = data.eim_transaction_id.clone().filter(|_| !is_rollback) {
            executed.entry(id).or_default().insert(data.seq_number % NUMBER_OFFSET);
        }
    };
    match result {
        EimPackageResult::EuiccPackageResult(result) => note_one(result),
        EimPackageResult::EprAndNotifications(both) => note_one(&both.euicc_package_result),
        EimPackageResult::IpaEuiccDataResponse(response) => {
            if let IpaEuiccDataResponse::IpaEuiccData(data) = &**response {
                let list = data.euicc_package_result_list.iter().flatten();
                list.filter_map(|result| result.decode().ok()).for_each(|result| note_one(&result));
            }
        }
        _ => {}
    }
}

/// The result of an order in words.
fn described(outcome: &Outcome) -> String {
    match outcome {
        Outcome::EuiccPackage(der) => match EuiccPackageResult::from_der(&der.0).unwrap() {
            EuiccPackageResult::EuiccPackageResultSigned(signed) => {
                let list = &signed.euicc_package_result_data_signed.euicc_result;
                let words: Vec<_> = list.iter().map(|result| text(&result.decode().unwrap())).collect();
                words.join(" ")
            }
            EuiccPackageResult::EuiccPackageErrorSigned(error) => {
                error.euicc_package_error_data_signed.euicc_package_error_code.to_string()
            }
            EuiccPackageResult::EuiccPackageErrorUnsigned(_) => "unsigned error".to_owned(),
        },
        Outcome::Data(der) => match IpaEuiccDataResponse::from_der(&der.0).unwrap() {
            IpaEuiccDataResponse::IpaEuiccData(_) => "data".to_owned(),
            other => format!("{other:?}"),
        },
        Outcome::Download(der) => {
            match ProfileDownloadTriggerResult::from_der(&der.0).unwrap().profile_download_trigger_result_data
            {
                ProfileDownloadTriggerResultData::ProfileInstallationResult(result) => installation(&result),
                ProfileDownloadTriggerResultData::ProfileDownloadError(_) => "download failed".to_owned(),
            }
        }
        Outcome::Installation(der) => installation(&ProfileInstallationResult::from_der(&der.0).unwrap()),
        Outcome::RefusedByIpa(code) => format!("refused by the IPA with {code}"),
        Outcome::NotSent(why) => why.clone(),
    }
}

fn installation(result: &ProfileInstallationResult) -> String {
    match &result.profile_installation_result_data.final_result {
        FinalResult::SuccessResult(_) => "installed".to_owned(),
        FinalResult::ErrorResult(error) => format!("refused by the card: {}", error.error_reason),
    }
}

fn text(result: &EuiccResultData) -> String {
    match result {
        EuiccResultData::EnableResult(code) => format!("enable {code}"),
        EuiccResultData::DeleteResult(code) => format!("delete {code}"),
        EuiccResultData::RollbackResult(code) => format!("rollback {code}"),
        EuiccResultData::SetFallbackAttributeResult(code) => format!("fallback {code}"),
        EuiccResultData::AddEimResult(AddEimResult::AssociationToken(_)) => "addEim ok".to_owned(),
        EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(code)) => format!("addEim {code}"),
        EuiccResultData::ListProfileInfoResult(ProfileInfoListResponse::ProfileInfoListOk(list)) => {
            let enabled = list.iter().find(|profile| profile.profile_state == Some(ProfileState::ENABLED));
            let held: Vec<_> = list.iter().filter_map(|profile| profile.iccid).collect();
            list_of(&held, enabled.and_then(|profile| profile.iccid))
        }
        other => format!("{other:?}"),
    }
}
