//! The agent of the operator for one M2M device. It checks in at the platform for the device,
//! because a card without an LPA cannot.
//!
//! The agent reports what servers know. The home network knows the location of the device
//! (UpdateLocation). The EIS (ES4.GetEIS), which the card's notifications keep up to date, lists
//! the profiles on its card. The agent executes instructions of the platform over ES2 and ES4, and
//! reads their result from the EIS.

use std::sync::Weak;
use std::time::Duration;

use fleet::{Action, CardProfile, CheckIn, Ending, MoveEnded, MoveId, RefusedBy, Registration, Target};
use rsp::ids::{Eid, Iccid};
use rsp::sgp02::eis::ProfileState;
use rsp::sgp02::status::Status;
use rsp::sgp02::{ExecutionStatus, FunctionExecutionStatus};
use rsp::time::Timestamp;
use tokio::time::sleep;
use world::Fault;

use crate::play::check_in::{self, patience};
use crate::play::dormant_device::Attached;
use crate::play::imei::{imei, reported_imei};
use crate::play::internal_fault::bug;
use crate::play::online_devices::M2m;
use crate::play::simulated_world::SimulatedWorld;
use crate::report::Kind;
use testbed::m2m::{FunctionResult, M2mTestbed};

/// Validity period of a move (ValidityPeriod): half of the time that the platform waits for its
/// end.
const MOVE_VALIDITY: Duration = Duration::from_secs(86_400);
/// Validity period of an audit.
const AUDIT_VALIDITY: Duration = Duration::from_secs(6 * 3600);
/// Delay before the EIS is read after a change. A card notifies its SM-SR only after it has
/// registered, so an earlier EIS would be incomplete.
const SETTLING_TIME: Duration = Duration::from_secs(300);
/// Number of consecutive contradictions between home network and EIS after which the card is
/// audited.
const MAX_CONTRADICTIONS: u32 = 3;

/// Runs the agent of a device without end. It acts on each notification, and when a check-in is
/// due.
pub(super) async fn run(sim: Weak<SimulatedWorld>, index: usize) {
    let Some((mut agent, notifications)) = sim.upgrade().and_then(|sim| {
        let eid = sim.device(index)?.eid;
        Some((M2mAgent::new(index, eid, sim.now()), sim.parties.m2m.as_ref()?.testbed.notifications(eid)))
    }) else {
        return;
    };
    loop {
        let Some(wait) = sim.upgrade().map(|sim| agent.due.since(sim.now())) else { return };
        tokio::select! {
            biased;
            () = notifications.notified() => sleep(SETTLING_TIME).await,
            () = sleep(wait) => {}
        }
        let Some(sim) = sim.upgrade() else { return };
        if let Err(why) = agent.run_once(&sim).await {
            agent.schedule_retry(&sim, &why);
        }
    }
}

struct M2mAgent {
    index: usize,
    eid: Eid,
    /// The profiles in the latest EIS.
    eis: Vec<CardProfile>,
    /// The current move, until its end is known.
    begun: Option<MoveInProgress>,
    /// The end of the last move, until it has been reported to the platform.
    ended: Option<MoveEnded>,
    /// The operator that had no profile for the last move.
    profile_unavailable: Option<RefusedBy>,
    /// Time of the next check-in.
    due: Timestamp,
    /// Number of consecutive failed check-ins.
    failures: u32,
    contradictions: u32,
}

/// A move in progress.
struct MoveInProgress {
    order: MoveId,
    to: Target,
    /// The answer of the SM-DP or SM-SR, once it has arrived. The EIS then shows how the move ended.
    answer: Option<String>,
}

impl MoveInProgress {
    /// The target profile, if it is in the EIS.
    fn target_profile<'a>(&self, eis: &'a [CardProfile]) -> Option<&'a CardProfile> {
        let is_target = |profile: &&CardProfile| match &self.to {
            Target::Order { operator, .. } => profile.home == Some(*operator),
            Target::Enable(iccid) | Target::Download { iccid, .. } => profile.iccid == *iccid,
        };
        eis.iter().filter(is_target).max_by_key(|profile| profile.enabled)
    }
}

/// The operator's knowledge about a registered device.
struct DeviceStatus {
    attached: Attached,
    /// The profile of the registered subscription.
    iccid: Iccid,
    /// The profiles on the card. `None` if they are not known for certain.
    profiles: Option<Vec<CardProfile>>,
}

impl M2mAgent {
    fn new(index: usize, eid: Eid, due: Timestamp) -> Self {
        let (begun, ended, profile_unavailable) = (None, None, None);
        Self {
            index,
            eid,
            eis: Vec::new(),
            begun,
            ended,
            profile_unavailable,
            due,
            failures: 0,
            contradictions: 0,
        }
    }

    fn testbed(sim: &SimulatedWorld) -> Result<&M2mTestbed, Fault> {
        sim.parties
            .m2m
            .as_ref()
            .map(|M2m { testbed, .. }| testbed)
            .ok_or_else(|| bug("the scenario has no M2M devices"))
    }

    /// Schedules a retry after a failure.
    fn schedule_retry(&mut self, sim: &SimulatedWorld, why: &Fault) {
        self.failures = self.failures.saturating_add(1);
        self.due = sim.now().plus(patience(self.failures));
        if self.failures == 1
            && let Some(device) = sim.device(self.index)
        {
            sim.add_event(Kind::Device, &device, &why.to_string());
        }
    }

    async fn run_once(&mut self, sim: &SimulatedWorld) -> Result<(), Fault> {
        let Some(mut device_status) = self.look(sim).await? else {
            // The home network notifies the agent when the device registers.
            self.due = sim.now().plus(self.interval(sim));
            return Ok(());
        };
        if device_status.profiles.is_none() {
            self.contradictions += 1;
            if self.contradictions < MAX_CONTRADICTIONS {
                self.due = sim.now().plus(patience(self.contradictions));
                return Ok(());
            }
            self.contradictions = 0;
            // The check-in takes place whether or not the audit succeeds.
            let _ = self.audit(sim).await;
            match self.look(sim).await? {
                Some(again) => device_status = again,
                None => return Ok(()),
            }
        }
        // The end of a move is reported when the operator has the answer, or when the EIS shows the
        // target profile as enabled.
        let is_known = device_status.profiles.is_some();
        let has_ended = |begun: &mut MoveInProgress| {
            is_known && begun.answer.is_some()
                || begun.target_profile(&self.eis).is_some_and(|profile| profile.enabled)
        };
        if let Some(begun) = self.begun.take_if(has_ended) {
            self.has_ended(sim, begun);
        }
        self.check_in(sim, device_status).await
    }

    /// The maximum interval between check-ins.
    fn interval(&self, sim: &SimulatedWorld) -> Duration {
        let group = sim.device(self.index).and_then(|device| sim.group(device.group));
        group.map_or(MOVE_VALIDITY, |group| group.check_in.get_ref().0)
    }

    /// Queries the home network and the EIS. `None` if the device is not registered.
    async fn look(&mut self, sim: &SimulatedWorld) -> Result<Option<DeviceStatus>, Fault> {
        let read = self.read_eis(sim).await;
        let Some(attached) = sim.device(self.index).and_then(|device| device.service.registered) else {
            return Ok(None);
        };
        let is_its =
            |profile: &&CardProfile| sim.imsis_of(profile.iccid).contains(&(attached.home, attached.imsi));
        let Some(iccid) = self.eis.iter().find(is_its).map(|profile| profile.iccid) else {
            read?;
            let why = "the profile of the registered subscription is not in its EIS yet";
            return Err(Fault::new(
                "the operator does not know the state of the device",
                why,
                "the state is read again",
            ));
        };
        let is_so =
            read.is_ok() && self.eis.iter().all(|profile| profile.enabled == (profile.iccid == iccid));
        // If the EIS and the home network differ, the home network has the newer information.
        for profile in &mut self.eis {
            profile.enabled = profile.iccid == iccid;
        }
        Ok(Some(DeviceStatus { attached, iccid, profiles: is_so.then(|| self.eis.clone()) }))
    }

    async fn read_eis(&mut self, sim: &SimulatedWorld) -> Result<(), Fault> {
        let eis = Self::testbed(sim)?.eis(self.eid).await?;
        let profiles = eis.profile_info.iter().filter(|profile| profile.state != ProfileState::Created);
        let on_card = profiles.map(|profile| CardProfile {
            iccid: profile.iccid,
            enabled: profile.state == ProfileState::Enabled,
            home: sim.home_of_profile(profile.iccid),
        });
        self.eis = on_card.collect();
        Ok(())
    }

    /// Audits the card. Returns true on success.
    async fn audit(&self, sim: &SimulatedWorld) -> bool {
        let Ok(testbed) = Self::testbed(sim) else { return false };
        testbed.audit(self.eid, AUDIT_VALIDITY).await.is_ok_and(|answer| answer.base.is_done())
    }

    async fn check_in(&mut self, sim: &SimulatedWorld, device_status: DeviceStatus) -> Result<(), Fault> {
        let DeviceStatus { attached, iccid, profiles } = device_status;
        let report = CheckIn {
            registered: Some(Registration {
                network: attached.network,
                iccid,
                imsi: Some(attached.imsi),
                imei: reported_imei(imei(self.eid)),
            }),
            profiles,
            refused: self.profile_unavailable.iter().cloned().collect(),
            ended: self.ended.clone(),
            ..CheckIn::new(self.eid, sim.now())
        };
        let link = {
            let mut device = sim.device(self.index).ok_or_else(|| bug("the device does not exist"))?;
            device.counts.check_ins = device.counts.check_ins.saturating_add(1);
            sim.mishaps_of(&mut device).link(sim.parties.platform_transport.link(None)?)
        };
        let instruction = check_in::send(&link, &report).await.map_err(|error| {
            Fault::new("the platform is unreachable", error.why, "the check-in is retried")
        })?;
        let now = sim.now();
        (self.failures, self.contradictions, self.ended, self.profile_unavailable) = (0, 0, None, None);
        self.due = instruction.next_check_in.min(now.plus(self.interval(sim)));
        if let Some(mut device) = sim.device(self.index) {
            device.contact.heard_at = Some(now);
        }
        let Action::Move { order, to, .. } = instruction.what else { return Ok(()) };
        match &self.begun {
            // The platform repeats an instruction until it knows the end of the move, so a repeated
            // order is the same move.
            Some(begun) if begun.order == order => self.find_out(sim, "there was no answer").await?,
            _ => self.execute(sim, order, to).await?,
        }
        self.due = sim.now();
        Ok(())
    }

    /// Executes an instruction of the platform.
    async fn execute(&mut self, sim: &SimulatedWorld, order: MoveId, to: Target) -> Result<(), Fault> {
        let testbed = Self::testbed(sim)?;
        self.begun = Some(MoveInProgress { order, to: to.clone(), answer: None });
        let answer = match &to {
            Target::Order { what, .. } => testbed.download(self.eid, what, MOVE_VALIDITY).await,
            Target::Enable(iccid) => testbed.enable(self.eid, *iccid, MOVE_VALIDITY).await,
            Target::Download { .. } => Err(bug("only a device with an LPA can use an activation code")),
        };
        match answer {
            Ok(FunctionResult { base, .. }) => {
                let status = base.function_execution_status;
                if let Target::Order { operator, .. } = to
                    && profile_unavailable(&status)
                {
                    self.profile_unavailable =
                        Some(RefusedBy { network: operator, cause: status.to_string().into() });
                }
                match status.status {
                    ExecutionStatus::Expired => self.find_out(sim, &status.to_string()).await,
                    _ => self.ends(sim, &status.to_string()).await,
                }
            }
            Err(why) => self.find_out(sim, &why.to_string()).await,
        }
    }

    /// Audits the card, because the end of the move is unknown.
    async fn find_out(&mut self, sim: &SimulatedWorld, why: &str) -> Result<(), Fault> {
        match self.audit(sim).await {
            true => self.ends(sim, why).await,
            false => Err(Fault::new("the end of a move is unknown", why, "the card is audited again")),
        }
    }

    /// Reads the end of the move from the EIS.
    async fn ends(&mut self, sim: &SimulatedWorld, why: &str) -> Result<(), Fault> {
        if let Some(begun) = &mut self.begun {
            begun.answer = Some(why.to_owned());
        }
        self.read_eis(sim).await?;
        if let Some(begun) = self.begun.take() {
            self.has_ended(sim, begun);
        }
        Ok(())
    }

    fn has_ended(&mut self, sim: &SimulatedWorld, begun: MoveInProgress) {
        let target = begun.target_profile(&self.eis);
        let why = begun.answer.as_deref().unwrap_or_default().into();
        let ending = match target {
            Some(profile) if profile.enabled => Ending::Moved,
            Some(_) => Ending::CameBack { why },
            None => Ending::NotInstalled { why },
        };
        if let Some(mut device) = sim.device(self.index) {
            if let Some(profile) = target.filter(|profile| !device.expected_profiles.contains(&profile.iccid))
            {
                device.expected_profiles.push(profile.iccid);
            }
            sim.move_ended(&mut device, &ending);
        }
        self.ended = Some(MoveEnded { order: begun.order, ending });
    }
}

/// True if the SM-DP has no such profile, so that the platform can choose another operator.
fn profile_unavailable(status: &FunctionExecutionStatus) -> bool {
    let codes = status.status_code_data.as_ref();
    let refusal = codes.and_then(|codes| Status::from_codes(&codes.subject, &codes.reason));
    matches!(
        refusal,
        Some(
            Status::ProfileUnavailable
                | Status::ProfileTypeUnavailable
                | Status::ProfileTypeUnknown
                | Status::IccidUnknown
        )
    )
}
