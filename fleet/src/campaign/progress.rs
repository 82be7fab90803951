//! The counts of a campaign. Each is a sum over the campaign's devices. Only this module changes the
//! counts.

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AttemptCounts, Campaign, Member, MemberState, State};

/// Counts of a campaign's devices and attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Progress {
    /// Number of devices. In a standing campaign, the number of devices that have begun to move.
    pub devices: u32,
    /// Attempts that began.
    pub begun: u32,
    /// Attempts under way.
    pub under_way: u32,
    /// Attempts that reached the destination of the campaign.
    pub moved: u32,
    /// Attempts of the rollback that reached the former profile.
    pub returned: u32,
    /// Attempts that ended on the profile with which they began.
    pub came_back: u32,
    /// Attempts that installed no profile.
    pub not_installed: u32,
    /// Attempts after which the device was unreachable.
    pub lost: u32,
    /// Devices that have begun at least one attempt.
    pub started: u32,
    /// Devices that have begun an attempt and need no further one.
    pub settled: u32,
    /// Devices that need no further attempt, whether or not they have begun one.
    pub finished: u32,
    /// Devices that were moved back.
    pub rolled_back: u32,
    /// Devices that still have to move back.
    pub to_roll_back: u32,
    /// End of the latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ended: Option<Timestamp>,
    /// Attempts before the last resumption, which the stop conditions ignore. This is not a sum
    /// over the devices.
    pub forgiven: Forgiven,
}

/// Attempts before the last resumption of a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Forgiven {
    /// Finished attempts.
    pub ended: u32,
    /// Failed attempts.
    pub failed: u32,
    /// Lost devices.
    pub lost: u32,
}

/// Relation of a change to the open move of the device in the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMove {
    /// The device has no open move.
    None,
    /// The change starts a move.
    Begins,
    /// The change ends a move.
    Ends,
}

impl OpenMove {
    fn before(self) -> bool {
        self == Self::Ends
    }

    fn after(self) -> bool {
        self == Self::Begins
    }
}

impl Progress {
    /// Number of finished attempts.
    pub fn ended(&self) -> u32 {
        self.moved.saturating_add(self.returned).saturating_add(self.failed())
    }

    /// Number of failed attempts.
    pub fn failed(&self) -> u32 {
        self.came_back.saturating_add(self.not_installed).saturating_add(self.lost)
    }

    fn counts(&mut self) -> [&mut u32; 13] {
        [
            &mut self.devices,
            &mut self.begun,
            &mut self.under_way,
            &mut self.moved,
            &mut self.returned,
            &mut self.came_back,
            &mut self.not_installed,
            &mut self.lost,
            &mut self.started,
            &mut self.settled,
            &mut self.finished,
            &mut self.rolled_back,
            &mut self.to_roll_back,
        ]
    }

    /// Replaces the contribution of a device to the counts.
    fn replace(&mut self, mut before: Self, mut after: Self) {
        let pairs = before.counts().into_iter().zip(after.counts());
        for (count, (before, after)) in self.counts().into_iter().zip(pairs) {
            let sum = count.saturating_add(*after).checked_sub(*before);
            debug_assert!(sum.is_some(), "a device added {before} to a count of {count}");
            *count = sum.unwrap_or_default();
        }
        self.last_ended = self.last_ended.max(after.last_ended);
    }
}

impl Campaign {
    /// Changes the record of a device in the campaign, and updates the counts. Every change of a
    /// member of a started campaign goes through this function.
    pub(crate) fn update(&mut self, member: &mut Member, open: OpenMove, change: impl FnOnce(&mut Member)) {
        let before = self.figures(member, open.before());
        change(member);
        let after = self.figures(member, open.after());
        self.progress.replace(before, after);
        let Progress { begun, under_way, started, settled, .. } = self.progress;
        debug_assert_eq!(begun, self.progress.ended() + under_way, "campaign {}", self.spec.id);
        debug_assert!(settled <= started, "campaign {}", self.spec.id);
    }

    /// Recomputes the counts from all devices. The flag of a member is true if the member has an
    /// open move of this campaign.
    pub(crate) fn recount<'m>(&mut self, members: impl IntoIterator<Item = (&'m Member, bool)>) {
        self.progress = self.recounted(members);
    }

    /// Returns the counts computed from all devices.
    pub(crate) fn recounted<'m>(&self, members: impl IntoIterator<Item = (&'m Member, bool)>) -> Progress {
        let mut progress = Progress { forgiven: self.progress.forgiven, ..Progress::default() };
        for (member, is_moving) in members {
            progress.replace(Progress::default(), self.figures(member, is_moving));
        }
        progress
    }

    /// The contribution of a device to the counts. In a campaign that has not started, it is zero.
    fn figures(&self, member: &Member, is_moving: bool) -> Progress {
        if self.state == State::Draft {
            return Progress::default();
        }
        let AttemptCounts { moved, returned, came_back, not_installed, lost } = member.ended;
        let ended = Progress { moved, returned, came_back, not_installed, lost, ..Progress::default() };
        let is_finished = !is_moving && self.is_finished(&member.state);
        let is_back = matches!(member.state, MemberState::RolledBack { .. });
        Progress {
            devices: u32::from(member.started || !self.spec.standing),
            begun: ended.ended().saturating_add(u32::from(is_moving)),
            under_way: u32::from(is_moving),
            started: u32::from(member.started),
            settled: u32::from(is_finished && member.started),
            finished: u32::from(is_finished),
            rolled_back: u32::from(is_back && !is_moving),
            to_roll_back: u32::from(self.goes_back && !is_finished),
            last_ended: member.last_ended,
            ..ended
        }
    }

    /// True if a device in this state needs no further attempt. During a rollback, a device at the
    /// destination must still move back.
    pub(crate) fn is_finished(&self, state: &MemberState) -> bool {
        match state {
            MemberState::Moved { .. } => !self.goes_back,
            MemberState::NothingToDo | MemberState::Failed { .. } | MemberState::RolledBack { .. } => true,
            MemberState::Waiting | MemberState::PutOff { .. } | MemberState::Again { .. } => false,
        }
    }
}
