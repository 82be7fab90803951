//! The servers of SGP.02 for any number of devices that others bring along: those that manage the M2M devices of a scenario
//! file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certs::Pki;
use euicc_sim::CardDescription;
use euicc_sim::m2m::Held;
use euicc_sim::m2m::toolkit::Numbers;
use localize::Orderable;
use network::Networks;
use rsp::ids::{Aid, Eid, Iccid, Oid};
use rsp::sgp02::common::SubscriptionAddress;
use rsp::sgp02::eis::{Eis, ProfileState};
use rsp::sgp02::{BaseResponse, Namespace, es1, es2, es4};
use sm_dp::{ProfileOptions, ProfileState as InStock, SmDp, SmDpPlus};
use sm_sr::SmSr;
use sm_sr::es5::Bearer;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use world::{BoxFuture, Clock, Fault, MemoryEvents, MemoryHosts, MemoryRecords, PhoneNumber, TokioClock};

use super::factory::{self, FirstProfile};
use super::operator::{Heard, Operator, blank};
use super::servers::{self, FIRST, Ids, Parts, SECOND};
use super::web::Web;
use super::{FIRST_CONTACT, SM_DP_PLACE, SM_SR_PLACE, Setup, centre, unexpected};
use crate::file;
use crate::host::Host;
use crate::play::Ways;
use crate::time::Simulation;
use faults::FaultInjector;

/// How often a card of the field asks its device whether there is something: a meter is not woken every half minute for that.
const POLL: Duration = Duration::from_secs(3600);

/// How long an SM-SR may take for what it answers at once.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// An SM-DP and an SM-SR, perhaps another one, the operator that asks them, an EUM, and the service centre of all networks. What they do without
/// being asked ends with this.
pub(crate) struct Field {
    sm_dp: Host<SmDp>,
    sm_sr: Host<SmSr>,
    second_sm_sr: Option<Host<SmSr>>,
    managers: Managers,
    news: News,
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

/// Who manages which card, as the operator was told; of the others the first SM-SR does.
#[derive(Clone, Default)]
struct Managers(Arc<Mutex<BTreeMap<Eid, Oid>>>);

impl Managers {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Eid, Oid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the operator is told without having asked.
    async fn hear(self, mut hears: Receiver<Heard>, news: News) {
        while let Some(heard) = hears.recv().await {
            if let Some(sm_sr) = heard.sm_sr {
                self.all().insert(heard.eid, sm_sr);
            }
            news.of(heard.eid).notify_one();
        }
    }
}

/// Who waits for news of which card.
#[derive(Clone, Default)]
struct News(Arc<Mutex<BTreeMap<Eid, Arc<Notify>>>>);

impl News {
    fn of(&self, eid: Eid) -> Arc<Notify> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(eid).or_default())
    }
}

/// What the operator was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    /// How it ended.
    pub(crate) base: BaseResponse,
    /// The profile that it was about.
    pub(crate) iccid: Option<Iccid>,
}

impl Field {
    /// Everybody, known to each other, with what goes wrong between them. Short messages take as long as a bearer says, so the
    /// SM-SR is patient. `bearer` is how it may reach cards at best.
    pub(crate) async fn lay_out(
        simulation: &Simulation,
        pki: &Arc<Pki>,
        networks: &Arc<Networks>,
        mishaps: &FaultInjector,
        bearer: Bearer,
        ways: &dyn Ways,
        has_second_sm_sr: bool,
    ) -> Result<Self, Fault> {
        let setup = Setup { pki: Arc::clone(pki), bearer };
        let (events, web, hosts) =
            (MemoryEvents::default(), Arc::new(Web::default()), MemoryHosts::default());
        let parts =
            Parts { simulation, setup: &setup, events: &events, mishaps, web: &web, ways, is_patient: true };
        let smsc = centre(simulation, networks)?;
        mishaps.inject_into(&smsc);
        let (dp_records, sr_records) = (MemoryRecords::default(), MemoryRecords::default());
        let (sm_dp, sm_dp_works) = parts.sm_dp(&dp_records)?;
        let (sm_sr, sm_sr_works) = parts.sm_sr(&FIRST, &sr_records, &smsc, &hosts)?;
        let second = match has_second_sm_sr {
            true => Some(parts.sm_sr(&SECOND, &MemoryRecords::default(), &smsc, &hosts)?),
            false => None,
        };
        let (second_sm_sr, second_works) = second.unzip();
        let (operator, hears, operator_works) = parts.operator()?;
        let (managers, news) = (Managers::default(), News::default());
        let works: [BoxFuture<'static, ()>; 5] = [
            Box::pin(smsc.run()),
            sm_dp_works,
            sm_sr_works,
            operator_works,
            Box::pin(managers.clone().hear(hears, news.clone())),
        ];
        let field = Self {
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
            news,
            operator,
            events,
            hosts,
        };
        let sm_dp = field.sm_dp.party().ok_or_else(away)?;
        let mut sm_srs = vec![(&FIRST, field.sm_sr.party().ok_or_else(away)?)];
        if let Some(second) = &field.second_sm_sr {
            sm_srs.push((&SECOND, second.party().ok_or_else(away)?));
        }
        servers::introduce(&sm_dp, &sm_srs, field.operator.id(), field.eum.id(), &field.ids).await?;
        Ok(field)
    }

    /// The SM-SR that manages a card, as far as the operator knows.
    fn manager(&self, eid: Eid) -> Oid {
        self.managers.all().get(&eid).unwrap_or(&self.ids.sm_sr).clone()
    }

    /// Told when there is something new of a card.
    pub(crate) fn news(&self, eid: Eid) -> Arc<Notify> {
        self.news.of(eid)
    }

    /// Whose the profiles are.
    pub(crate) fn operator(&self) -> &Oid {
        self.operator.id()
    }

    /// Puts a profile in stock, with the number that its subscriber has.
    pub(crate) async fn put_in_stock(
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

    /// Where cards find the SM-SR when they open a session.
    pub(crate) fn hosts(&self) -> &MemoryHosts {
        &self.hosts
    }

    /// A card as it leaves the factory, to be reached so.
    pub(crate) fn card(
        &self,
        eid: Eid,
        first: &FirstProfile,
        reached_by: Bearer,
    ) -> Result<CardDescription, Fault> {
        let side = FIRST.card_side(reached_by == Bearer::Https)?;
        let mut card = factory::card(&self.pki, eid, first, &side)?;
        if let Some(m2m) = &mut card.m2m {
            m2m.toolkit = Numbers { poll_seconds: POLL.as_secs(), ..Numbers::default() };
        }
        Ok(card)
    }

    /// ES1.RegisterEIS: the EUM gives the card to the SM-SR.
    pub(crate) async fn register(
        &self,
        eid: Eid,
        first: &FirstProfile,
        reached_by: Bearer,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut eis = factory::eis(&self.pki, eid, first, &self.ids.sm_sr, None, Namespace::V3, now)?;
        if let (Bearer::Sms, Some(isd_r)) = (reached_by, &mut eis.isd_r) {
            // Without a key for sessions over HTTPS it is reached by short messages alone.
            isd_r.keyset.retain(|set| set.r#type != Some(rsp::sgp02::eis::KeysetType::Scp81));
        }
        let request = es1::RegisterEisRequest { base: blank(), eis };
        let answer = self.eum.ask::<es1::RegisterEis>(&self.ids.sm_sr, request, FIRST_CONTACT).await?;
        match answer.base.is_done() {
            true => Ok(()),
            false => Err(unexpected(&answer.base.function_execution_status.to_string())),
        }
    }

    /// ES2.DownloadProfile of a profile, or of any of a type, which is to be enabled as well.
    pub(crate) async fn download(
        &self,
        eid: Eid,
        what: &Orderable,
        validity: Duration,
    ) -> Result<Answered, Fault> {
        let (iccid, profile_type) = match what {
            Orderable::Iccid(iccid) => (Some(*iccid), None),
            Orderable::ProfileType(name) => (None, Some(name.0.clone())),
        };
        let smsr_id = self.manager(eid);
        let base = blank();
        let request =
            es2::DownloadProfileRequest { base, eid, smsr_id, profile_type, iccid, enable_profile: true };
        let answer = self.operator.ask::<es2::DownloadProfile>(&self.ids.sm_dp, request, validity).await?;
        Ok(Answered { base: answer.base, iccid: answer.iccid })
    }

    /// ES4.EnableProfile.
    pub(crate) async fn enable(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<Answered, Fault> {
        let request = es4::EnableProfileRequest { base: blank(), eid, iccid };
        let answer = self.operator.ask::<es4::EnableProfile>(&self.manager(eid), request, validity).await?;
        Ok(Answered { base: answer.base, iccid: Some(iccid) })
    }

    /// ES4.DisableProfile: the profile to fall back to is enabled.
    pub(crate) async fn disable(
        &self,
        eid: Eid,
        iccid: Iccid,
        validity: Duration,
    ) -> Result<Answered, Fault> {
        let request = es4::DisableProfileRequest { base: blank(), eid, iccid };
        let answer = self.operator.ask::<es4::DisableProfile>(&self.manager(eid), request, validity).await?;
        Ok(Answered { base: answer.base, iccid: Some(iccid) })
    }

    /// ES2.DeleteProfile, so that the SM-DP has it in stock again.
    pub(crate) async fn delete(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<Answered, Fault> {
        let smsr_id = self.manager(eid);
        let request = es2::DeleteProfileRequest { base: blank(), eid, smsr_id, iccid };
        let answer = self.operator.ask::<es2::DeleteProfile>(&self.ids.sm_dp, request, validity).await?;
        Ok(Answered { base: answer.base, iccid: Some(iccid) })
    }

    /// ES4.GetEIS: what the SM-SR says of the card.
    pub(crate) async fn eis(&self, eid: Eid) -> Result<Eis, Fault> {
        let request = es4::GetEisRequest { base: blank(), eid };
        let answer = self.operator.ask::<es4::GetEis>(&self.manager(eid), request, ANSWERED_WITHIN).await?;
        let status = answer.base.function_execution_status;
        answer.eis.ok_or_else(|| Fault::new("an EIS was not given", status.to_string(), "ask again later"))
    }

    /// ES4.AuditEIS: the card is asked, and the EIS says the same then.
    pub(crate) async fn audit(&self, eid: Eid, validity: Duration) -> Result<Answered, Fault> {
        let request = es4::AuditEisRequest { base: blank(), eid, iccid: Vec::new() };
        let answer = self.operator.ask::<es4::AuditEis>(&self.manager(eid), request, validity).await?;
        Ok(Answered { base: answer.base, iccid: None })
    }

    /// ES4.PrepareSMSRChange and ES4.SMSRChange: another SM-SR is to manage the card. The first answer that is no success is
    /// the answer.
    pub(crate) async fn change_sm_sr(
        &self,
        eid: Eid,
        to: file::SmSr,
        validity: Duration,
    ) -> Result<Answered, Fault> {
        let target = self.id_of(to);
        let current = self.manager(eid);
        let prepare = es4::PrepareSmsrChangeRequest { base: blank(), eid, current_smsr_id: current.clone() };
        let prepared = self.operator.ask::<es4::PrepareSmsrChange>(target, prepare, validity).await?;
        if !prepared.base.is_done() {
            return Ok(Answered { base: prepared.base, iccid: None });
        }
        let change = es4::SmsrChangeRequest { base: blank(), eid, target_smsr_id: target.clone() };
        let changed = self.operator.ask::<es4::SmsrChange>(&current, change, validity).await?;
        if changed.base.is_done() {
            self.managers.all().insert(eid, target.clone());
        }
        Ok(Answered { base: changed.base, iccid: None })
    }

    /// The process of one of the servers ends, and is started again after this time.
    pub(crate) fn end_process(&self, place: &str, away: Duration) {
        match place {
            SM_DP_PLACE => self.sm_dp.end(away),
            SM_SR_PLACE => self.sm_sr.end(away),
            _ => self.second_sm_sr.iter().for_each(|sm_sr| sm_sr.end(away)),
        }
    }

    /// Whether this SM-SR has the card, by its own records.
    pub(crate) async fn manages(&self, sm_sr: file::SmSr, eid: Eid) -> Result<bool, Fault> {
        let found = self.all_eis(eid).await?.unwrap_or_default();
        Ok(found.iter().any(|eis| eis.smsr_id == *self.id_of(sm_sr)))
    }

    fn id_of(&self, sm_sr: file::SmSr) -> &Oid {
        match sm_sr {
            file::SmSr::First => &self.ids.sm_sr,
            file::SmSr::Second => &self.ids.second_sm_sr,
        }
    }

    /// What each SM-SR says of a card that it manages; none if one is away.
    async fn all_eis(&self, eid: Eid) -> Result<Option<Vec<Eis>>, Fault> {
        let mut found = Vec::new();
        for sm_sr in std::iter::once(&self.sm_sr).chain(&self.second_sm_sr) {
            let Some(sm_sr) = sm_sr.party() else { return Ok(None) };
            found.extend(sm_sr.eis(eid).await?);
        }
        Ok(Some(found))
    }

    /// Where the card, the EIS of the SM-SR and the records of the SM-DP do not say the same; nothing if they do.
    pub(crate) async fn disagreement(&self, eid: Eid, card: &[Held]) -> Result<Option<String>, Fault> {
        let (Some(sm_dp), Some(found)) = (self.sm_dp.party(), self.all_eis(eid).await?) else {
            return Ok(Some("cannot be compared: a server is away".to_owned()));
        };
        let eis = match found.as_slice() {
            [] => return Ok(Some("is in no EIS".to_owned())),
            [eis] if eis.smsr_id == self.manager(eid) => eis,
            [_] => return Ok(Some("is managed by another SM-SR than its operator knows".to_owned())),
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
            return Ok(Some(format!("has profile {iccid}, of which its SM-DP does not know")));
        }
        if known.len() > downloaded.count() {
            return Ok(Some("has fewer profiles than its SM-DP believes".to_owned()));
        }
        let is_there = |iccid| card.iter().any(|isd_p| isd_p.iccid == Some(iccid) && isd_p.isd_p != first);
        let orders = self.stock.orders().await?;
        let wrong = orders.iter().find(|order| is_there(order.iccid) && order.state != InStock::Installed);
        Ok(wrong
            .map(|order| format!("has profile {}, which its SM-DP takes for {}", order.iccid, order.state)))
    }

    /// What was told is not kept.
    pub(crate) fn forget_events(&self) {
        drop(self.events.take());
    }
}

fn eis_differs(eis: &Eis, card: &[Held]) -> Option<String> {
    if eis.profile_info.len() != card.len() {
        return Some(format!("has {} profiles, and {} are in its EIS", card.len(), eis.profile_info.len()));
    }
    let is_same = |isd_p: &&Held| {
        let state = if isd_p.is_enabled { ProfileState::Enabled } else { ProfileState::Disabled };
        eis.profile_info.iter().any(|profile| {
            profile.isd_p_aid == isd_p.isd_p && Some(profile.iccid) == isd_p.iccid && profile.state == state
        })
    };
    card.iter().find(|isd_p| !is_same(isd_p)).map(|isd_p| {
        let name =
            isd_p.iccid.map_or_else(|| "an empty ISD-P".to_owned(), |iccid| format!("profile {iccid}"));
        let state = if isd_p.is_enabled { "enabled" } else { "not enabled" };
        format!("has {name}, {state}, and the EIS says otherwise")
    })
}

fn away() -> Fault {
    unexpected("a server does not run")
}
