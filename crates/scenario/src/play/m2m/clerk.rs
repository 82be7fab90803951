//! The operator's clerk for one M2M device, who checks in for it: a card without an LPA speaks to no platform.
//!
//! What is said is what servers know. Where the device is, its home network has learned (UpdateLocation); what is on its card stands in
//! the EIS (ES4.GetEIS), which the card's own notifications keep true. What the platform wants is asked for over ES2 and ES4, and how that
//! ended is seen by the EIS again.

use std::sync::Weak;
use std::time::Duration;

use fleet::{CheckIn, Ending, MoveEnded, MoveId, OnCard, RefusedBy, Registration, Target, What};
use rsp::ids::{Eid, Iccid};
use rsp::sgp02::eis::ProfileState;
use rsp::sgp02::status::Status;
use rsp::sgp02::{ExecutionStatus, FunctionExecutionStatus};
use rsp::time::Timestamp;
use tokio::time::sleep;
use world::Fault;

use super::M2m;
use crate::m2m::field::{Answered, Field};
use crate::play::door::{self, patience};
use crate::play::resting::Attached;
use crate::play::stage::{Stage, bug};
use crate::report::Kind;

/// How long everybody has for what the platform wants (ValidityPeriod): half of what it waits for the end of a move.
const FOR_A_MOVE: Duration = Duration::from_secs(86_400);
/// How long a card has to say what is on it.
const FOR_AN_AUDIT: Duration = Duration::from_secs(6 * 3600);
/// A card tells its SM-SR what has happened to it after it has registered: who looks at once sees half of it.
const SETTLES: Duration = Duration::from_secs(300);
/// So often in a row home network and EIS may say different things before the card itself is asked.
const AT_ODDS: u32 = 3;

/// Attends to a device without end: when there is news of it, and when the platform wants to hear of it.
pub(super) async fn attends(stage: Weak<Stage>, index: usize) {
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
    /// What the EIS said when it was read last.
    eis: Vec<OnCard>,
    /// A move, until its end is known.
    begun: Option<Begun>,
    /// How the last one ended, until the platform has heard it.
    ended: Option<MoveEnded>,
    /// Who had no profile to bring then.
    has_none: Option<RefusedBy>,
    /// When the platform is to hear of the device, news or not.
    due: Timestamp,
    /// Tries in a row that brought nothing.
    fails: u32,
    at_odds: u32,
}

/// A move that was begun.
struct Begun {
    order: MoveId,
    to: Target,
    /// What was answered, once something was: then the EIS says how it has ended.
    answer: Option<String>,
}

impl Begun {
    /// The profile that it is about, if the EIS has it.
    fn its<'a>(&self, eis: &'a [OnCard]) -> Option<&'a OnCard> {
        let is_its = |profile: &&OnCard| match &self.to {
            Target::Order { operator, .. } => profile.home == Some(*operator),
            Target::Enable(iccid) | Target::Download { iccid, .. } => profile.iccid == *iccid,
        };
        eis.iter().filter(is_its).max_by_key(|profile| profile.enabled)
    }
}

/// What the operator sees of a device that is registered.
struct Seen {
    attached: Attached,
    /// The profile whose subscriber it is.
    iccid: Iccid,
    /// What is on the card; none if that is not known for sure.
    profiles: Option<Vec<OnCard>>,
}

impl Clerk {
    fn new(index: usize, eid: Eid, due: Timestamp) -> Self {
        let (begun, ended, has_none) = (None, None, None);
        Self { index, eid, eis: Vec::new(), begun, ended, has_none, due, fails: 0, at_odds: 0 }
    }

    fn field(stage: &Stage) -> Result<&Field, Fault> {
        stage.m2m.as_ref().map(|M2m { field, .. }| field).ok_or_else(|| bug("there are no M2M devices"))
    }

    /// Nothing came of it: it is tried again later.
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
            // Its network will tell.
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
            // Whatever comes of it, the device is heard of.
            let _ = self.audit(stage).await;
            match self.look(stage).await? {
                Some(again) => seen = again,
                None => return Ok(()),
            }
        }
        // What the platform can see, it is also told.
        let is_known = seen.profiles.is_some();
        let has_ended = |begun: &mut Begun| {
            is_known && begun.answer.is_some() || begun.its(&self.eis).is_some_and(|profile| profile.enabled)
        };
        if let Some(begun) = self.begun.take_if(has_ended) {
            self.has_ended(stage, begun);
        }
        self.check_in(stage, seen).await
    }

    /// How often the platform is to hear of the device at least.
    fn interval(&self, stage: &Stage) -> Duration {
        let group = stage.device(self.index).and_then(|device| stage.group(device.group));
        group.map_or(FOR_A_MOVE, |group| group.check_in.get_ref().0)
    }

    /// Home network and EIS; nothing if the device is on no network.
    async fn look(&mut self, stage: &Stage) -> Result<Option<Seen>, Fault> {
        let read = self.read_eis(stage).await;
        let Some(attached) = stage.device(self.index).and_then(|device| device.registered) else {
            return Ok(None);
        };
        let is_its =
            |profile: &&OnCard| stage.imsis_of(profile.iccid).contains(&(attached.home, attached.imsi));
        let Some(iccid) = self.eis.iter().find(is_its).map(|profile| profile.iccid) else {
            read?;
            let why = "the profile of the subscriber who is registered is not in its EIS yet";
            return Err(Fault::new("its operator cannot say where it is", why, "it is looked at again"));
        };
        let is_so =
            read.is_ok() && self.eis.iter().all(|profile| profile.enabled == (profile.iccid == iccid));
        // Of two that differ the network has heard it sooner.
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

    /// Has the card itself say what is on it; says whether it did.
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
            let mut device = stage.device(self.index).ok_or_else(|| bug("there is no such device"))?;
            device.counts.check_ins = device.counts.check_ins.saturating_add(1);
            stage.mishaps_of(&mut device).link(stage.to_platform.link(None)?)
        };
        let told = door::ask(&link, &said)
            .await
            .map_err(|not| Fault::new("the platform was not reached", not.why, "it is asked again"))?;
        let now = stage.now();
        (self.fails, self.at_odds, self.ended, self.has_none) = (0, 0, None, None);
        self.due = told.next_check_in.min(now.plus(self.interval(stage)));
        if let Some(mut device) = stage.device(self.index) {
            device.heard_at = Some(now);
        }
        let What::Move { order, to, .. } = told.what else { return Ok(()) };
        match &self.begun {
            // The same order is the same move: only its end is still to be seen.
            Some(begun) if begun.order == order => self.find_out(stage, "there was no answer").await?,
            _ => self.carry_out(stage, order, to).await?,
        }
        self.due = stage.now();
        Ok(())
    }

    /// Asks for what the platform wants.
    async fn carry_out(&mut self, stage: &Stage, order: MoveId, to: Target) -> Result<(), Fault> {
        let field = Self::field(stage)?;
        self.begun = Some(Begun { order, to: to.clone(), answer: None });
        let answer = match &to {
            Target::Order { what, .. } => field.download(self.eid, what, FOR_A_MOVE).await,
            Target::Enable(iccid) => field.enable(self.eid, *iccid, FOR_A_MOVE).await,
            Target::Download { .. } => Err(bug("an activation code is for a device with an LPA")),
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

    /// Nobody has said how the move ended, so the card is asked.
    async fn find_out(&mut self, stage: &Stage, why: &str) -> Result<(), Fault> {
        match self.audit(stage).await {
            true => self.ends(stage, why).await,
            false => Err(Fault::new("nobody knows how a move ended", why, "the card is asked again")),
        }
    }

    /// The move has ended as the EIS says.
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

/// Whether the SM-DP has no such profile: another operator's is to be had sooner.
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
