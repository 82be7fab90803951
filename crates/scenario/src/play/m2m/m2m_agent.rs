//! The agent of the operator for one M2M device. It checks in at the platform for the device,
//! because a card without an LPA cannot.
//!
//! The agent reports what servers know. The home network knows the location of the device
//! (UpdateLocation). The EIS (ES4.GetEIS), which the card's notifications keep up to date, lists
//! the profiles on its card. The agent executes instructions of the platform over ES2 and ES4, and
//! reads their result from the EIS.

use std::sync::Weak;
use std::time::Duration;

use fleet::{CheckIn, Ending, MoveEnded, OnCard, OrderId, RefusedBy, Registration, Target, What};
use rsp::ids::{Eid, Iccid};
use rsp::sgp02::eis::ProfileState;
use rsp::sgp02::status::Status;
use rsp::sgp02::{ExecutionStatus, FunctionExecutionStatus};
use rsp::time::Timestamp;
use tokio::time::sleep;
use world::Fault;

use super::M2m;
use crate::m2m::testbed::{Answered, Field};
use crate::play::check_in::{self, patience};
use crate::play::dormant_device::Attached;
use crate::play::simulated_world::{Stage, bug};
use crate::report::Kind;

/// Validity period of a move (ValidityPeriod): half of the time that the platform waits for its
/// end.
const FOR_A_MOVE: Duration = Duration::from_secs(86_400);
/// Validity period of an audit.
const FOR_AN_AUDIT: Duration = Duration::from_secs(6 * 3600);
/// Delay before the EIS is read after a change. A card notifies its SM-SR only after it has
/// registered, so an earlier EIS would be incomplete.
const SETTLES: Duration = Duration::from_secs(300);
/// Number of consecutive contradictions between home network and EIS after which the card is
/// audited.
const AT_ODDS: u32 = 3;

/// Runs the agent of a device without end. It acts on each notification, and when a check-in is
/// due.
pub(super) async fn run(stage: Weak<Stage>, index: usize) {
    let Some((mut clerk, news)) = stage.upgrade().and_then(|stage| {
        let eid = stage.device(index)?.eid;
        Some((Clerk::new(index, eid, stage.now()), stage.m2m.as_ref()?.field.news(eid)))
    }) else {
        return;
    };
    loop {
        let Some(wait) = stage.upgrade().map(|stage| clerk.due.since(stage.now())) else { return };
        tokio::select! {
            biased;
            () = news.notified() => sleep(SETTLES).await,
            () = sleep(wait) => {}
        }
        let Some(stage) = stage.upgrade() else { return };
        if let Err(why) = clerk.attend(&stage).await {
            clerk.is_put_off(&stage, &why);
        }
    }
}

struct Clerk {
    index: usize,
    eid: Eid,
    /// The profiles in the latest EIS.
    eis: Vec<OnCard>,
    /// The current move, until its end is known.
    begun: Option<Begun>,
    /// The end of the last move, until it has been reported to the platform.
    ended: Option<MoveEnded>,
    /// The operator that had no profile for that move.
    has_none: Option<RefusedBy>,
    /// Time of the next check-in.
    due: Timestamp,
    /// Number of consecutive failed check-ins.
    fails: u32,
    at_odds: u32,
}

/// A move in progress.
struct Begun {
    order: OrderId,
    to: Target,
    /// The answer, once there is one. The EIS then shows how the move ended.
    answer: Option<String>,
}

impl Begun {
    /// The target profile, if it is in the EIS.
    fn its<'a>(&self, eis: &'a [OnCard]) -> Option<&'a OnCard> {
        let is_its = |profile: &&OnCard| match &self.to {
            Target::Order { operator, .. } => profile.home == Some(*operator),
            Target::Enable(iccid) | Target::Download { iccid, .. } => profile.iccid == *iccid,
        };
        eis.iter().filter(is_its).max_by_key(|profile| profile.enabled)
    }
}

/// The operator's knowledge about a registered device.
struct Seen {
    attached: Attached,
    /// The profile of the registered subscription.
    iccid: Iccid,
    /// The profiles on the card. `None` if they are not known for certain.
    profiles: Option<Vec<OnCard>>,
}

impl Clerk {
    fn new(index: usize, eid: Eid, due: Timestamp) -> Self {
        let (begun, ended, has_none) = (None, None, None);
        Self { index, eid, eis: Vec::new(), begun, ended, has_none, due, fails: 0, at_odds: 0 }
    }

    fn field(stage: &Stage) -> Result<&Field, Fault> {
        stage
            .m2m
            .as_ref()
            .map(|M2m { field, .. }| field)
            .ok_or_else(|| bug("the scenario has no M2M devices"))
    }

    /// Schedules a retry after a failure.
    fn is_put_off(&mut self, stage: &Stage, why: &Fault) {
        self.fails = self.fails.saturating_add(1);
        self.due = stage.now().plus(patience(self.fails));
        if self.fails == 1
            && let Some(device) = stage.device(self.index)
        {
            stage.tell(Kind::Device, &device, &why.to_string());
        }
    }

    async fn attend(&mut self, stage: &Stage) -> Result<(), Fault> {
        let Some(mut seen) = self.look(stage).await? else {
            // The home network notifies the agent when the device registers.
            self.due = stage.now().plus(self.interval(stage));
            return Ok(());
        };
        if seen.profiles.is_none() {
            self.at_odds += 1;
            if self.at_odds < AT_ODDS {
                self.due = stage.now().plus(patience(self.at_odds));
                return Ok(());
            }
            self.at_odds = 0;
            // The check-in takes place whether or not the audit succeeds.
            let _ = self.audit(stage).await;
            match self.look(stage).await? {
                Some(again) => seen = again,
                None => return Ok(()),
            }
        }
        // The end of a move that the platform can see in the profiles is also reported.
        let is_known = seen.profiles.is_some();
        let has_ended = |begun: &mut Begun| {
            is_known && begun.answer.is_some() || begun.its(&self.eis).is_some_and(|profile| profile.enabled)
        };
        if let Some(begun) = self.begun.take_if(has_ended) {
            self.has_ended(stage, begun);
        }
        self.check_in(stage, seen).await
    }

    /// The maximum interval between check-ins.
    fn interval(&self, stage: &Stage) -> Duration {
        let group = stage.device(self.index).and_then(|device| stage.group(device.group));
        group.map_or(FOR_A_MOVE, |group| group.check_in.get_ref().0)
    }

    /// Queries the home network and the EIS. `None` if the device is not registered.
    async fn look(&mut self, stage: &Stage) -> Result<Option<Seen>, Fault> {
        let read = self.read_eis(stage).await;
        let Some(attached) = stage.device(self.index).and_then(|device| device.registered) else {
            return Ok(None);
        };
        let is_its =
            |profile: &&OnCard| stage.imsis_of(profile.iccid).contains(&(attached.home, attached.imsi));
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
        // If they differ, the home network is more recent.
        for profile in &mut self.eis {
            profile.enabled = profile.iccid == iccid;
        }
        Ok(Some(Seen { attached, iccid, profiles: is_so.then(|| self.eis.clone()) }))
    }

    async fn read_eis(&mut self, stage: &Stage) -> Result<(), Fault> {
        let eis = Self::field(stage)?.eis(self.eid).await?;
        let profiles = eis.profile_info.iter().filter(|profile| profile.state != ProfileState::Created);
        let on_card = profiles.map(|profile| OnCard {
            iccid: profile.iccid,
            enabled: profile.state == ProfileState::Enabled,
            home: stage.home_of_profile(profile.iccid),
        });
        self.eis = on_card.collect();
        Ok(())
    }

    /// Audits the card. Returns true on success.
    async fn audit(&self, stage: &Stage) -> bool {
        let Ok(field) = Self::field(stage) else { return false };
        field.audit(self.eid, FOR_AN_AUDIT).await.is_ok_and(|answer| answer.base.is_done())
    }

    async fn check_in(&mut self, stage: &Stage, seen: Seen) -> Result<(), Fault> {
        let Seen { attached, iccid, profiles } = seen;
        let said = CheckIn {
            registered: Some(Registration { network: attached.network, iccid, imsi: Some(attached.imsi) }),
            profiles,
            refused: self.has_none.iter().cloned().collect(),
            ended: self.ended.clone(),
            ..CheckIn::new(self.eid, stage.now())
        };
        let link = {
            let mut device = stage.device(self.index).ok_or_else(|| bug("the device does not exist"))?;
            device.counts.check_ins = device.counts.check_ins.saturating_add(1);
            stage.mishaps_of(&mut device).link(stage.to_platform.link(None)?)
        };
        let told = check_in::ask(&link, &said)
            .await
            .map_err(|not| Fault::new("the platform is unreachable", not.why, "the check-in is retried"))?;
        let now = stage.now();
        (self.fails, self.at_odds, self.ended, self.has_none) = (0, 0, None, None);
        self.due = told.next_check_in.min(now.plus(self.interval(stage)));
        if let Some(mut device) = stage.device(self.index) {
            device.heard_at = Some(now);
        }
        let What::Move { order, to, .. } = told.what else { return Ok(()) };
        match &self.begun {
            // A repeated instruction is the same move, whose end is still unknown.
            Some(begun) if begun.order == order => self.find_out(stage, "there was no answer").await?,
            _ => self.carry_out(stage, order, to).await?,
        }
        self.due = stage.now();
        Ok(())
    }

    /// Executes an instruction of the platform.
    async fn carry_out(&mut self, stage: &Stage, order: OrderId, to: Target) -> Result<(), Fault> {
        let field = Self::field(stage)?;
        self.begun = Some(Begun { order, to: to.clone(), answer: None });
        let answer = match &to {
            Target::Order { what, .. } => field.download(self.eid, what, FOR_A_MOVE).await,
            Target::Enable(iccid) => field.enable(self.eid, *iccid, FOR_A_MOVE).await,
            Target::Download { .. } => Err(bug("only a device with an LPA can use an activation code")),
        };
        match answer {
            Ok(Answered { base, .. }) => {
                let status = base.function_execution_status;
                if let Target::Order { operator, .. } = to
                    && has_none(&status)
                {
                    self.has_none = Some(RefusedBy { network: operator, cause: status.to_string().into() });
                }
                match status.status {
                    ExecutionStatus::Expired => self.find_out(stage, &status.to_string()).await,
                    _ => self.ends(stage, &status.to_string()).await,
                }
            }
            Err(why) => self.find_out(stage, &why.to_string()).await,
        }
    }

    /// Audits the card, because the end of the move is unknown.
    async fn find_out(&mut self, stage: &Stage, why: &str) -> Result<(), Fault> {
        match self.audit(stage).await {
            true => self.ends(stage, why).await,
            false => Err(Fault::new("the end of a move is unknown", why, "the card is audited again")),
        }
    }

    /// Reads the end of the move from the EIS.
    async fn ends(&mut self, stage: &Stage, why: &str) -> Result<(), Fault> {
        if let Some(begun) = &mut self.begun {
            begun.answer = Some(why.to_owned());
        }
        self.read_eis(stage).await?;
        if let Some(begun) = self.begun.take() {
            self.has_ended(stage, begun);
        }
        Ok(())
    }

    fn has_ended(&mut self, stage: &Stage, begun: Begun) {
        let its = begun.its(&self.eis);
        let why = begun.answer.as_deref().unwrap_or_default().into();
        let ending = match its {
            Some(profile) if profile.enabled => Ending::Moved,
            Some(_) => Ending::CameBack { why },
            None => Ending::NotInstalled { why },
        };
        if let Some(mut device) = stage.device(self.index) {
            if let Some(profile) = its.filter(|profile| !device.should_have.contains(&profile.iccid)) {
                device.should_have.push(profile.iccid);
            }
            stage.move_ended(&mut device, &ending);
        }
        self.ended = Some(MoveEnded { order: begun.order, ending });
    }
}

/// True if the SM-DP has no such profile, so that the platform can choose another operator.
fn has_none(status: &FunctionExecutionStatus) -> bool {
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
