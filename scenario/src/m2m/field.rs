//! The servers of SGP.02 for any number of devices that others bring along: those that manage the M2M devices of a scenario
//! file.

use std::sync::Arc;
use std::time::Duration;

use certs::Pki;
use euicc_sim::card::CardDescription;
use euicc_sim::card::m2m::Held;
use euicc_sim::card::m2m::toolkit::Numbers;
use euicc_sim::network::Networks;
use rsp::ids::{Aid, Eid, Iccid, Oid};
use rsp::sgp02::common::SubscriptionAddress;
use rsp::sgp02::eis::{Eis, ProfileState};
use rsp::sgp02::{BaseResponse, Namespace, es1, es2, es4};
use sm_dp::{ProfileOptions, ProfileState as InStock, SmDp, SmDpPlus};
use sm_sr::SmSr;
use sm_sr::es5::Bearer;
use tokio::task::JoinSet;
use world::{BoxFuture, Clock, Fault, MemoryEvents, MemoryHosts, MemoryRecords, PhoneNumber, TokioClock};

use super::factory::{self, CardSide, FirstProfile};
use super::operator::{Operator, blank};
use super::servers::{self, Ids, Parts};
use super::web::Web;
use super::{CARD_PATH, CARDS, FIRST_CONTACT, Setup, centre, sm_sr_number, unexpected};
use crate::faults::Mishaps;
use crate::host::Host;
use crate::play::Ways;
use crate::time::Simulation;

/// How often a card of the field asks its device whether there is something: a meter is not woken every half minute for that.
const POLL: Duration = Duration::from_secs(3600);

/// An SM-DP and an SM-SR, the operator that asks them, an EUM, and the service centre of all networks. What they do without
/// being asked ends with this.
pub(crate) struct Field {
    sm_dp: Host<SmDp>,
    sm_sr: Host<SmSr>,
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
        mishaps: &Mishaps,
        bearer: Bearer,
        ways: &dyn Ways,
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
        let (sm_sr, sm_sr_works) = parts.sm_sr(&sr_records, &smsc, &hosts)?;
        // What it hears without having asked nobody reads here.
        let (operator, _, operator_works) = parts.operator()?;
        let works: [BoxFuture<'static, ()>; 4] =
            [Box::pin(smsc.run()), sm_dp_works, sm_sr_works, operator_works];
        let field = Self {
            stock: parts.stock(&dp_records)?,
            eum: parts.eum()?,
            ids: Ids::of(pki)?,
            pki: Arc::clone(pki),
            clock: simulation.clock(),
            _web: web,
            _running: works.into_iter().collect(),
            sm_dp,
            sm_sr,
            operator,
            events,
            hosts,
        };
        let (sm_dp, sm_sr) = (field.sm_dp.party().ok_or_else(away)?, field.sm_sr.party().ok_or_else(away)?);
        servers::introduce(&sm_dp, &sm_sr, field.operator.id(), field.eum.id(), &field.ids).await?;
        Ok(field)
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
        let https = (reached_by == Bearer::Https).then_some(CARDS);
        let side = CardSide { number: sm_sr_number()?, https, path: CARD_PATH.to_owned() };
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

    /// ES2.DownloadProfile of a profile of this type, which is to be enabled as well.
    pub(crate) async fn download(
        &self,
        eid: Eid,
        profile_type: &str,
        validity: Duration,
    ) -> Result<Answered, Fault> {
        let request = es2::DownloadProfileRequest {
            base: blank(),
            eid,
            smsr_id: self.ids.sm_sr.clone(),
            profile_type: Some(profile_type.to_owned()),
            iccid: None,
            enable_profile: true,
        };
        let answer = self.operator.ask::<es2::DownloadProfile>(&self.ids.sm_dp, request, validity).await?;
        Ok(Answered { base: answer.base, iccid: answer.iccid })
    }

    /// ES4.EnableProfile.
    pub(crate) async fn enable(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<Answered, Fault> {
        let request = es4::EnableProfileRequest { base: blank(), eid, iccid };
        let answer = self.operator.ask::<es4::EnableProfile>(&self.ids.sm_sr, request, validity).await?;
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
        let answer = self.operator.ask::<es4::DisableProfile>(&self.ids.sm_sr, request, validity).await?;
        Ok(Answered { base: answer.base, iccid: Some(iccid) })
    }

    /// ES2.DeleteProfile, so that the SM-DP has it in stock again.
    pub(crate) async fn delete(&self, eid: Eid, iccid: Iccid, validity: Duration) -> Result<Answered, Fault> {
        let smsr_id = self.ids.sm_sr.clone();
        let request = es2::DeleteProfileRequest { base: blank(), eid, smsr_id, iccid };
        let answer = self.operator.ask::<es2::DeleteProfile>(&self.ids.sm_dp, request, validity).await?;
        Ok(Answered { base: answer.base, iccid: Some(iccid) })
    }

    /// ES4.AuditEIS: the card is asked, and the EIS says the same then.
    pub(crate) async fn audit(&self, eid: Eid, validity: Duration) -> Result<Answered, Fault> {
        let request = es4::AuditEisRequest { base: blank(), eid, iccid: Vec::new() };
        let answer = self.operator.ask::<es4::AuditEis>(&self.ids.sm_sr, request, validity).await?;
        Ok(Answered { base: answer.base, iccid: None })
    }

    /// Where the card, the EIS of the SM-SR and the records of the SM-DP do not say the same; nothing if they do.
    pub(crate) async fn disagreement(&self, eid: Eid, card: &[Held]) -> Result<Option<String>, Fault> {
        let (Some(sm_dp), Some(sm_sr)) = (self.sm_dp.party(), self.sm_sr.party()) else {
            return Ok(Some("cannot be compared: a server is away".to_owned()));
        };
        let Some(eis) = sm_sr.eis(eid).await? else {
            return Ok(Some("is in no EIS".to_owned()));
        };
        if let Some(why) = eis_differs(&eis, card) {
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
