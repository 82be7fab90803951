//! A testbed with the parties of an M2M swap (SGP.02) in one process: an SM-DP, an SM-SR, an
//! operator, an EUM, the networks of two countries with their SMSC, and a device with its card. The
//! device starts nothing by itself. Faults can be injected into links, records, memories, short
//! messages, HTTPS and the radio.
//!
//! The device has a bootstrap profile of one country and roams in another. The operator of the
//! visited country has a local profile in stock for it and pushes it to the card. [`Start`] is the
//! state before the move; any number of [`M2m`] runs can start from it.

pub mod assembly;
mod device;
pub mod factory;
mod observed_state;
pub mod operator;
pub mod recording;
pub mod secured_packet;
mod servers;
mod testbed;
mod web;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use certs::Pki;
use euicc_sim::CardDescription;
use network::smsc::Account;
use network::{Networks, Smsc, SmscSettings};
use rsp::finding::Finding;
use rsp::ids::{Eid, Iccid, Imsi, Oid};
use rsp::sgp02::common::SubscriptionAddress;
use rsp::sgp02::eis::Eis;
use rsp::sgp02::{BaseResponse, Function, Namespace, es1, es2, es4};
use sm_dp::{ProfileOptions, SmDp, SmDpPlus};
use sm_sr::SmSr;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use tokio::time::sleep;
use world::{
    BoxFuture, Cells, Clock, Fault, Memory, MemoryEvents, MemoryHosts, MemoryRecords, PhoneNumber, RamMemory,
};

use crate::host::Host;
use crate::swap::{self, Homes, StoredHomes, Surroundings, unexpected};
use crate::time::Simulation;
use crate::transport::InProcess;
use faults::FaultInjector;

use device::CardFindings;
use factory::FirstProfile;
use operator::{Operator, ReceivedNotification, blank};
use recording::Recording;
use servers::{FIRST, Ids, Parts, SECOND};
use web::Web;

pub use crate::fault_places::{SECOND_SM_SR_PLACE, SM_DP_PLACE, SM_SR_PLACE};
pub use crate::swap::{BOOTSTRAP, LOCAL, VISITED};
pub use observed_state::ObservedState;
pub use sm_sr::es5::Bearer;
pub use testbed::{FunctionResult, M2mTestbed};

/// Time within which the first notification of a new card is confirmed.
const FIRST_CONTACT: Duration = Duration::from_secs(600);

/// Configuration that all runs share.
#[derive(Clone)]
pub struct Setup {
    /// Certificates and keys of all parties.
    pub pki: Arc<Pki>,
    /// The way in which the SM-SR reaches the card: by short messages alone, or by a short message
    /// that triggers an HTTPS session of the card.
    pub bearer: Bearer,
    /// The namespace of all messages between servers.
    pub namespace: Namespace,
    /// The recording of all messages, if they are to be recorded.
    pub recording: Option<Recording>,
    /// True if there is a second SM-SR, to which the card can be handed over.
    pub has_second_sm_sr: bool,
}

impl Setup {
    /// Messages in the newest namespace, which are not recorded.
    pub fn new(pki: Arc<Pki>, bearer: Bearer) -> Self {
        Self { pki, bearer, namespace: Namespace::V3, recording: None, has_second_sm_sr: false }
    }
}

/// The state from which runs start: the stored data of all parties.
#[derive(Clone)]
pub struct Start {
    /// The card.
    pub eid: Eid,
    /// The bootstrap profile, which is on the card.
    pub bootstrap: Iccid,
    /// The local profile, to which the device is to be moved.
    pub local: Iccid,
    subscribers: Vec<(Iccid, Imsi)>,
    description: CardDescription,
    card: Cells,
    sm_dp: MemoryRecords,
    sm_sr: MemoryRecords,
    second_sm_sr: MemoryRecords,
    homes: StoredHomes,
}

/// One run. The background tasks of the parties end when this value is dropped.
pub struct M2m {
    /// All events of the run.
    pub events: MemoryEvents,
    /// The fault injector. It is empty at first.
    pub faults: FaultInjector,
    /// The SM-DP.
    pub sm_dp: Host<SmDp>,
    /// The SM-SR.
    pub sm_sr: Host<SmSr>,
    /// The SM-SR to which the card can be handed over.
    pub second_sm_sr: Option<Host<SmSr>>,
    /// The operator of both profiles.
    pub operator: Operator,
    /// The notifications that the operator receives.
    pub notifications: Receiver<ReceivedNotification>,
    /// The networks, without injected faults.
    pub networks: Arc<Networks>,
    /// The state from which the run started, with the card and the profiles.
    pub start: Start,
    /// The SM-DP+ that shares its stock with the SM-DP.
    pub stock: SmDpPlus,
    card: RamMemory,
    findings: CardFindings,
    sm_dp_records: MemoryRecords,
    sm_sr_records: MemoryRecords,
    second_sm_sr_records: MemoryRecords,
    homes: Homes,
    ids: Ids,
    clock: world::TokioClock,
    eum: Operator,
    _web: Arc<Web>,
    _running: JoinSet<()>,
}

impl Start {
    /// Creates the card, registers it, powers up its device, and puts the local profile in stock.
    ///
    /// # Errors
    /// The PKI has no card or no operator, or one of the steps failed.
    pub async fn prepare(simulation: &Simulation, setup: &Setup) -> Result<Self, Fault> {
        let profiles = swap::profiles()?;
        let numbers = [number("+447700910001")?, number("+4915100000002")?];
        let eid = crate::assembly::first_eid(&setup.pki)?;
        let homes = swap::empty_homes(&profiles);
        let [bootstrap, local] = profiles;
        let (first, second) = (&bootstrap.subscription, &local.subscription);
        let side = FIRST.card_side(true)?;
        let empty = Self {
            eid,
            bootstrap: first.iccid,
            local: second.iccid,
            subscribers: vec![(first.iccid, first.imsi), (second.iccid, second.imsi)],
            description: factory::card(&setup.pki, eid, &bootstrap.package, &side)?,
            card: Cells::new(),
            sm_dp: MemoryRecords::default(),
            sm_sr: MemoryRecords::default(),
            second_sm_sr: MemoryRecords::default(),
            homes,
        };
        let run = M2m::begin(simulation, setup, &empty)?;
        for (subscription, number) in [first, second].into_iter().zip(&numbers) {
            swap::provision(&run.networks, subscription, Some(number))?;
        }
        let [bootstrap_number, local_number] = numbers;
        let (sm_dp, sm_sr) = (run.sm_dp()?, run.sm_sr()?);
        let mut sm_srs = vec![(&FIRST, sm_sr)];
        sm_srs.extend(run.second_sm_sr.as_ref().and_then(Host::party).map(|sm_sr| (&SECOND, sm_sr)));
        servers::introduce(&sm_dp, &sm_srs, run.operator.id(), run.eum.id(), &run.ids, setup.namespace)
            .await?;
        run.stock.add_profile(&local.package, &ProfileOptions::default()).await?;
        let address = SubscriptionAddress { imsi: None, msisdn: local_number.digits().parse().ok() };
        sm_dp.set_subscription_address(second.iccid, &address).await?;
        let operator = run.operator.id().clone();
        let first = FirstProfile { package: bootstrap.package, operator, msisdn: bootstrap_number };
        let now = simulation.clock().now();
        let eis = factory::eis(&setup.pki, eid, &first, &run.ids.sm_sr, None, setup.namespace, now)?;
        let register = es1::RegisterEisRequest { base: blank(), eis };
        let registered = run.eum.call::<es1::RegisterEis>(&run.ids.sm_sr, register, FIRST_CONTACT).await?;
        if !registered.base.is_done() {
            return Err(unexpected(&registered.base.function_execution_status.to_string()));
        }
        sleep(FIRST_CONTACT).await;
        Ok(Self {
            card: run.card.load()?,
            sm_dp: run.sm_dp_records.copied(),
            sm_sr: run.sm_sr_records.copied(),
            second_sm_sr: run.second_sm_sr_records.copied(),
            homes: run.homes.stored()?,
            ..empty
        })
    }
}

impl M2m {
    /// Starts a run from this state, with copies of all stored data. The device powers up as soon
    /// as the runtime runs its task.
    ///
    /// # Errors
    /// The PKI lacks a certificate, or stored data cannot be read.
    pub fn begin(simulation: &Simulation, setup: &Setup, start: &Start) -> Result<Self, Fault> {
        let Surroundings { events, faults, networks, homes } =
            Surroundings::begin(simulation, &setup.pki, &start.homes)?;
        let smsc = centre(simulation, &networks)?;
        faults.inject_into(&smsc);

        let (web, hosts) = (Arc::new(Web::default()), MemoryHosts::default());
        let parts = Parts {
            simulation,
            setup,
            events: &events,
            faults: &faults,
            web: &web,
            transports: &InProcess,
            is_patient: false,
        };
        let (sm_dp_records, sm_sr_records) = (start.sm_dp.copied(), start.sm_sr.copied());
        let (sm_dp, sm_dp_works) = parts.sm_dp(&sm_dp_records)?;
        let (sm_sr, sm_sr_works) = parts.sm_sr(&FIRST, &sm_sr_records, &smsc, &hosts)?;
        let second_sm_sr_records = start.second_sm_sr.copied();
        let second = match setup.has_second_sm_sr {
            true => Some(parts.sm_sr(&SECOND, &second_sm_sr_records, &smsc, &hosts)?),
            false => None,
        };
        let (second_sm_sr, second_works) = second.unzip();
        let (operator, notifications, operator_works) = parts.operator()?;
        let card = RamMemory::of(start.card.clone());
        let findings = CardFindings::default();
        let device = device::Parts {
            simulation: simulation.clone(),
            events: events.clone(),
            faults: faults.clone(),
            networks: Arc::clone(&networks),
            hosts,
            description: start.description.clone(),
            memory: card.clone(),
            visible: swap::visible()?,
            findings: Arc::clone(&findings),
        };
        let works: [BoxFuture<'static, ()>; 5] =
            [Box::pin(smsc.run()), sm_dp_works, sm_sr_works, operator_works, Box::pin(device.live())];
        Ok(Self {
            stock: parts.stock(&sm_dp_records)?,
            eum: parts.eum()?,
            ids: Ids::of(&setup.pki)?,
            clock: simulation.clock(),
            start: start.clone(),
            _web: web,
            _running: works.into_iter().chain(second_works).collect(),
            events,
            faults,
            sm_dp,
            sm_sr,
            second_sm_sr,
            operator,
            notifications,
            networks,
            card,
            findings,
            sm_dp_records,
            sm_sr_records,
            second_sm_sr_records,
            homes,
        })
    }

    /// Returns the deviations that the card has accepted in this run.
    pub fn card_findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls ES2.DownloadProfile for the local profile, optionally with its activation.
    ///
    /// # Errors
    /// There is no answer within the validity period.
    pub async fn download(
        &self,
        enable_profile: bool,
        validity: Duration,
    ) -> Result<es2::DownloadProfileResponse, Fault> {
        let request = es2::DownloadProfileRequest {
            base: blank(),
            eid: self.start.eid,
            smsr_id: self.ids.sm_sr.clone(),
            profile_type: None,
            iccid: Some(self.start.local),
            enable_profile,
        };
        self.ask_sm_dp::<es2::DownloadProfile>(request, validity).await
    }

    /// Calls ES2.EnableProfile for the local profile.
    ///
    /// # Errors
    /// There is no answer within the validity period.
    pub async fn enable(&self, validity: Duration) -> Result<es2::EnableProfileResponse, Fault> {
        let (eid, iccid) = (self.start.eid, self.start.local);
        let request =
            es2::EnableProfileRequest { base: blank(), eid, smsr_id: self.ids.sm_sr.clone(), iccid };
        self.ask_sm_dp::<es2::EnableProfile>(request, validity).await
    }

    /// Calls ES2.DeleteProfile for the local profile.
    ///
    /// # Errors
    /// There is no answer within the validity period.
    pub async fn delete(&self, validity: Duration) -> Result<es2::DeleteProfileResponse, Fault> {
        let (eid, iccid) = (self.start.eid, self.start.local);
        let request =
            es2::DeleteProfileRequest { base: blank(), eid, smsr_id: self.ids.sm_sr.clone(), iccid };
        self.ask_sm_dp::<es2::DeleteProfile>(request, validity).await
    }

    /// Calls ES4.AuditEIS: returns the state that the card reports, which the SM-SR also stores.
    ///
    /// # Errors
    /// There is no answer within the validity period, or it is a refusal.
    pub async fn audit(&self, validity: Duration) -> Result<Eis, Fault> {
        let request = es4::AuditEisRequest { base: blank(), eid: self.start.eid, iccid: Vec::new() };
        let answer = self.operator.call::<es4::AuditEis>(&self.ids.sm_sr, request, validity).await?;
        let status = answer.base.function_execution_status;
        answer.eis.ok_or_else(|| {
            Fault::new("the card was not audited", status.to_string(), "look at the events of the run")
        })
    }

    /// Calls ES4.PrepareSMSRChange and ES4.SMSRChange: hands the card over to the second SM-SR. Returns
    /// the first unsuccessful answer, or the last one.
    ///
    /// # Errors
    /// There is no answer within the validity period.
    pub async fn change_sm_sr(&self, validity: Duration) -> Result<BaseResponse, Fault> {
        let Ids { sm_sr: first, second_sm_sr: second, .. } = &self.ids;
        let eid = self.start.eid;
        let prepare = es4::PrepareSmsrChangeRequest { base: blank(), eid, current_smsr_id: first.clone() };
        let prepared = self.operator.call::<es4::PrepareSmsrChange>(second, prepare, validity).await?;
        if !prepared.base.is_done() {
            return Ok(prepared.base);
        }
        let change = es4::SmsrChangeRequest { base: blank(), eid, target_smsr_id: second.clone() };
        Ok(self.operator.call::<es4::SmsrChange>(first, change, validity).await?.base)
    }

    async fn ask_sm_dp<F: Function>(
        &self,
        request: F::Request,
        validity: Duration,
    ) -> Result<F::Response, Fault>
    where
        F::Request: Clone + Send,
    {
        self.operator.call::<F>(&self.ids.sm_dp, request, validity).await
    }

    /// Waits until the condition holds, and returns how long that took. It checks after a minute
    /// and then at growing intervals of up to one hour.
    ///
    /// # Errors
    /// The condition does not hold within this time. The fault contains the last state, or the
    /// reason why a server could not be queried.
    pub async fn until(
        &self,
        within: Duration,
        is_so: impl Fn(&ObservedState) -> bool,
    ) -> Result<Duration, Fault> {
        let began = self.clock.elapsed();
        let mut pause = Duration::from_secs(60);
        loop {
            let truth = self.truth().await;
            let passed = self.clock.elapsed() - began;
            pause = pause.max(passed / 4).min(Duration::from_secs(3600));
            match truth {
                Ok(truth) if is_so(&truth) => return Ok(passed),
                truth if passed >= within => {
                    let last = truth.map_or_else(|fault| fault.to_string(), |truth| format!("{truth:?}"));
                    return Err(Fault::new(
                        "the expected state was not reached in time",
                        last,
                        "look at the events of the run",
                    ));
                }
                _ => sleep(pause).await,
            }
        }
    }

    /// The OID of the SM-DP.
    pub fn sm_dp_id(&self) -> &Oid {
        &self.ids.sm_dp
    }

    /// The OID of the SM-SR.
    pub fn sm_sr_id(&self) -> &Oid {
        &self.ids.sm_sr
    }

    fn sm_dp(&self) -> Result<SmDp, Fault> {
        self.sm_dp.party().ok_or_else(|| unexpected("the SM-DP does not run"))
    }

    fn sm_sr(&self) -> Result<SmSr, Fault> {
        self.sm_sr.party().ok_or_else(|| unexpected("the SM-SR does not run"))
    }
}

/// The SMSC of all networks.
fn centre(simulation: &Simulation, networks: &Arc<Networks>) -> Result<Arc<Smsc>, Fault> {
    let account = |at: &servers::SmSrAt| {
        let (name, password) = (at.place.to_owned(), "landfall".to_owned());
        Ok(Account { name, password: password.into(), numbers: vec![number(at.number)?] })
    };
    let accounts = [FIRST, SECOND].iter().map(account).collect::<Result<_, Fault>>()?;
    let settings = SmscSettings::new(number("+447700900000")?, accounts);
    Smsc::open(settings, Arc::clone(networks), RamMemory::default(), simulation.world("service centre"))
}

fn number(text: &str) -> Result<PhoneNumber, Fault> {
    text.parse().map_err(|_| unexpected(text))
}

#[cfg(test)]
mod tests {
    use certs::PkiOptions;
    use rsp::time::Timestamp;

    use super::*;
    use crate::time::run;

    const BEGIN: Timestamp = Timestamp(1_795_000_000_000);

    #[test]
    fn a_device_is_moved_over_either_bearer_and_all_records_agree() {
        let pki = Arc::new(Pki::from_seed(b"m2m", &PkiOptions::default()).unwrap());
        for bearer in [Bearer::Sms, Bearer::Https] {
            let setup = Setup::new(Arc::clone(&pki), bearer);
            let start = run("m2m", BEGIN, async |simulation| Start::prepare(&simulation, &setup).await);
            let start = start.unwrap().unwrap();
            let again = BEGIN.plus(Duration::from_secs(3600));
            let networks = run("m2m", again, async |simulation| {
                let mut run = M2m::begin(&simulation, &setup, &start).unwrap();
                run.until(Duration::from_secs(60), |truth| truth.is_registered).await.unwrap();
                let truth = run.truth().await.unwrap();
                assert_eq!(truth.wrong(start.bootstrap, start.local), [""; 0], "{bearer}");
                assert_eq!(truth.enabled(), Some(start.bootstrap));
                let answer = run.download(true, Duration::from_secs(3600)).await.unwrap();
                assert!(answer.base.is_done(), "{}", answer.base.function_execution_status);
                let truth = run.truth().await.unwrap();
                assert_eq!(truth.wrong(start.bootstrap, start.local), [""; 0], "{bearer}");
                assert_eq!(truth.enabled(), Some(start.local));
                let received = run.notifications.try_recv().unwrap();
                assert_eq!(received.notification, "ES4-HandleProfileDisabledNotification");
                let eis = run.audit(Duration::from_secs(600)).await.unwrap();
                assert_eq!(eis.profile_info.len(), 2);
                Arc::downgrade(&run.networks)
            })
            .unwrap();
            // The SM-SR holds the networks, because they carry its messages. If a part of the SM-SR
            // outlived the run, the networks would still exist.
            assert!(networks.upgrade().is_none(), "{bearer}: a part of the run has outlived it");
        }
    }
}
