//! A testbed with the servers of SGP.02 for any number of cards. It manages the M2M devices of a
//! scenario file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certs::Pki;
use euicc_sim::CardDescription;
use euicc_sim::m2m::StoredIsdP;
use euicc_sim::m2m::toolkit::ToolkitSettings;
use localize::Orderable;
use network::Networks;
use rsp::ids::{Aid, Eid, Iccid, Oid};
use rsp::sgp02::common::SubscriptionAddress;
use rsp::sgp02::eis::{Eis, ProfileState};
use rsp::sgp02::{BaseResponse, Namespace, es1, es2, es4};
use sm_dp::{ProfileOptions, ProfileState as StockedProfile, SmDp, SmDpPlus};
use sm_sr::SmSr;
use sm_sr::es5::Bearer;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use world::{BoxFuture, Clock, Fault, MemoryEvents, MemoryHosts, MemoryRecords, PhoneNumber, TokioClock};

use super::factory::{self, FirstProfile};
use super::operator::{Operator, ReceivedNotification, blank};
use super::servers::{self, FIRST, Ids, Parts, SECOND};
use super::web::Web;
use super::{FIRST_CONTACT, SM_DP_PLACE, SM_SR_PLACE, Setup, centre, unexpected};
use crate::fault_places::SmSrPlace;
use crate::host::Host;
use crate::time::Simulation;
use crate::transport::Transports;
use faults::FaultInjector;

/// Poll interval of the cards. It is long, so that a meter is not woken every 30 seconds.
const POLL: Duration = Duration::from_secs(3600);

/// Maximum time for an SM-SR to answer a synchronous function.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// An SM-DP, one or two SM-SRs, the operator, an EUM, and the SMSC of all networks. Their
/// background tasks end when this value is dropped.
pub struct M2mTestbed {
    sm_dp: Host<SmDp>,
    sm_sr: Host<SmSr>,
    second_sm_sr: Option<Host<SmSr>>,
    managers: CardManagers,
    notifications: CardNotifications,
    operator: Operator,
    eum: Operator,
    stock: SmDpPlus,
    ids: Ids,
    pki: Arc<Pki>,
    clock: TokioClock,
    events: MemoryEvents,
    hosts: MemoryHosts,
    _web: Arc<Web>,
    _running: JoinSet<()>,
}

/// The SM-SR that manages each card, as far as the operator has been notified. Cards that are not
/// listed are managed by the first SM-SR.
#[derive(Clone, Default)]
struct CardManagers(Arc<Mutex<BTreeMap<Eid, Oid>>>);

impl CardManagers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Eid, Oid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes the notifications that the operator receives.
    async fn receive(
        self,
        mut notifications_in: Receiver<ReceivedNotification>,
        notifications: CardNotifications,
    ) {
        while let Some(received) = notifications_in.recv().await {
            if let Some(sm_sr) = received.sm_sr {
                self.all().insert(received.eid, sm_sr);
            }
            notifications.of(received.eid).notify_one();
        }
    }
}

/// Wakes tasks that wait for notifications about a card.
#[derive(Clone, Default)]
struct CardNotifications(Arc<Mutex<BTreeMap<Eid, Arc<Notify>>>>);

impl CardNotifications {
    fn of(&self, eid: Eid) -> Arc<Notify> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(eid).or_default())
    }
}

/// An answer that the operator received.
#[derive(Debug)]
pub struct FunctionResult {
    /// The result.
    pub base: BaseResponse,
    /// The profile that the function concerned.
    pub iccid: Option<Iccid>,
}

impl M2mTestbed {
    /// Creates all parties, registers them with each other, and injects the faults between them.
    /// The SM-SR has long timeouts, because short messages take as long as the bearer of a device
    /// requires. `bearer` is the best bearer over which the SM-SR can reach cards.
    pub async fn create(
        simulation: &Simulation,
        pki: &Arc<Pki>,
        networks: &Arc<Networks>,
        faults: &FaultInjector,
        bearer: Bearer,
        transports: &dyn Transports,
        has_second_sm_sr: bool,
    ) -> Result<Self, Fault> {
        let setup = Setup::new(Arc::clone(pki), bearer);
        let (events, web, hosts) =
            (MemoryEvents::default(), Arc::new(Web::default()), MemoryHosts::default());
        let parts = Parts {
            simulation,
            setup: &setup,
            events: &events,
            faults,
            web: &web,
            transports,
            is_patient: true,
        };
        let smsc = centre(simulation, networks)?;
        faults.inject_into(&smsc);
        let (dp_records, sr_records) = (MemoryRecords::default(), MemoryRecords::default());
        let (sm_dp, sm_dp_works) = parts.sm_dp(&dp_records)?;
        let (sm_sr, sm_sr_works) = parts.sm_sr(&FIRST, &sr_records, &smsc, &hosts)?;
        let second = match has_second_sm_sr {
            true => Some(parts.sm_sr(&SECOND, &MemoryRecords::default(), &smsc, &hosts)?),
            false => None,
        };
        let (second_sm_sr, second_works) = second.unzip();
        let (operator, notifications_in, operator_works) = parts.operator()?;
        let (managers, notifications) = (CardManagers::default(), CardNotifications::default());
        let works: [BoxFuture<'static, ()>; 5] = [
            Box::pin(smsc.run()),
            sm_dp_works,
            sm_sr_works,
            operator_works,
            Box::pin(managers.clone().receive(notifications_in, notifications.clone())),
        ];
        let testbed = Self {
            stock: parts.stock(&dp_records)?,
            eum: parts.eum()?,
            ids: Ids::of(pki)?,
            pki: Arc::clone(pki),
            clock: simulation.clock(),
            _web: web,
            _running: works.into_iter().chain(second_works).collect(),
            sm_dp,
            sm_sr,
            second_sm_sr,
            managers,
            notifications,
            operator,
            events,
            hosts,
        };
        let sm_dp = testbed.sm_dp.party().ok_or_else(away)?;
        let mut sm_srs = vec![(&FIRST, testbed.sm_sr.party().ok_or_else(away)?)];
        if let Some(second) = &testbed.second_sm_sr {
            sm_srs.push((&SECOND, second.party().ok_or_else(away)?));
        }
        servers::introduce(
            &sm_dp,
            &sm_srs,
            testbed.operator.id(),
            testbed.eum.id(),
            &testbed.ids,
            setup.namespace,
        )
        .await?;
        Ok(testbed)
    }

    /// The OID of the SM-SR that manages a card, as far as the operator knows.
    fn manager(&self, eid: Eid) -> Oid {
        self.managers.all().get(&eid).unwrap_or(&self.ids.sm_sr).clone()
    }

    /// Returns the [`Notify`] that wakes a task when a notification about the card has arrived.
    pub fn notifications(&self, eid: Eid) -> Arc<Notify> {
        self.notifications.of(eid)
    }

    /// The OID of the operator, which owns the profiles.
    pub fn operator(&self) -> &Oid {
        self.operator.id()
    }

    /// Puts a profile in stock, with the MSISDN of its subscription.
    pub async fn put_in_stock(
        &self,
        package: &[u8],
        iccid: Iccid,
        profile_type: &str,
        number: &PhoneNumber,
    ) -> Result<(), Fault> {
        let options =
            ProfileOptions { profile_type: Some(profile_type.to_owned()), ..ProfileOptions::default() };
        self.stock.add_profile(package, &options).await?;
        let address = SubscriptionAddress { imsi: None, msisdn: number.digits().parse().ok() };
        self.sm_dp.party().ok_or_else(away)?.set_subscription_address(iccid, &address).await
    }

    /// The addresses at which cards reach the SM-SRs for HTTPS sessions.
    pub fn hosts(&self) -> &MemoryHosts {
        &self.hosts
    }

    /// Describes a card in its delivery state, which is reachable over this bearer.
    pub fn card(&self, eid: Eid, first: &FirstProfile, reached_by: Bearer) -> Result<CardDescription, Fault> {
        let side = FIRST.card_side(reached_by == Bearer::Https)?;
        let mut card = factory::card(&self.pki, eid, &first.package, &side)?;
        if let Some(m2m) = &mut card.m2m {
            m2m.toolkit = ToolkitSettings { poll_seconds: POLL.as_secs(), ..ToolkitSettings::default() };
        }
        Ok(card)
    }

    /// Calls ES1.RegisterEIS: the EUM registers the card at the SM-SR.
    pub async fn register(&self, eid: Eid, first: &FirstProfile, reached_by: Bearer) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut eis = factory::eis(&self.pki, eid, first, &self.ids.sm_sr, None, Namespace::V3, now)?;
        if let (Bearer::Sms, Some(isd_r)) = (reached_by, &mut eis.isd_r) {
            // Without a key for HTTPS sessions, the card is reachable only by short messages.
            isd_r.keyset.retain(|set| set.r#type != Some(rsp::sgp02::eis::KeysetType::Scp81));
        }
        let request = es1::RegisterEisRequest { base: blank(), eis };
        let answer = self.eum.call::<es1::RegisterEis>(&self.ids.sm_sr, request, FIRST_CONTACT).await?;
        match answer.base.is_done() {
            true => Ok(()),
            false => Err(unexpected(&answer.base.function_execution_status.to_string())),
        }
    }

    /// Calls ES2.DownloadProfile for a profile, or for any profile of a type, with activation.
    pub async fn download(
        &self,
        eid: Eid,
        what: &Orderable,
        validity: Duration,
    ) -> Result<FunctionResult, Fault> {
        let (iccid, profile_type) = match what {
            Orderable::Iccid(iccid) => (Some(*iccid), None),
            Orderable::ProfileType(name) => (None, Some(name.0.clone())),
        };
        let smsr_id = self.manager(eid);
        let base = blank();
        let request =
            es2::DownloadProfileRequest { base, eid, smsr_id, profile_type, iccid, enable_profile: true };
        let answer = self.operator.call::<es2::DownloadProfile>(&self.ids.sm_dp, request, validity).await?;
        Ok(FunctionResult { base: answer.base, iccid: answer.iccid })
    }

    /// Calls ES4.EnableProfile.
    pub async fn enable(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<FunctionResult, Fault> {
        let request = es4::EnableProfileRequest { base: blank(), eid, iccid };
        let answer = self.operator.call::<es4::EnableProfile>(&self.manager(eid), request, validity).await?;
        Ok(FunctionResult { base: answer.base, iccid: Some(iccid) })
    }

    /// Calls ES4.DisableProfile: the profile with the fall-back attribute is enabled.
    pub async fn disable(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<FunctionResult, Fault> {
        let request = es4::DisableProfileRequest { base: blank(), eid, iccid };
        let answer = self.operator.call::<es4::DisableProfile>(&self.manager(eid), request, validity).await?;
        Ok(FunctionResult { base: answer.base, iccid: Some(iccid) })
    }

    /// Calls ES2.DeleteProfile, so that the profile is in stock at the SM-DP again.
    pub async fn delete(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<FunctionResult, Fault> {
        let smsr_id = self.manager(eid);
        let request = es2::DeleteProfileRequest { base: blank(), eid, smsr_id, iccid };
        let answer = self.operator.call::<es2::DeleteProfile>(&self.ids.sm_dp, request, validity).await?;
        Ok(FunctionResult { base: answer.base, iccid: Some(iccid) })
    }

    /// Calls ES4.GetEIS: returns the EIS of the SM-SR.
    pub async fn eis(&self, eid: Eid) -> Result<Eis, Fault> {
        let request = es4::GetEisRequest { base: blank(), eid };
        let answer = self.operator.call::<es4::GetEis>(&self.manager(eid), request, ANSWERED_WITHIN).await?;
        let status = answer.base.function_execution_status;
        answer
            .eis
            .ok_or_else(|| Fault::new("the SM-SR returned no EIS", status.to_string(), "try again later"))
    }

    /// Calls ES4.AuditEIS: the SM-SR reads the state of the card and updates the EIS.
    pub async fn audit(&self, eid: Eid, validity: Duration) -> Result<FunctionResult, Fault> {
        let request = es4::AuditEisRequest { base: blank(), eid, iccid: Vec::new() };
        let answer = self.operator.call::<es4::AuditEis>(&self.manager(eid), request, validity).await?;
        Ok(FunctionResult { base: answer.base, iccid: None })
    }

    /// Calls ES4.PrepareSMSRChange and ES4.SMSRChange: hands the card over to another SM-SR.
    /// Returns the first unsuccessful answer, or the last one.
    pub async fn change_sm_sr(
        &self,
        eid: Eid,
        to: SmSrPlace,
        validity: Duration,
    ) -> Result<FunctionResult, Fault> {
        let target = self.id_of(to);
        let current = self.manager(eid);
        let prepare = es4::PrepareSmsrChangeRequest { base: blank(), eid, current_smsr_id: current.clone() };
        let prepared = self.operator.call::<es4::PrepareSmsrChange>(target, prepare, validity).await?;
        if !prepared.base.is_done() {
            return Ok(FunctionResult { base: prepared.base, iccid: None });
        }
        let change = es4::SmsrChangeRequest { base: blank(), eid, target_smsr_id: target.clone() };
        let changed = self.operator.call::<es4::SmsrChange>(&current, change, validity).await?;
        if changed.base.is_done() {
            self.managers.all().insert(eid, target.clone());
        }
        Ok(FunctionResult { base: changed.base, iccid: None })
    }

    /// Ends the process of a server, which is restarted after `away`.
    pub fn end_process(&self, place: &str, away: Duration) {
        match place {
            SM_DP_PLACE => self.sm_dp.end(away),
            SM_SR_PLACE => self.sm_sr.end(away),
            _ => self.second_sm_sr.iter().for_each(|sm_sr| sm_sr.end(away)),
        }
    }

    /// True if this SM-SR manages the card according to its own records.
    pub async fn manages(&self, sm_sr: SmSrPlace, eid: Eid) -> Result<bool, Fault> {
        let found = self.all_eis(eid).await?.unwrap_or_default();
        Ok(found.iter().any(|eis| eis.smsr_id == *self.id_of(sm_sr)))
    }

    fn id_of(&self, sm_sr: SmSrPlace) -> &Oid {
        match sm_sr {
            SmSrPlace::First => &self.ids.sm_sr,
            SmSrPlace::Second => &self.ids.second_sm_sr,
        }
    }

    /// The EIS of each SM-SR that manages the card. `None` if an SM-SR is not running.
    async fn all_eis(&self, eid: Eid) -> Result<Option<Vec<Eis>>, Fault> {
        let mut found = Vec::new();
        for sm_sr in std::iter::once(&self.sm_sr).chain(&self.second_sm_sr) {
            let Some(sm_sr) = sm_sr.party() else { return Ok(None) };
            found.extend(sm_sr.eis(eid).await?);
        }
        Ok(Some(found))
    }

    /// Describes a difference between the card, the EIS of the SM-SR and the records of the SM-DP.
    /// `None` if they agree.
    pub async fn disagreement(&self, eid: Eid, card: &[StoredIsdP]) -> Result<Option<String>, Fault> {
        let (Some(sm_dp), Some(found)) = (self.sm_dp.party(), self.all_eis(eid).await?) else {
            return Ok(Some("cannot be compared: a server is not running".to_owned()));
        };
        let eis = match found.as_slice() {
            [] => return Ok(Some("is in no EIS".to_owned())),
            [eis] if eis.smsr_id == self.manager(eid) => eis,
            [_] => return Ok(Some("is managed by another SM-SR than its operator has recorded".to_owned())),
            _ => return Ok(Some("is managed by two SM-SRs".to_owned())),
        };
        if let Some(why) = eis_differs(eis, card) {
            return Ok(Some(why));
        }
        let first = Aid::isd_p(factory::FIRST_ISD_P);
        let downloaded = card.iter().filter(|isd_p| isd_p.isd_p != first);
        let known = sm_dp.isd_ps(eid).await?;
        let unknown = downloaded.clone().find(|isd_p| !known.iter().any(|known| known.aid == isd_p.isd_p));
        if let Some(iccid) = unknown.and_then(|isd_p| isd_p.iccid) {
            return Ok(Some(format!("has profile {iccid}, which its SM-DP has not recorded")));
        }
        if known.len() > downloaded.count() {
            return Ok(Some("has fewer profiles than its SM-DP has recorded".to_owned()));
        }
        let is_there = |iccid| card.iter().any(|isd_p| isd_p.iccid == Some(iccid) && isd_p.isd_p != first);
        let orders = self.stock.orders().await?;
        let wrong =
            orders.iter().find(|order| is_there(order.iccid) && order.state != StockedProfile::Installed);
        Ok(wrong.map(|order| format!("has profile {}, which is {} at its SM-DP", order.iccid, order.state)))
    }

    /// Discards the recorded events.
    pub fn forget_events(&self) {
        drop(self.events.take());
    }
}

fn eis_differs(eis: &Eis, card: &[StoredIsdP]) -> Option<String> {
    if eis.profile_info.len() != card.len() {
        return Some(format!("has {} profiles, but its EIS lists {}", card.len(), eis.profile_info.len()));
    }
    let is_same = |isd_p: &&StoredIsdP| {
        let state = if isd_p.is_enabled { ProfileState::Enabled } else { ProfileState::Disabled };
        eis.profile_info.iter().any(|profile| {
            profile.isd_p_aid == isd_p.isd_p && Some(profile.iccid) == isd_p.iccid && profile.state == state
        })
    };
    card.iter().find(|isd_p| !is_same(isd_p)).map(|isd_p| {
        let name =
            isd_p.iccid.map_or_else(|| "an empty ISD-P".to_owned(), |iccid| format!("profile {iccid}"));
        let state = if isd_p.is_enabled { "enabled" } else { "not enabled" };
        format!("has {name}, {state}, but the EIS differs")
    })
}

fn away() -> Fault {
    unexpected("a server is not running")
}
